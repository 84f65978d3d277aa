"""Choosing the backend: the order of preference, what is installed, and saying why."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from engines.engine import Engine, EngineDescription, EngineFailure
from engines.network import REMAKE, network_file, thread_count


class _Loader(Protocol):
    def __call__(self, path: Path, threads: int | None, passed_over: Mapping[str, str] | None) -> Engine: ...


@dataclass(frozen=True, slots=True)
class Backend:
    """Where a backend's engine is found, and how to bring the library that it needs."""

    label: str
    library: str
    engine: str  # "module:class"
    install: str
    device: str | None = None  # "module:function" that says why there is no device to run on

    def missing(self) -> str | None:
        """Why the library or its device is not there, without the cost of importing the library. None: both are."""
        if importlib.util.find_spec(self.library) is None:
            return f"not installed ({self.install})"
        if self.device is None:
            return None
        module, name = self.device.split(":")
        return cast(str | None, getattr(importlib.import_module(module), name)())

    def loader(self) -> _Loader:
        """The engine's class. Raises EngineFailure when the library is missing or does not start."""
        if reason := self.missing():
            raise EngineFailure(f"{self.label}: {reason}")
        module, name = self.engine.split(":")
        try:
            return cast(_Loader, getattr(importlib.import_module(module), name))
        except (ImportError, OSError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise EngineFailure(f"{self.label}: installed, but does not start: {reason}") from error


# In the order in which "auto" tries them.
BACKENDS = {
    "onnxruntime": Backend(
        "ONNX Runtime", "onnxruntime", "engines.onnxruntime:OnnxRuntimeEngine", "pip install onnxruntime"
    ),
    "openvino": Backend("OpenVINO", "openvino", "engines.openvino:OpenVinoEngine", "pip install 'visavis[openvino]'"),
    "tensorrt": Backend(
        "TensorRT",
        # either package will do
        "tensorrt" if importlib.util.find_spec("tensorrt") else "tensorrt_rtx",
        "engines.tensorrt:TensorRtEngine",
        "pip install 'visavis[tensorrt]'",
        "engines.tensorrt_cuda:no_gpu",
    ),
}


def available_backends() -> dict[str, str | None]:
    """Every backend, with None where it is usable here, or else the reason why it is not. Imports each library."""
    found: dict[str, str | None] = {}
    for name, backend in BACKENDS.items():
        try:
            backend.loader()
            found[name] = None
        except EngineFailure as error:
            found[name] = str(error).removeprefix(f"{backend.label}: ")
    return found


def open_engine(path: Path, backend: str = "auto", threads: int | None = None) -> Engine:
    """Load the ONNX file at `path`.

    backend: "auto" (the first of BACKENDS that loads it) or a name of BACKENDS, which then runs or fails.
    threads: CPU threads of one inference; None leaves one core to the tracker.
    Prints nothing; `explain(engine)` has the line. Raises EngineFailure.
    """
    if backend != "auto" and backend not in BACKENDS:
        raise EngineFailure(f"there is no engine '{backend}': choose auto, {', '.join(BACKENDS)}")
    path = network_file(path)
    threads = thread_count(threads)
    unusable: dict[str, str] = {}  # the library is missing or broken
    failures: dict[str, str] = {}  # the library would not take the network
    for name in BACKENDS if backend == "auto" else [backend]:
        try:
            load = BACKENDS[name].loader()
        except EngineFailure as error:
            if backend != "auto":
                raise
            unusable[name] = str(error).removeprefix(f"{BACKENDS[name].label}: ")
            continue
        tried = unusable | {other: f"could not load the network ({why})" for other, why in failures.items()}
        passed_over = {
            other: tried.get(other) or BACKENDS[other].missing() or _not_chosen(name, asked=backend)
            for other in BACKENDS
            if other != name
        }
        try:
            return load(path, threads, passed_over)
        except EngineFailure as error:
            failures[name] = str(error).removeprefix(f"{path} could not be loaded by {BACKENDS[name].label}: ")
    if not failures:
        raise EngineFailure("no engine is usable: " + _listed(unusable))
    raise EngineFailure(f"{path} could not be loaded by {_listed(failures)}{REMAKE}")


def explain(engine: Engine) -> str:
    """One line: which engine runs, and why the others do not."""
    about: EngineDescription = engine.describe()
    label = BACKENDS[about.backend].label if about.backend in BACKENDS else about.backend
    threads = f", {about.threads} thread{'s' if about.threads > 1 else ''}" if about.threads else ""
    line = f"{about.model} runs on {label} {about.version} ({about.device}, {about.precision}{threads})"
    return f"{line}. {_listed(about.passed_over)}" if about.passed_over else line


def _not_chosen(name: str, *, asked: str) -> str:
    if asked != "auto":
        return f"not used, because {BACKENDS[name].label} was asked for"
    return f"usable, but {BACKENDS[name].label} comes first"


def _listed(reasons: Mapping[str, str]) -> str:
    return "; ".join(f"{BACKENDS[name].label if name in BACKENDS else name}: {why}" for name, why in reasons.items())
