"""An ONNX network made into a TensorRT engine, by TensorRT for RTX or by the classic TensorRT (10 and 11).

TensorRT for RTX builds for any of its compute capabilities without a GPU; the classic one for the GPU that is present.
Networks are strongly typed: precision is what the ONNX file says, but for TF32 inside float32 arithmetic.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engines.engine import EngineFailure
from engines.installing import pip
from engines.network import REMAKE, TensorSpec, one_line

INSTALL = pip("install 'visavis[tensorrt]'")
LIBRARIES = {"rtx": ("TensorRT for RTX", "tensorrt_rtx"), "classic": ("TensorRT", "tensorrt")}
PRECISIONS = ("fp32", "tf32")  # of a file of float32 numbers
OF_THE_FILE = ("fp16", "bf16", "int8")  # as the file says
NOWHERE = f"{os.devnull}/network.onnx"  # beside which the parser looks for weights in other files: there are none
FIRST_WITH_FP32_PRODUCTS = (
    80  # TensorRT for RTX refuses float32 matrix products on Turing ("FP32 GEMM is not supported")
)
PREAMBLE = re.compile(r"^I\w+::\w+: |\[\w+\.cpp::\w+::\d+\] |Error Code \d+: | ?[Ii]n \w+ at /_src/\S+|At /_src/\S+")
# cudaErrorInsufficientDriver, which stands before everything else that then goes wrong
DRIVER_TOO_OLD = re.compile(r"driver version is insufficient|error:? 35\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Library:
    """One of the two packages; all that differs between them is here."""

    flavour: str  # a key of LIBRARIES
    module: Any

    @property
    def label(self) -> str:
        return LIBRARIES[self.flavour][0]

    @property
    def version(self) -> str:
        return str(self.module.__version__)

    @property
    def times_when_built(self) -> bool:
        """Whether building tries kernels on the GPU, and keeps how long each took."""
        return self.flavour == "classic"

    @property
    def compiles_when_run(self) -> bool:
        """Whether kernels are compiled by the execution context, which then captures its own CUDA graph as well."""
        return self.flavour == "rtx"

    def capabilities(self) -> tuple[int, ...]:
        """The compute capabilities for which this package builds without a GPU."""
        if self.flavour != "rtx":
            return ()
        members = self.module.ComputeCapability.__members__
        return tuple(sorted(int(name[2:]) for name in members if re.fullmatch(r"SM\d+", name)))

    def network_flags(self) -> int:
        flags = self.module.NetworkDefinitionCreationFlag  # 11 knows no other than strongly typed networks
        return 1 << int(flags.STRONGLY_TYPED) if hasattr(flags, "STRONGLY_TYPED") else 0

    def aim(self, settings: Any, target: Target) -> None:
        """Point an IBuilderConfig at the target's GPU. Raises EngineFailure when this package cannot build for it."""
        capability = target.capability
        if self.flavour == "rtx":
            if capability not in self.capabilities():
                known = ", ".join(map(str, self.capabilities()))
                raise EngineFailure(
                    f"{self.label} {self.version} does not build for compute capability {capability}: it knows {known}"
                )
            settings.num_compute_capabilities = 1
            settings.set_compute_capability(getattr(self.module.ComputeCapability, f"SM{capability}"), 0)
        elif capability != target.present:
            raise EngineFailure(
                f"{self.label} builds only for the GPU in this computer ({target.present or 'none was found'}), "
                f"not for compute capability {capability}: {INSTALL}"
            )

    def execution_context(self, engine: Any, kernels: bytes | None) -> tuple[Any, Any]:
        """An IExecutionContext, or None when there can be none, and its IRuntimeCache, which fills as it runs.

        kernels: the serialised cache of an earlier run. The classic package has no such cache (None).
        """
        if not self.compiles_when_run:
            return engine.create_execution_context(), None
        settings = engine.create_runtime_config()
        settings.cuda_graph_strategy = self.module.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
        cache = settings.create_runtime_cache()
        if kernels:
            cache.deserialize(kernels)
        settings.set_runtime_cache(cache)
        return engine.create_execution_context(settings), cache

    def logger(self) -> Any:
        """An ILogger that prints nothing and keeps what went wrong in its list `problems`."""
        base: Any = self.module.ILogger
        errors = (base.Severity.INTERNAL_ERROR, base.Severity.ERROR)

        class Problems(base):  # type: ignore[misc]
            def __init__(self) -> None:
                base.__init__(self)
                self.problems: list[str] = []

            def log(self, severity: Any, message: str) -> None:
                if severity in errors:
                    self.problems.append(message)

        return Problems()


