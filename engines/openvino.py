"""OpenVINO on the CPU: an extra (`pip install 'visavis[openvino]'`)."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engines.engine import EngineDescription, EngineFailure, Tensors
from engines.network import TensorSpec, checked, network_file, one_line, thread_count

# The package's model converter, which nothing here needs, starts a usage reporter on import.
CONVERTER = "openvino.tools.ovc"
_blocked = CONVERTER not in sys.modules
if _blocked:
    sys.modules[CONVERTER] = None  # type: ignore[assignment]
try:
    import openvino as ov
    from openvino.frontend import FrontEndManager
finally:
    if _blocked:
        del sys.modules[CONVERTER]

# Places in the C++ sources, which stand before the message proper.
PREAMBLE = re.compile(r"(Caught exception: )?(Exception from|Check '.*?' failed at) \S+:\d+:\s*")

if TYPE_CHECKING:
    from openvino import ConstOutput


class OpenVinoEngine:
    """An ONNX file in OpenVINO. Implements engines.engine.Engine."""

    def __init__(self, path: Path, threads: int | None = None, passed_over: Mapping[str, str] | None = None) -> None:
        """Load `path`. `threads` None: all usable cores but one. Raises EngineFailure."""
        self._name = Path(path).name
        path = network_file(path)
        count = thread_count(threads)
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": count,
            # A thread that is pinned waits for its core while the tracker is on it.
            "ENABLE_CPU_PINNING": False,
            # bf16 would be taken where the CPU has it, and the numbers would differ from machine to machine.
            "INFERENCE_PRECISION_HINT": "f32",
        }
        try:
            # Core.read_model would try its TensorFlow, Paddle and other readers on a file that is not ONNX.
            reader = FrontEndManager().load_by_framework("onnx")
            compiled = ov.Core().compile_model(reader.convert(reader.load(str(path))), "CPU", settings)
            self._request: ov.InferRequest | None = compiled.create_infer_request()
            self._specs = {
                _name(port): TensorSpec.of(_shape(port), port.element_type.to_dtype()) for port in compiled.inputs
            }
            self.inputs = {name: spec.shape for name, spec in self._specs.items()}
            self.outputs = {_name(port): _shape(port) for port in compiled.outputs}
        except Exception as error:  # the binding raises RuntimeError, TypeError, ValueError and its own
            raise EngineFailure(f"{path} could not be loaded by OpenVINO: {one_line(error, PREAMBLE)}") from error
        precision = "fp16" if any(spec.dtype == np.float16 for spec in self._specs.values()) else "fp32"
        self._description = EngineDescription(
            "openvino", ov.__version__.split("-")[0], "cpu", precision, self._name, count, dict(passed_over or {})
        )

    def infer(self, inputs: Mapping[str, NDArray[np.generic]]) -> Tensors:
        if self._request is None:
            raise EngineFailure(f"{self._name}: this engine was closed")
        feed = checked(self._specs, inputs, self._name)
        try:
            # Not `infer`: with one thread, OpenVINO 2026.4 swallows errors there and hands out empty arrays.
            self._request.start_async(feed, share_inputs=True)
            self._request.wait()
            # Copied, because the next frame overwrites the request's own memory.
            return {name: np.array(self._request.get_output_tensor(at).data) for at, name in enumerate(self.outputs)}
        except Exception as error:
            raise EngineFailure(f"{self._name} failed in OpenVINO: {one_line(error, PREAMBLE)}") from error

    def describe(self) -> EngineDescription:
        return self._description

    def close(self) -> None:
        self._request = None


def _shape(port: ConstOutput) -> tuple[int, ...]:
    return tuple(size.get_length() if size.is_static else -1 for size in port.get_partial_shape())


def _name(port: ConstOutput) -> str:
    return str(port.get_any_name())
