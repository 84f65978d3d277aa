"""Write the face identity network as ONNX from the weights that dlib's author published.

    python -m export.face_identity avatar/weights/identity/face_identity.onnx

Reads `dlib_face_recognition_resnet_model_v1.dat` from the package `face-recognition-models`; dlib is not needed.
Sources: dlib/serialize.h and dlib/cuda/tensor_tools.cpp (the file's format), examples/dnn_face_recognition_ex.cpp (the
network), https://github.com/davisking/dlib-models (the weights, CC0).
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from avatar.core.arrays import Array
from avatar.core.errors import UsageError, VisavisError
from avatar.core.extras import install
from avatar.core.whole_file import whole_file
from engines import open_engine

OPSET = 20
CHIP_PX = 150
WEIGHTS = "dlib_face_recognition_resnet_model_v1.dat"
SHA256 = "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30"
MEAN_RGB = (122.782, 117.001, 104.298)
CONVOLUTIONS = 29
INT8_FROM = 40_000  # values of a weight; the 14 larger ones hold 93 % of all, the smaller ones cost accuracy
MAX_ERROR = 0.02  # L2, of a descriptor whose distance to another person's is about 0.8


@dataclass(frozen=True)
class Convolution:
    """A convolution with the affine layer after it folded in."""

    weight: Array  # (out, in, k, k)
    bias: Array  # (out,)
    stride: int
    padding: int


def find_weights() -> Path:
    """The published file inside the installed package, which is not imported. Raises UsageError."""
    spec = find_spec("face_recognition_models")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder, "models", WEIGHTS)
        if path.is_file():
            return path
    raise UsageError(f"{WEIGHTS} was not found. Run: {install('torch')}")


def read_weights(data: bytes) -> tuple[list[Convolution], Array]:
    """All convolutions from input to output, and the (128, 256) matrix at the end. Raises UsageError."""
    if (found := hashlib.sha256(data).hexdigest()) != SHA256:
        raise UsageError(f"This is not {WEIGHTS}: its SHA-256 is {found} instead of {SHA256}.")
    filters: tuple[Array, Array, int, int] | None = None
    final = np.empty((0, 0), np.float32)
    convolutions: list[Convolution] = []
    for layer, at in _layers(data):
        values, at = _tensor(data, at) if layer != "fc_2" else (np.empty(0, np.float32), at)
        if layer == "con_4":
            count, rows, columns, stride, _, padding, _ = (integer for integer, _ in _integers(data, at, 7))
            weight = values[:-count].reshape(count, -1, rows, columns)
            filters = weight, values[-count:], stride, padding
        elif layer == "affine_" and filters is not None:
            gamma, beta = values.reshape(2, -1)
            weight, bias, stride, padding = filters
            convolutions.append(Convolution(weight * gamma[:, None, None, None], bias * gamma + beta, stride, padding))
        elif layer == "fc_2":
            (outputs, _), (_, at) = _integers(data, at, 2)
            values, _ = _tensor(data, at)
            final = values.reshape(-1, outputs).T
    if len(convolutions) != CONVOLUTIONS:
        raise VisavisError(f"{WEIGHTS} gave {len(convolutions)} convolutions instead of {CONVOLUTIONS}.")
    return convolutions, final


def _layers(data: bytes) -> Iterator[tuple[str, int]]:
    """Kind of each layer that holds numbers, from the input on, and the place where its fields begin."""
    for match in re.finditer(rb"\x01([\x04\x05\x07])(con_4|affine_|fc_2)", data):
        if match[1][0] == len(match[2]):
            yield match[2].decode(), match.end()


def _integers(data: bytes, at: int, count: int) -> Iterator[tuple[int, int]]:
    """Each integer and the place after it: a byte with the length and the sign, then little-endian bytes."""
    for _ in range(count):
        length = data[at] & 0x0F
        value = int.from_bytes(data[at + 1 : at + 1 + length], "little")
        yield (-value if data[at] & 0x80 else value), (at := at + 1 + length)


def _tensor(data: bytes, at: int) -> tuple[Array, int]:
    """The values of a tensor (flat) and the place after it: version 2, four sizes, then little-endian floats."""
    *integers, (last, at) = _integers(data, at, 5)
    version, *sizes = [integer for integer, _ in integers]
    if version != 2:
        raise VisavisError(f"{WEIGHTS} holds a tensor of version {version} instead of 2.")
    count = int(np.prod([*sizes, last]))
    return np.frombuffer(data, "<f4", count, at).copy(), at + 4 * count


def build(convolutions: list[Convolution], final: Array, exact: bool = False) -> onnx.ModelProto:
    """The network: `chip` (1, 150, 150, 3) uint8 RGB to `descriptor` (1, 128) float32.

    Weights are stored as float32 where `exact`; otherwise the large ones as int8 with a scale per output channel and
    the others as float16. Engines fold the operators that bring them back to float32 when they load the network.
    """
    graph = _Graph(exact)
    graph.constant("mean", np.array(MEAN_RGB, np.float32).reshape(1, 3, 1, 1))
    graph.constant("range", np.array(256, np.float32))
    x = graph.add("Transpose", graph.add("Cast", "chip", to=TensorProto.FLOAT), perm=[0, 3, 1, 2])
    x = graph.add("Div", graph.add("Sub", x, "mean"), "range")
    stem, *blocks = convolutions
    x, size = graph.convolve(x, CHIP_PX, stem)
    x = graph.add("MaxPool", graph.add("Relu", x), kernel_shape=[3, 3], strides=[2, 2])
    size, channels = (size - 3) // 2 + 1, len(stem.bias)
    for first, second in zip(blocks[::2], blocks[1::2], strict=True):
        skip, skip_size = x, size
        if first.stride == 2:
            skip, skip_size = graph.add("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2]), size // 2
        y, inner = graph.convolve(x, size, first)
        y, inner = graph.convolve(graph.add("Relu", y), inner, second)
        # dlib adds tensors of different sizes as if the smaller went on with zeros
        size = max(inner, skip_size)
        y = graph.grow(y, 0, size - inner)
        skip = graph.grow(skip, len(second.bias) - channels, size - skip_size)
        x, channels = graph.add("Relu", graph.add("Add", y, skip)), len(second.bias)
    x = graph.add("Flatten", graph.add("GlobalAveragePool", x))
    graph.nodes.append(helper.make_node("Gemm", [x, graph.stored("final", final)], ["descriptor"], "final", transB=1))
    made = helper.make_graph(
        graph.nodes,
        "face_identity",
        [helper.make_tensor_value_info("chip", TensorProto.UINT8, [1, CHIP_PX, CHIP_PX, 3])],
        [helper.make_tensor_value_info("descriptor", TensorProto.FLOAT, [1, len(final)])],
        graph.constants,
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="visavis")
    model.ir_version = 10  # of the oldest ONNX Runtime that has opset 20
    onnx.checker.check_model(model, full_check=True)
    return model


class _Graph:
    def __init__(self, exact: bool) -> None:
        self._exact = exact
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._convolutions = 0

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Append a node with one output, whose name comes back."""
        name = f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], name, **attributes))
        return name

    def constant(self, name: str, values: NDArray[np.generic]) -> str:
        self.constants.append(numpy_helper.from_array(values, name))
        return name

    def stored(self, name: str, values: Array) -> str:
        """A weight in the precision of storage, and as float32 from then on."""
        if self._exact:
            return self.constant(name, values)
        if values.size < INT8_FROM:
            return self.add("Cast", self.constant(name, values.astype(np.float16)), to=TensorProto.FLOAT)
        scale = np.abs(values).reshape(len(values), -1).max(1).reshape(-1, *[1] * (values.ndim - 1)) / 127
        small = self.constant(name, np.rint(values / scale).astype(np.int8))
        wide = self.add("Cast", small, to=TensorProto.FLOAT)
        return self.add("Mul", wide, self.constant(f"{name}.scale", scale.astype(np.float32)))

    def convolve(self, x: str, size: int, layer: Convolution) -> tuple[str, int]:
        """Append a convolution of a `size`² picture; its output and the size of that."""
        name = f"convolution_{self._convolutions}"
        self._convolutions += 1
        weight, bias = self.stored(name, layer.weight), self.constant(f"{name}.bias", layer.bias)
        pads, strides = [layer.padding] * 4, [layer.stride] * 2
        made = self.add("Conv", x, weight, bias, pads=pads, strides=strides)
        return made, (size + 2 * layer.padding - layer.weight.shape[-1]) // layer.stride + 1

    def grow(self, x: str, channels: int, size: int) -> str:
        """Zeros after the last channel, row and column."""
        if not channels and not size:
            return x
        pads = self.constant(f"pads_{len(self.nodes)}", np.array([0, 0, 0, 0, 0, channels, size, size], np.int64))
        return self.add("Pad", x, pads)


