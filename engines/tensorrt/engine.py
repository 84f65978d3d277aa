"""TensorRT on an NVIDIA GPU: an extra (`pip install 'visavis[tensorrt]'`).

The engine is built from the ONNX file, or taken from a folder of engines (`cache`). A frame is copied once
into page-locked memory and once out of it; the network's kernels are launched as one CUDA graph.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines.backends import Devices, Say
from engines.engine import EngineDescription, EngineFailure, Tensors, Unavailable
from engines.files import sound_or_none, write_checked
from engines.network import TensorSpec, checked, network_file, one_line
from engines.tensorrt.build import DRIVER_TOO_OLD, PREAMBLE, Library, Target, dtype_of, library
from engines.tensorrt.cache import stored_engine
from engines.tensorrt.cuda import Cuda, driver_cuda


def devices() -> Devices:
    """The GPU. Raises EngineFailure when there is none, or no TensorRT that starts."""
    return Devices(library(present_capability()).version, ("gpu",), {})


class TensorRtEngine:
    """An ONNX file in TensorRT. Implements engines.engine.Engine."""

    def __init__(
        self,
        path: Path,
        threads: int | None = None,
        *,
        device: str = "gpu",
        folder: Path | None = None,
        precision: str = "fp32",
        refit: Sequence[str] = (),
        say: Say = lambda line: None,
    ) -> None:
        """Load `path`. `threads` means nothing on a GPU.

        device: "gpu", the first one. precision: what the file holds, or "tf32".
        refit: as for `build.Target`. folder, say: as for `cache.stored_engine`. Raises EngineFailure.
        """
        if device != "gpu":
            raise Unavailable(f"TensorRT: there is no device '{device}': choose gpu")
        self._name = Path(path).name
        path = network_file(path)
        self._cuda: Cuda | None = Cuda()
        self._kernels_path: Path | None = None
        try:
            self._library = library(self._cuda.capability)
            self._logger = self._library.logger()
            self._load(path, folder, precision, refit, say)
        except EngineFailure:
            self.close()
            raise
        except Exception as error:  # the binding raises RuntimeError, TypeError, ValueError and its own
            self.close()
            raise self._not_loaded(path, error) from error
        self._description = EngineDescription("tensorrt", self._library.version, self._cuda.name, precision, self._name)

    def _load(self, path: Path, folder: Path | None, precision: str, refit: Sequence[str], say: Say) -> None:
        cuda, library = _alive(self._cuda, self._name), self._library
        target = Target(cuda.capability, cuda.capability, precision, refit)
        stored = stored_engine(library, path, target, folder, say)
        self._runtime = library.module.Runtime(self._logger)
        self._engine = self._runtime.deserialize_cuda_engine(stored.plan)
        if self._engine is None:
            raise self._not_loaded(path)
        if stored.path is not None and library.compiles_when_run:
            gpu = hashlib.sha256(cuda.name.encode()).hexdigest()[:8]  # the kernels are compiled for one model of GPU
            self._kernels_path = stored.path.with_suffix(f".{gpu}.kernels")
        known = sound_or_none(self._kernels_path) if self._kernels_path else None
        self._context, self._kernels = library.execution_context(self._engine, known)
        if self._context is None:
            raise self._not_loaded(path)
        self._reserve(library, cuda)
        self._run(cuda)  # compiles what is compiled at first use, so that no frame waits for it
        cuda.wait()
        self._keep_kernels(say)

    def _reserve(self, library: Library, cuda: Cuda) -> None:
        """Page-locked memory and memory on the GPU for each input and output."""
        trt, engine = library.module, self._engine
        self.specs: dict[str, TensorSpec] = {}
        self._host: Tensors = {}
        self._address: dict[str, int] = {}
        self.inputs: dict[str, tuple[int, ...]] = {}
        self.outputs: dict[str, tuple[int, ...]] = {}
        for name in map(engine.get_tensor_name, range(engine.num_io_tensors)):
            spec = TensorSpec.of(tuple(engine.get_tensor_shape(name)), dtype_of(trt, engine.get_tensor_dtype(name)))
            host = cuda.pinned(spec.shape, spec.dtype)
            host[...] = 0
            self._host[name] = host
            self._address[name] = cuda.allocate(host.nbytes)
            if not self._context.set_tensor_address(name, self._address[name]):
                raise EngineFailure(f"{self._name}: {library.label} does not take the tensor {name}")
            if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT:
                self.specs[name] = spec
                self.inputs[name] = spec.shape
                cuda.upload(self._address[name], host)
            else:
                self.outputs[name] = spec.shape
        self._constant: dict[str, NDArray[np.generic]] = {}  # input -> the frozen array that lies on the GPU

    def infer(self, inputs: Mapping[str, NDArray[np.generic]]) -> Tensors:
        """As of Engine. An array that nobody can write to (no base, `writeable` False) is uploaded once only."""
        cuda = _alive(self._cuda, self._name)
        feed = checked(self.specs, inputs, self._name)
        try:
            cuda.enter()
            for name, array in feed.items():
                given = inputs[name]
                if self._constant.get(name) is given:
                    continue
                np.copyto(self._host[name], array)
                cuda.upload(self._address[name], self._host[name])
                if given.base is None and not given.flags.writeable:
                    self._constant[name] = given  # held, so that its identity stays its own
                else:
                    self._constant.pop(name, None)
            self._run(cuda)
            for name in self.outputs:
                cuda.download(self._host[name], self._address[name])
            cuda.wait()
        except EngineFailure as error:
            raise EngineFailure(f"{self._name} failed in {self._library.label}: {error}") from error
        # Copied, because the next frame overwrites the page-locked memory.
        return {name: self._host[name].copy() for name in self.outputs}

    def _run(self, cuda: Cuda) -> None:
        if cuda.has_graph:
            cuda.launch()
            return
        self._enqueue(cuda)
        if self._library.compiles_when_run:  # and then captures its own graph
            return
        cuda.wait()  # the first run, outside the capture, sets up what must not happen inside it
        cuda.begin_capture()
        try:
            self._enqueue(cuda)
        finally:
            cuda.end_capture()

    def _enqueue(self, cuda: Cuda) -> None:
        if not self._context.execute_async_v3(cuda.stream):
            raise EngineFailure(self._problems())

    def refit(self, weights: Mapping[str, NDArray[np.float32]]) -> None:
        """Replace weights that were named when the engine was loaded, e.g. by those of a fine-tuned network.

        weights: name in the ONNX file -> values, in the file's order. Raises EngineFailure.
        """
        cuda = _alive(self._cuda, self._name)
        trt = self._library.module
        if not self._engine.refittable:
            raise EngineFailure(f"{self._name} was built without weights that can be replaced")
        cuda.enter()
        cuda.wait()
        # The arrays must outlive the refitter, which keeps pointers to them.
        held = {name: np.ascontiguousarray(values, np.float32) for name, values in weights.items()}
        refitter = trt.Refitter(self._engine, self._logger)
        for name, values in held.items():
            if not refitter.set_named_weights(name, trt.Weights(values.reshape(-1))):
                raise EngineFailure(f"{self._name} has no weights '{name}' of {values.size} values to replace")
        if missing := refitter.get_missing_weights():
            raise EngineFailure(f"{self._name} also needs the weights {', '.join(sorted(missing))}")
        cuda.drop_graph()
        if not refitter.refit_cuda_engine():
            raise EngineFailure(f"{self._name}: {self._library.label} did not take the weights: {self._problems()}")
        self._run(cuda)  # so that no frame waits for what is compiled anew
        cuda.wait()

    def describe(self) -> EngineDescription:
        return self._description

    def close(self) -> None:
        cuda, self._cuda = self._cuda, None
        if cuda is None:
            return
        cuda.enter()
        self._host, self._constant = {}, {}
        self._context = self._kernels = self._engine = self._runtime = None  # in this order, before their memory
        cuda.close()

    def _keep_kernels(self, say: Say) -> None:
        """Keep what was compiled for this GPU, so that the next start is quick."""
        path = self._kernels_path
        if path is None or sound_or_none(path) is not None:
            return
        try:
            write_checked(path, bytes(self._kernels.serialize()))
        except OSError as error:
            say(f"{path} could not be written ({error.strerror}): the next start compiles again")

    def _not_loaded(self, path: Path, error: Exception | None = None) -> EngineFailure:
        """What to raise when TensorRT has not loaded the engine, for the reasons that it gave or for `error`."""
        logged = "; ".join(self._logger.problems)
        if DRIVER_TOO_OLD.search(f"{logged} {error}"):
            return Unavailable(
                f"TensorRT: the NVIDIA driver knows CUDA up to {driver_cuda()}, which is too old for "
                f"{self._library.label} {self._library.version}: update the driver"
            )
        reason = self._problems() if logged or error is None else one_line(error, PREAMBLE)
        return EngineFailure(f"{path} could not be loaded by {self._library.label}: {reason}")

    def _problems(self) -> str:
        text = "; ".join(dict.fromkeys(self._logger.problems))
        self._logger.problems.clear()
        return one_line(RuntimeError(text), PREAMBLE)


def refitted(
    path: Path,
    weights: Mapping[str, NDArray[np.float32]],
    *,
    device: str = "gpu",
    precision: str = "fp32",
    folder: Path | None = None,
) -> TensorRtEngine:
    """The engine of the network everybody shares, kept in `folder`, with these weights in place of the network's own.

    weights: as for `TensorRtEngine.refit`. Raises EngineFailure.
    """
    engine = TensorRtEngine(path, device=device, precision=precision, folder=folder, refit=sorted(weights))
    try:
        engine.refit(weights)
    except EngineFailure:
        engine.close()
        raise
    return engine


def present_capability() -> int:
    """The compute capability of the GPU in this computer (89 for 8.9). Raises EngineFailure when there is none."""
    cuda = Cuda()
    cuda.close()
    return cuda.capability


def _alive(cuda: Cuda | None, name: str) -> Cuda:
    if cuda is None:
        raise EngineFailure(f"{name}: this engine was closed")
    return cuda
