"""The only room with torch: distillation, training, export, and the recipe of what ships."""
