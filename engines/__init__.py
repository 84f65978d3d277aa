"""Running an exported network: one file per backend behind one small interface.

`open_engine(path)` loads an ONNX file with the backend that suits this machine, or with the one that is asked for;
`explain(engine)` says in one line which runs and why the others do not. Nothing here knows about faces.
"""

from engines.auto import available_backends, explain, open_engine
from engines.engine import Engine, EngineDescription, EngineFailure, InputMismatch, Tensors

__all__ = [
    "Engine",
    "EngineDescription",
    "EngineFailure",
    "InputMismatch",
    "Tensors",
    "available_backends",
    "explain",
    "open_engine",
]
