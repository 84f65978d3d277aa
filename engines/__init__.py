"""Running an exported network: one file per backend behind one small interface.

`open_engine(path)` loads an ONNX file with the backend that suits this machine, or with the one that is asked for.
Given a folder to remember it in, it measures once which is the fastest. When one fails while it runs, the next goes on.
`explain(engine)` says in one line which runs and why the others do not. Nothing here knows about faces.
"""

import os

# From 1.29 on, ONNX Runtime starts its vendor's telemetry client when it is imported, on Linux too: a device id and a
# queue of events in ~/.cache/Microsoft, uploaded whenever the process has a network. Only this refuses it, and only
# before the import; `disable_telemetry_events()` comes too late. Children inherit it. (OpenVINO: see engines.openvino.)
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

from engines.auto import available_backends, explain, on_stderr, open_engine
from engines.backends import OwnWeights, Say
from engines.engine import Engine, EngineDescription, EngineFailure, InputMismatch, Tensors, Unavailable

__all__ = [
    "Engine",
    "EngineDescription",
    "EngineFailure",
    "InputMismatch",
    "OwnWeights",
    "Say",
    "Tensors",
    "Unavailable",
    "available_backends",
    "explain",
    "on_stderr",
    "open_engine",
]
