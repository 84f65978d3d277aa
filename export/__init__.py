"""From checkpoint to ONNX, with proof that both say the same."""

import engines.quiet_onnxruntime  # noqa: F401  # before any other import of it
