"""Running an exported network: one file per backend behind one small interface.

`open_engine(path)` loads an ONNX file with the backend that suits this machine, or with the one that is asked for.
Given a folder to remember it in, it measures once which is the fastest. When one fails while it runs, the next goes on.
`explain(engine)` says in one line which runs and why the others do not. Nothing here knows about faces.
"""

from engines.backends import EngineFolder, OwnWeights, Say
from engines.engine import Engine, EngineDescription, EngineFailure, InputMismatch, Tensors, Unavailable
from engines.selection.auto import available_backends, explain, on_stderr, open_engine

__all__ = [
    "Engine",
    "EngineDescription",
    "EngineFailure",
    "EngineFolder",
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
