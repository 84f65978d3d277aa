"""Imported before ONNX Runtime is, it keeps that from reporting.

From 1.29 on, ONNX Runtime starts its vendor's telemetry client when it is imported, on Linux too: a device id and a
queue of events in ~/.cache/Microsoft, uploaded whenever the process has a network. Only this variable refuses it, and
only before the import; `disable_telemetry_events()` comes too late. Children inherit it. (OpenVINO: engines.openvino.)
"""

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