def write(out: Path) -> float:
    """Write the network; its error on a grey ramp with noise: L2 between its descriptor and the exact one.

    Raises VisavisError, and writes nothing, when the error is above MAX_ERROR.
    """
    weights = read_weights(find_weights().read_bytes())
    ramp = np.linspace(0, 200, CHIP_PX)[None, :, None, None] + np.zeros((1, CHIP_PX, CHIP_PX, 3))
    chip = (ramp + np.random.default_rng(1).uniform(0, 55, ramp.shape)).astype(np.uint8)
    out.parent.mkdir(parents=True, exist_ok=True)
    descriptors = []
    with whole_file(out) as part:
        for exact in (True, False):
            onnx.save(build(*weights, exact), part)
            engine = open_engine(part, backend="onnxruntime")
            descriptors.append(np.asarray(engine.infer({"chip": chip})["descriptor"], np.float32))
            engine.close()
        error = float(np.linalg.norm(descriptors[0] - descriptors[1]))
        if not error <= MAX_ERROR:
            raise VisavisError(f"{out.name} differs from the published weights by {error:.2g}: not written.")
    return error


if __name__ == "__main__":
    path = Path(sys.argv[1])
    print(f"error {write(path):.4f} (L2 on noise); {path}: {path.stat().st_size / 1e6:.1f} MB")
