"""The backends: what each needs, on which devices it runs, and opening a network with one of them."""

from __future__ import annotations

import importlib
import importlib.util
import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from engines.engine import Engine, EngineFailure, Example, Unavailable
from engines.installing import pip
from engines.network import REMAKE, TensorSpec

Say = Callable[[str], None]
PRECISIONS = ("fp32", "fp16", "bf16", "int8")
OWN_FILES = ("fp16", "int8")  # precisions that are written into the network: NAME.fp16.onnx lies beside NAME.onnx
FP16_ON_CPU = "fp16 is for GPUs and NPUs"


@dataclass(frozen=True, slots=True)
class Devices:
    """What a backend's library finds on this computer."""

    version: str
    usable: tuple[str, ...]  # "cpu" first where it is one
    absent: dict[str, str]  # device -> why it cannot be used, and what brings it
    bf16: tuple[str, ...] = ()  # those of `usable` that compute in bfloat16 by themselves


@dataclass(frozen=True, slots=True)
class OwnWeights:
    """A person's own weights for a network whose graph everybody shares."""

    tensors: Callable[[], Mapping[str, NDArray[np.float32]]]  # name in the ONNX file -> its values, in the file's order
    file: Callable[[], AbstractContextManager[Path]]  # makes the ONNX file with them; it lies there while it is loaded


@dataclass(frozen=True, slots=True)
class EngineFolder:
    """For what is compiled, and for the memory of which engine is the fastest: all of it can be made again."""

    path: Path
    example: Example | None = None  # makes inputs for measuring, as of `engines.selection.choice.choose`
    later: bool = False  # nothing is measured now: unless it was before, the first of BACKENDS that loads is taken


class LoadedEngine(Engine, Protocol):
    """An engine of one backend, with the dtypes of its inputs."""

    specs: dict[str, TensorSpec]


class _Loader(Protocol):
    def __call__(
        self, path: Path, threads: int | None, *, device: str, precision: str, folder: Path | None
    ) -> LoadedEngine: ...


class _Refitter(Protocol):
    def __call__(
        self,
        path: Path,
        weights: Mapping[str, NDArray[np.float32]],
        *,
        device: str,
        precision: str,
        folder: Path | None,
    ) -> LoadedEngine: ...


