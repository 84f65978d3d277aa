"""`onnxruntime`, imported so that it reports nothing. The only place that imports it first."""

import os

# From 1.29 on, ONNX Runtime starts its vendor's telemetry client when it is imported, on Linux too: a device id and a
# queue of events in ~/.cache/Microsoft, uploaded whenever the process has a network. Only this refuses it, and only
# before the import; `disable_telemetry_events()` comes too late. Children inherit it. (OpenVINO: see engines.openvino.)
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime

__all__ = ["onnxruntime"]
