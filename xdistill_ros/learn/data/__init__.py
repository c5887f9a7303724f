"""From episode stores to what networks are trained on: stretches, windows, frames, augmentation."""
