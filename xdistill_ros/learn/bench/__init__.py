"""Encoders compared: a grid of task, encoder and seed in MetaWorld or at the simulated table, and the table of it."""