@dataclass(frozen=True, slots=True)
class Target:
    """What an engine is built for."""

    capability: int  # the compute capability of the GPU that runs it: 89 for 8.9
    present: int | None = None  # that of the GPU in this computer
    precision: str = "fp32"  # what the file holds, or "tf32": tensor cores with ten bits of mantissa for float32
    refit: Sequence[str] = ()  # names in the ONNX file of weights that `TensorRtEngine.refit` can replace


@dataclass(frozen=True, slots=True)
class Built:
    """A serialised engine and what the parsed network says of itself."""

    plan: bytes
    inputs: dict[str, TensorSpec]
    outputs: dict[str, TensorSpec]
    seconds: float


@dataclass(slots=True)
class Timings:
    """How long kernels took when engines were built on this GPU, as the classic TensorRT serialises it."""

    data: bytes = b""


def library(capability: int | None = None) -> Library:
    """The package that builds for `capability`: TensorRT for RTX where it does, else the classic one.

    Raises EngineFailure when none is installed and starts.
    """
    reasons = []
    first: Library | None = None
    for flavour, (label, name) in LIBRARIES.items():
        if importlib.util.find_spec(name) is None:
            continue
        try:
            found = Library(flavour, importlib.import_module(name))
            _ = found.module.Builder, found.version  # the classic package can be there without its libraries
        except (ImportError, OSError, RuntimeError, AttributeError) as error:
            reasons.append(f"{label} is installed, but does not start: {one_line(error, PREAMBLE)}")
            continue
        if capability is None or flavour == "classic" or capability in found.capabilities():
            return found
        first = first or found
    if first:
        return first
    raise EngineFailure("; ".join(reasons) or f"TensorRT is not installed ({INSTALL})")


def build(library: Library, onnx: bytes, name: str, target: Target, timings: Timings | None = None) -> Built:
    """Build an engine of the ONNX file `onnx`, called `name` in messages.

    timings: what the classic package timed in earlier builds on this GPU. It takes from there, and adds to it.
    Raises EngineFailure.
    """
    if target.precision not in (*PRECISIONS, *OF_THE_FILE):
        raise EngineFailure(f"there is no precision '{target.precision}' in TensorRT: choose {' or '.join(PRECISIONS)}")
    try:
        return _built(library, onnx, name, target, timings)
    except EngineFailure as failure:
        # Else TensorRT's objects live on in the failure's frames until the garbage collector comes, perhaps inside
        # `log`, and to free them there waits for ever for a lock that the next builder holds.
        for error in (failure, failure.__cause__):
            traceback.clear_frames(error.__traceback__ if error else None)
        raise


