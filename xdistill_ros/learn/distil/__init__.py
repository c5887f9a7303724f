"""Stage 1: a student encoder learns a teacher's feature of images."""
