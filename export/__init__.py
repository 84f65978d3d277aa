"""From checkpoint to ONNX, with proof that both say the same."""
