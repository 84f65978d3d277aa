"""From checkpoint to ONNX, with proof that both say the same."""

import engines  # noqa: F401  # first of all: it refuses ONNX Runtime its telemetry
