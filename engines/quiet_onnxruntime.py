"""`onnxruntime`, imported so that it reports nothing. The only place that imports it first."""

# isort: off
import engines.no_telemetry  # noqa: F401
import onnxruntime
# isort: on

__all__ = ["onnxruntime"]