def _built(library: Library, onnx: bytes, name: str, target: Target, timings: Timings | None) -> Built:
    started = time.perf_counter()
    trt, logger = library.module, library.logger()
    try:
        builder = trt.Builder(logger)
        network = builder.create_network(library.network_flags())
        parser = trt.OnnxParser(network, logger)
        if not parser.parse(onnx, NOWHERE):
            errors = "; ".join(_parser_error(parser.get_error(at)) for at in range(parser.num_errors))
            raise EngineFailure(_failed(name, library, errors or "; ".join(logger.problems)))
        settings = builder.create_builder_config()
        library.aim(settings, target)
        if target.capability < FIRST_WITH_FP32_PRODUCTS and library.flavour == "rtx":
            _spell_out_products(trt, network)
        if target.precision != "tf32":
            settings.clear_flag(trt.BuilderFlag.TF32)
        if timings is not None and library.times_when_built:
            settings.set_timing_cache(settings.create_timing_cache(timings.data), False)
        if target.refit:
            _mark(network, target.refit, name, library)
            if target.present is None:
                # TensorRT for RTX 1.7 compiles the refittable parts on the GPU, and fails without one.
                raise EngineFailure(f"{name}: an engine whose weights can be replaced is built only on a GPU")
            settings.set_flag(trt.BuilderFlag.REFIT_INDIVIDUAL)
        inputs = {t.name: _spec(trt, t) for t in map(network.get_input, range(network.num_inputs))}
        outputs = {t.name: _spec(trt, t) for t in map(network.get_output, range(network.num_outputs))}
        if any(-1 in spec.shape for spec in inputs.values()):
            raise EngineFailure(f"{name} takes inputs of any size, for which no TensorRT engine is made here")
        plan = builder.build_serialized_network(network, settings)
        if timings is not None and library.times_when_built and plan is not None:
            timings.data = bytes(settings.get_timing_cache().serialize())
    except EngineFailure:
        raise
    except Exception as error:  # the binding raises RuntimeError, TypeError, ValueError and its own
        raise EngineFailure(_failed(name, library, str(error))) from error
    if plan is None:
        raise EngineFailure(_failed(name, library, "; ".join(logger.problems)))
    return Built(bytes(plan), inputs, outputs, time.perf_counter() - started)


def _spell_out_products(trt: Any, network: Any) -> None:
    """Replace each product of a row (1, K) and a transposed matrix (N, K) by K multiplications and a sum, in float32.

    A fully connected layer for one picture is such a product; others are left to TensorRT.
    """
    transposed = (trt.MatrixOperation.NONE, trt.MatrixOperation.TRANSPOSE)
    layers = [network.get_layer(at) for at in range(network.num_layers)]
    for layer in layers:
        if layer.type != trt.LayerType.MATRIX_MULTIPLY:
            continue
        layer.__class__ = trt.IMatrixMultiplyLayer
        row, matrix, product = layer.get_input(0), layer.get_input(1), layer.get_output(0)
        if (layer.op0, layer.op1) != transposed or len(row.shape) != 2 or row.shape[0] != 1 or len(matrix.shape) != 2:
            continue
        terms = network.add_elementwise(row, matrix, trt.ElementWiseOperation.PROD).get_output(0)  # (N, K)
        sums = network.add_reduce(terms, trt.ReduceOperation.SUM, 1 << 1, False).get_output(0)  # (N,)
        shuffle = network.add_shuffle(sums)
        shuffle.reshape_dims = (1, matrix.shape[0])
        for user in layers:
            for at in range(user.num_inputs):
                tensor = user.get_input(at)
                if tensor is not None and tensor.name == product.name:
                    user.set_input(at, shuffle.get_output(0))


def _mark(network: Any, names: Sequence[str], name: str, library: Library) -> None:
    for weight in names:
        if not network.mark_weights_refittable(weight):
            raise EngineFailure(f"{name} has no weights '{weight}' that {library.label} could replace")


def _spec(trt: Any, tensor: Any) -> TensorSpec:
    return TensorSpec.of(tuple(tensor.shape), dtype_of(trt, tensor.dtype))


def dtype_of(trt: Any, dtype: Any) -> np.dtype[np.generic]:
    """numpy's type for a trt.DataType. Raises EngineFailure for those that numpy has not."""
    try:
        found: np.dtype[np.generic] = np.dtype(trt.nptype(dtype))
        return found
    except TypeError:
        raise EngineFailure(f"a tensor of the type {dtype} is no kind of picture or number") from None


def _parser_error(error: Any) -> str:
    about = " ".join(part for part in (error.node_operator(), error.node_name()) if part)
    return f"{error.desc()} ({about})" if about else str(error.desc())


def _failed(name: str, library: Library, why: str) -> str:
    reason = one_line(RuntimeError(why), PREAMBLE)
    return f"{name} could not be loaded by {library.label}: {reason}{REMAKE}"
