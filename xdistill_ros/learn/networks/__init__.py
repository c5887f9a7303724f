"""Networks alone: encoders, the denoiser, averages of weights. Knows no data and no files."""
