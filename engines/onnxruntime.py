"""ONNX Runtime: the engine that every installation has. On the CPU, and where its build has more, on other devices.

Of the devices, only the CPU has been run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines.backends import Devices
from engines.engine import EngineDescription, EngineFailure, Tensors, Unavailable
from engines.installing import pip
from engines.network import TensorSpec, checked, network_file, one_line, thread_count
from engines.quiet_onnxruntime import onnxruntime as ort

NUMPY_TYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
    "tensor(int8)": np.int8,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
}
# What stands before the message proper: its code, the path that our own message has, and a place in the C++ sources.
PREAMBLE = re.compile(
    r"^\[ONNXRuntimeError\] : \d+ : \w+ : |Load model from .*? failed: ?|/onnxruntime_src/\S+:\d+ .*?\) (?=\w)"
)
# device -> its provider, and the package whose build has it; "": none of this system's
# https://onnxruntime.ai/docs/execution-providers/
PROVIDERS = {
    "cpu": ("CPUExecutionProvider", ""),
    "cuda": ("CUDAExecutionProvider", "onnxruntime-gpu"),
    "tensorrt": ("TensorrtExecutionProvider", "onnxruntime-gpu"),
    "directml": ("DmlExecutionProvider", "onnxruntime-directml"),
    "coreml": ("CoreMLExecutionProvider", ""),
}
ONLY_ON = {"directml": "on Windows: ", "coreml": "only macOS has it"}
FATAL_ONLY = 4  # what goes wrong is raised; the runtime need not print it as well


def devices() -> Devices:
    """The devices for which this build has a provider. Whether they are there shows when a network is loaded."""
    built_in = ort.get_available_providers()
    absent = {
        device: f"not in this build of ONNX Runtime ({ONLY_ON.get(device, '')}{_instead(package)})"
        for device, (provider, package) in PROVIDERS.items()
        if provider not in built_in
    }
    return Devices(ort.__version__, tuple(device for device in PROVIDERS if device not in absent), absent)


def _instead(package: str) -> str:
    return f"{pip('uninstall onnxruntime')}; {pip(f'install {package}')}" if package else ""


class OnnxRuntimeEngine:
    """An ONNX file in ONNX Runtime. Implements engines.engine.Engine."""

    def __init__(
        self,
        path: Path,
        threads: int | None = None,
        *,
        device: str = "cpu",
        precision: str = "fp32",
        folder: Path | None = None,
    ) -> None:
        """Load `path`. `threads` None: all usable cores but one.

        device: of PROVIDERS. precision: what the file holds. folder: for the engines that "tensorrt" builds.
        Raises EngineFailure.
        """
        self._name = Path(path).name
        path = network_file(path)
        count = thread_count(threads)
        provider = _provider(device)
        # On Windows the official builds report usage unless they are told not to.
        ort.disable_telemetry_events()
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        options.intra_op_num_threads = count
        options.inter_op_num_threads = 1
        options.log_severity_level = FATAL_ONLY
        # Waiting threads that spin take the tracker's core. On 2 cores, with 2 threads at 25 frames/s, spinning won
        # 5 ms a frame when alone (15 against 19, for 127 % CPU against 78 %) and lost 40 when busy (80 against 40).
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if device == "directml":
            options.enable_mem_pattern = False  # which DirectML does not take
        settings: list[tuple[str, dict[str, str]]] = [(provider, _settings(device, folder))]
        if device != "cpu":
            settings.append((PROVIDERS["cpu"][0], {}))  # for the operators that the device lacks
        try:
            session = ort.InferenceSession(str(path), options, providers=settings)
        except Exception as error:  # the binding raises a dozen unrelated types, RuntimeError and its own among them
            raise EngineFailure(f"{path} could not be loaded by ONNX Runtime: {_reason(error)}") from error
        if provider not in session.get_providers():
            raise Unavailable(f"ONNX Runtime: {provider} found no device or no driver")
        session.disable_fallback()  # what fails is raised, and not done again on the CPU
        self._session: ort.InferenceSession | None = session
        self.specs = {tensor.name: _spec(tensor, self._name) for tensor in session.get_inputs()}
        self._output_names = [tensor.name for tensor in session.get_outputs()]
        self.inputs = {name: spec.shape for name, spec in self.specs.items()}
        self.outputs = {tensor.name: _shape(tensor) for tensor in session.get_outputs()}
        self._description = EngineDescription(
            "onnxruntime", ort.__version__, device, precision, self._name, count if device == "cpu" else 0
        )

    def infer(self, inputs: Mapping[str, NDArray[np.generic]]) -> Tensors:
        if self._session is None:
            raise EngineFailure(f"{self._name}: this engine was closed")
        feed = checked(self.specs, inputs, self._name)
        try:
            values = self._session.run(self._output_names, feed)
        except Exception as error:
            raise EngineFailure(f"{self._name} failed in ONNX Runtime: {_reason(error)}") from error
        return dict(zip(self._output_names, values, strict=True))

    def describe(self) -> EngineDescription:
        return self._description

    def close(self) -> None:
        self._session = None


def _provider(device: str) -> str:
    """The name of the device's provider. Raises EngineFailure when this build lacks it."""
    if device not in PROVIDERS:
        raise Unavailable(f"ONNX Runtime: there is no device '{device}': choose {', '.join(PROVIDERS)}")
    if reason := devices().absent.get(device):
        raise Unavailable(f"ONNX Runtime: {device}: {reason}")
    return PROVIDERS[device][0]


def _settings(device: str, folder: Path | None) -> dict[str, str]:
    if device == "tensorrt" and folder is not None:  # building takes long
        return {
            "trt_engine_cache_enable": "1",
            "trt_timing_cache_enable": "1",
            "trt_engine_cache_path": str(folder / "onnxruntime"),
            "trt_timing_cache_path": str(folder / "onnxruntime"),
        }
    if device == "cuda":
        return {"use_tf32": "0"}  # else "fp32" would compute with the ten bits of TF32
    return {}


def _shape(tensor: ort.NodeArg) -> tuple[int, ...]:
    return tuple(size if isinstance(size, int) else -1 for size in tensor.shape or ())


def _spec(tensor: ort.NodeArg, model: str) -> TensorSpec:
    if tensor.type not in NUMPY_TYPES:
        raise EngineFailure(f"{model}: input {tensor.name} is a {tensor.type}, which is no kind of picture or number")
    return TensorSpec.of(_shape(tensor), NUMPY_TYPES[tensor.type])


def _reason(error: BaseException) -> str:
    return one_line(error, PREAMBLE)
