"""Stage 2: a diffusion policy is trained on demonstrations."""
