"""OpenVINO on CPUs, and on Intel's GPUs and NPUs: an extra (`pip install 'visavis[openvino]'`).

Of the devices, only the CPU has been run.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engines.backends import Devices
from engines.engine import EngineDescription, EngineFailure, Tensors, Unavailable
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


ABSENT = {
    "cpu": "OpenVINO does not know this CPU",
    "gpu": "OpenVINO sees no Intel GPU (its driver on Debian and Ubuntu: sudo apt-get install intel-opencl-icd)",
    "npu": "OpenVINO sees no Intel NPU (its driver: https://github.com/intel/linux-npu-driver)",
}
# The numbers do not differ from machine to machine: where a CPU has bf16, OpenVINO would take it without being asked.
HINTS = {"fp32": "f32", "int8": "f32", "fp16": "f16", "bf16": "bf16"}


def devices() -> Devices:
    """The devices that OpenVINO sees: "cpu", "gpu" or "gpu.0", "gpu.1", …, "npu"."""
    core = ov.Core()
    seen = tuple(name.lower() for name in core.available_devices)
    absent = {device: reason for device, reason in ABSENT.items() if not any(name.startswith(device) for name in seen)}
    native = [name for name in seen if "BF16" in core.get_property(name.upper(), "OPTIMIZATION_CAPABILITIES")]
    return Devices(_version(), seen, absent, tuple(name for name in native if name == "cpu"))


class OpenVinoEngine:
    """An ONNX file in OpenVINO. Implements engines.engine.Engine."""

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

        device: as of `devices`. precision: what the file holds, or "bf16" for a file of float32 numbers on a CPU that
        computes in bfloat16. folder: for what is compiled for GPUs and NPUs. Raises EngineFailure.
        """
        self._name = Path(path).name
        path = network_file(path)
        count = thread_count(threads) if device == "cpu" else 0
        settings: dict[str, object] = {"PERFORMANCE_HINT": "LATENCY"}
        settings["INFERENCE_PRECISION_HINT"] = "f16" if device.startswith("npu") else HINTS[precision]
        if device == "cpu":
            settings["INFERENCE_NUM_THREADS"] = count
            # A thread that is pinned waits for its core while the tracker is on it.
            settings["ENABLE_CPU_PINNING"] = False
        elif folder is not None:
            settings["CACHE_DIR"] = str(folder / "openvino")
        if device != "cpu":
            _must_see(device)
        try:
            # Core.read_model would try its TensorFlow, Paddle and other readers on a file that is not ONNX.
            reader = FrontEndManager().load_by_framework("onnx")
            compiled = ov.Core().compile_model(reader.convert(reader.load(str(path))), device.upper(), settings)
            self._request: ov.InferRequest | None = compiled.create_infer_request()
            self.specs = {
                _name(port): TensorSpec.of(_shape(port), port.element_type.to_dtype()) for port in compiled.inputs
            }
            self.inputs = {name: spec.shape for name, spec in self.specs.items()}
            self.outputs = {_name(port): _shape(port) for port in compiled.outputs}
        except Exception as error:  # the binding raises RuntimeError, TypeError, ValueError and its own
            raise EngineFailure(f"{path} could not be loaded by OpenVINO: {one_line(error, PREAMBLE)}") from error
        self._description = EngineDescription("openvino", _version(), device, precision, self._name, count)

    def infer(self, inputs: Mapping[str, NDArray[np.generic]]) -> Tensors:
        if self._request is None:
            raise EngineFailure(f"{self._name}: this engine was closed")
        feed = checked(self.specs, inputs, self._name)
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


def _version() -> str:
    return str(ov.__version__).split("-")[0]


def _must_see(device: str) -> None:
    """Raises EngineFailure when there is no such device."""
    seen = devices()
    if device.partition(".")[0] not in ABSENT:
        raise Unavailable(f"OpenVINO: there is no device '{device}': choose {', '.join(ABSENT)}")
    if not any(name == device or name.startswith(device + ".") for name in seen.usable):
        raise Unavailable(f"OpenVINO: {seen.absent.get(device, f'sees no {device}')}")


def _shape(port: ConstOutput) -> tuple[int, ...]:
    return tuple(size.get_length() if size.is_static else -1 for size in port.get_partial_shape())


def _name(port: ConstOutput) -> str:
    return str(port.get_any_name())
