"""From checkpoint to ONNX, with proof that both say the same."""

import engines.no_telemetry  # noqa: F401  # what quantises imports ONNX Runtime itself
