"""From trained networks to a bundle: rounding, ONNX graphs, reference outputs."""
