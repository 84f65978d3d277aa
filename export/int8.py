"""INT8 as Q/DQ: convolutions between QuantizeLinear and DequantizeLinear, their ranges taken from real frames.

By ONNX Runtime's quantiser, with a scale for each output channel of a weight. Layers that hurt stay in float32.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantType
from onnxruntime.quantization.calibrate import create_calibrator
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

from engines.engine import Tensors
from export.graphs import load_typed

MIN_PSNR_DB = 35.0  # less is left out
# What is sought, over all pictures and of the worst: more than is promised, for other people's faces may be harder.
AIM_DB, AIM_WORST_DB = 45.0, 40.0
MAX_KEPT_SHARE = 0.5  # of the layers; with more of them in float32 there is nothing left to gain
LAYERS = ("Conv", "MatMul", "Gemm")

# PSNR in dB of what a graph draws, against the float32 graph: over all pictures, and of the worst
Quality = Callable[[ModelProto], tuple[float, float]]
Progress = Callable[[float], None]  # share done


@dataclass(frozen=True)
class Layer:
    """One layer, and what INT8 there would cost."""

    name: str  # of its weight, or of the node where it has none
    values: int  # of its weight
    psnr_db: float  # with this layer alone in INT8
    kept: str  # in float32: why; empty: INT8


def quantise(
    path: Path,
    fed: Sequence[Tensors],
    quality: Quality,
    *,
    signed: bool = False,
    progress: Progress = lambda share: None,
) -> tuple[ModelProto | None, float, list[Layer]]:
    """The INT8 graph of a float32 one (None: no good one was found), the dB that it reaches, and a report per layer.

    fed: inputs of real frames, for calibration. The last layers stay in float32: their steps would show, in eyes that a
    whole picture's PSNR hardly counts. Then those that hurt most when they alone are in INT8, one after another, until
    the pictures are as near as is sought.
    signed: activations symmetric around zero, as TensorRT takes them. Otherwise with a zero point: ONNX Runtime on x86
        has fast kernels for no other, and ranges that lie to one side, as after an activation, lose no bit. Weights
        have seven bits then: with eight, a CPU without VNNI overflows the 16 bits in which it adds two products.
    """
    model = load_typed(path)
    weights = {tensor.name: int(np.prod(tensor.dims)) for tensor in model.graph.initializer}
    layers: dict[str, tuple[str, int]] = {}
    for node in model.graph.node:
        if node.op_type in LAYERS:
            learned = node.input[1] if node.input[1] in weights else ""
            layers[node.name] = learned.removesuffix(".weight") or node.name, weights.get(learned, 0)
    ranges = _ranges(model, fed)

    def graph(chosen: Collection[str]) -> ModelProto:
        return _with_qdq(model, ranges, chosen, signed)

    alone = {}
    for at, name in enumerate(layers):
        alone[name], _ = quality(graph([name]))
        progress((at + 1) / (len(layers) + 1))
    kept = dict.fromkeys(_last(model, layers), "last")
    result = graph(layers.keys() - kept.keys())
    reached, worst = quality(result)
    for name in sorted(layers, key=lambda name: alone[name]):
        if (reached >= AIM_DB and worst >= AIM_WORST_DB) or len(kept) + 1 > MAX_KEPT_SHARE * len(layers):
            break
        if name not in kept:
            before = reached
            result = graph(layers.keys() - kept.keys() - {name})
            reached, worst = quality(result)
            kept[name] = f"{reached - before:+.1f} dB"
    report = [Layer(*layers[name], alone[name], kept.get(name, "")) for name in layers]
    return (result if reached >= MIN_PSNR_DB else None), reached, report


def _last(model: ModelProto, layers: Collection[str]) -> list[str]:
    """The layers that no other one follows."""
    followed: set[str] = set()  # tensors on the way to a layer
    last = []
    for node in reversed(model.graph.node):
        leads_on = any(name in followed for name in node.output)
        if node.name in layers and not leads_on:
            last.append(node.name)
        if node.name in layers or leads_on:
            followed.update(node.input)
    return last


def _ranges(model: ModelProto, fed: Sequence[Tensors]) -> Any:
    """Range of each activation over the real frames, without the outermost values."""

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._rows = iter(fed)

        def get_next(self) -> Mapping[str, NDArray[np.generic]] | None:
            return next(self._rows, None)

    # it prints as it goes, and standard output is for the report
    with TemporaryDirectory(prefix="visavis-") as folder, redirect_stdout(io.StringIO()):
        whole = Path(folder, "typed.onnx")
        onnx.save(model, whole)
        calibrator = create_calibrator(
            str(whole),
            list(LAYERS),
            augmented_model_path=str(Path(folder, "augmented.onnx")),
            calibrate_method=CalibrationMethod.Percentile,
        )
        calibrator.collect_data(Reader())
        return calibrator.compute_data()


def _with_qdq(model: ModelProto, ranges: Any, chosen: Collection[str], signed: bool) -> ModelProto:
    copy = ModelProto()
    copy.CopyFrom(model)
    quantiser = QDQQuantizer(
        copy,
        per_channel=True,
        reduce_range=not signed,  # of the weights
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QInt8 if signed else QuantType.QUInt8,
        tensors_range=ranges,
        nodes_to_quantize=list(chosen),
        nodes_to_exclude=[],
        op_types_to_quantize=list(LAYERS),
        # TensorRT takes no quantised bias
        extra_options={"ActivationSymmetric": signed, "WeightSymmetric": True, "QuantizeBias": False},
    )
    with redirect_stdout(io.StringIO()):
        quantiser.quantize_model()
    quantiser.model.topological_sort()  # as the standard asks
    made: ModelProto = quantiser.model.model
    made.producer_name, made.ir_version = "visavis", model.ir_version
    del made.opset_import[1:]
    return made