@dataclass(frozen=True, slots=True)
class Backend:
    """Where a backend's engine is found, and how to bring the library that it needs."""

    label: str
    library: str
    engine: str  # "module:class"; the module also has `devices()`
    install: str
    device: str  # where it runs when nothing was measured
    no_device: str | None = None  # "module:function" that says why there is no device to run on
    refitted: str | None = None  # "module:function" that puts weights into an engine which is kept for everybody

    def missing(self) -> str | None:
        """Why the library or its device is not there, without the cost of importing the library. None: both are."""
        if importlib.util.find_spec(self.library) is None:
            return f"not installed ({self.install})"
        if self.no_device is None:
            return None
        return cast(str | None, _named(self.no_device)())

    def loader(self) -> _Loader:
        """The engine's class. Raises Unavailable when the library is missing or does not start."""
        return cast(_Loader, self._started(self.engine))

    def refitter(self) -> _Refitter:
        """`refitted`, which must not be None. Raises Unavailable as `loader` does."""
        assert self.refitted is not None
        return cast(_Refitter, self._started(self.refitted))

    def devices(self) -> Devices:
        """The devices. Imports the library. Raises Unavailable as `loader` does."""
        return cast(Callable[[], Devices], self._started(self.engine.split(":")[0] + ":devices"))()

    def _started(self, name: str) -> object:
        if reason := self.missing():
            raise Unavailable(f"{self.label}: {reason}")
        try:
            return _named(name)
        except (ImportError, OSError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise Unavailable(f"{self.label}: installed, but does not start: {reason}") from error


# In the order in which "auto" tries them where nothing was measured.
BACKENDS = {
    "onnxruntime": Backend(
        "ONNX Runtime", "onnxruntime", "engines.onnxruntime:OnnxRuntimeEngine", pip("install onnxruntime"), "cpu"
    ),
    "openvino": Backend(
        "OpenVINO", "openvino", "engines.openvino:OpenVinoEngine", pip("install 'visavis[openvino]'"), "cpu"
    ),
    "tensorrt": Backend(
        "TensorRT",
        # either package will do
        "tensorrt" if importlib.util.find_spec("tensorrt") else "tensorrt_rtx",
        "engines.tensorrt.engine:TensorRtEngine",
        pip("install 'visavis[tensorrt]'"),
        "gpu",
        "engines.tensorrt.cuda:no_gpu",
        "engines.tensorrt.engine:refitted",
    ),
}
LABELS = {name: backend.label for name, backend in BACKENDS.items()} | {"torch": "torch"}


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to run a network on this computer."""

    backend: str  # of BACKENDS
    device: str
    precision: str  # of PRECISIONS

    @property
    def name(self) -> str:
        return f"{self.backend}:{self.device}:{self.precision}"

    @property
    def label(self) -> str:
        return f"{BACKENDS[self.backend].label} ({self.device}, {self.precision})"

    @property
    def possible(self) -> bool:
        """Whether such a device computes in such a precision at all, as far as is known without looking."""
        if self.device == "cpu":
            return self.precision != "fp16" and (self.precision != "bf16" or self.backend == "openvino")
        return self.precision != "bf16"

    def file(self, network: Path) -> Path:
        """The file to load: the network itself, or its variant of this precision."""
        return variant(network, self.precision)

    def open(self, path: Path, threads: int | None, folder: Path | None) -> LoadedEngine:
        """Load the file at `path`. folder: for what the backend compiles; None keeps nothing. Raises EngineFailure."""
        load = BACKENDS[self.backend].loader()
        return load(path, threads, device=self.device, precision=self.precision, folder=folder)

    def open_own(self, path: Path, own: OwnWeights, threads: int | None, folder: Path | None, say: Say) -> LoadedEngine:
        """Load the network at `path` with a person's weights, of which nothing is kept. Raises EngineFailure.

        Where the backend can replace weights, the engine that is kept in `folder` is taken and given them. say: gets
        one line when that fails, and the engine is built for this person, which takes long.
        """
        backend = BACKENDS[self.backend]
        if backend.refitted is not None and folder is not None:
            refitted = backend.refitter()
            try:
                return refitted(path, own.tensors(), device=self.device, precision=self.precision, folder=folder)
            except Unavailable:
                raise
            except EngineFailure as error:
                say(f"{short_reason(error, path).rstrip('.')}: built anew with own weights")
        with own.file() as file:
            try:
                return self.open(file, threads, None)
            except Unavailable:
                raise
            except EngineFailure as error:
                raise EngineFailure(short_reason(error, file)) from error


def variant(network: Path, precision: str) -> Path:
    """generator.onnx → generator.int8.onnx; the network itself where the precision is no matter of the file."""
    return network.with_suffix(f".{precision}.onnx") if precision in OWN_FILES else network


def candidates(network: Path, backend: str, devices: Devices) -> list[Candidate]:
    """The ways in which `backend` can run the network, its exact numbers first. Only files that exist are offered."""
    found = []
    for device in devices.usable:
        on_cpu, on_npu = device == "cpu", device.startswith("npu")
        wanted = ["int8"] if on_cpu else ["fp16", "int8"] if on_npu else ["fp32", "fp16", "int8"]
        wanted = (["fp32", "bf16"] if device in devices.bf16 else ["fp32"]) + wanted if on_cpu else wanted
        found += [
            Candidate(backend, device, precision)
            for precision in wanted
            if precision not in OWN_FILES or variant(network, precision).is_file()
        ]
    return found


def asked_for(backend: str, precision: str) -> Candidate:
    """The candidate that a person named, as in "openvino" or "onnxruntime:cuda". Raises EngineFailure."""
    name, _, device = backend.partition(":")
    if name not in BACKENDS:
        raise EngineFailure(f"there is no engine '{name}': choose auto, {', '.join(BACKENDS)}")
    chosen = Candidate(name, device or BACKENDS[name].device, check_precision(precision).replace("auto", "fp32"))
    if not chosen.possible:
        why = FP16_ON_CPU if chosen.precision == "fp16" else "bf16 is for OpenVINO on CPUs that have it"
        raise EngineFailure(f"{chosen.label}: {why}: choose fp32")
    return chosen


def check_precision(precision: str) -> str:
    """`precision`, once it is known. Raises EngineFailure."""
    if precision != "auto" and precision not in PRECISIONS:
        raise EngineFailure(f"there is no precision '{precision}': choose auto, {', '.join(PRECISIONS)}")
    return precision


def installed_versions() -> dict[str, str]:
    """Package -> version of all that a choice depends on, without importing any of it."""
    found = {}
    for package in (
        "numpy", "onnxruntime", "onnxruntime-gpu", "onnxruntime-directml", "onnxruntime-openvino", "openvino",
        "tensorrt", "tensorrt-rtx",
    ):  # fmt: skip
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _named(name: str) -> Callable[..., object]:
    module, attribute = name.split(":")
    return cast(Callable[..., object], getattr(importlib.import_module(module), attribute))


def short_reason(error: EngineFailure, path: Path) -> str:
    """The message without what the line around it says anyway: the file, the library, and how to make the file."""
    text = str(error).removesuffix(REMAKE)
    for label in (*LABELS.values(), "TensorRT for RTX"):
        text = text.removeprefix(f"{label}: ")
    return re.sub(rf"^\S*{re.escape(path.name)} could not be loaded by [\w ]+: ", "", text)
