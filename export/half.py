"""FP16 written into the graph: halves wherever pictures do not suffer, float32 where they do, casts at the borders.

Inputs and outputs stay float32, so that every precision is fed alike. A region that is kept in float32 is whole: unlike
in onnxruntime's own converter, nothing is rounded between two of its nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from export.graphs import ROLES, float_tensors, load_typed, roles

MIN_PSNR_DB = 45.0
# Kept in float32, even where the frames at hand do not ask for it: another person's variances may overflow, and 11 bits
# are too few for places in a large picture.
ALWAYS_KEPT = ("sampling", "statistics")
FLOAT_ONLY = {"Resize": (1, 2)}  # inputs that the operator takes as float32 alone

Quality = Callable[[ModelProto], float]  # PSNR in dB of what a graph draws, against the float32 graph


@dataclass(frozen=True)
class Group:
    """The nodes of one role, and what halves there would cost."""

    role: str
    nodes: int
    psnr_db: float  # with halves here alone
    kept: str  # in float32: why; empty: halves


def halve(path: Path, quality: Quality, min_db: float = MIN_PSNR_DB) -> tuple[ModelProto, float, list[Group]]:
    """The FP16 graph of a float32 one, the quality of its pictures in dB, and a report.

    `quality` judges graphs that round as a GPU does, see `rounded`. Beside what is always kept, the roles whose keeping
    helps most are kept in float32, until the pictures are `min_db` near.
    """
    model = load_typed(path)
    role = roles(model)
    groups = [name for name in ROLES if name in role.values()]

    def graph(kept: Iterable[str]) -> ModelProto:
        chosen = set(kept)
        return to_half(model, {node for node, name in role.items() if name in chosen})

    alone = {name: quality(rounded(graph(set(groups) - {name}))) for name in groups}
    kept = {name: "may overflow or cancel" for name in groups if name in ALWAYS_KEPT}
    reached = quality(rounded(graph(kept)))
    while not reached >= min_db and len(kept) < len(groups):
        tried = {name: quality(rounded(graph({*kept, name}))) for name in groups if name not in kept}
        best = max(tried, key=lambda name: tried[name])
        kept[best] = f"{tried[best] - reached:+.1f} dB"
        reached = tried[best]
    members = list(role.values())
    report = [Group(name, members.count(name), alone[name], kept.get(name, "")) for name in groups]
    return graph(kept), reached, report


def to_half(model: ModelProto, kept: set[str]) -> ModelProto:
    """A graph of `load_typed` in float16, but for the nodes named in `kept`, with casts at the borders."""
    floats = float_tensors(model)
    result = ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    del graph.node[:], graph.initializer[:], graph.value_info[:]
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    outputs = {info.name for info in model.graph.output}
    halves: set[str] = set()  # tensors that exist as float16 alone
    cast: dict[tuple[str, bool], str] = {}  # (tensor, as half) -> its name in the result
    stored: dict[tuple[str, bool], str] = {}

    def operand(name: str, as_half: bool) -> str:
        if name not in floats:
            if name in weights and (name, False) not in stored:
                stored[name, False] = name
                graph.initializer.append(weights[name])
            return name
        if name in weights:
            if (name, as_half) not in stored:
                stored[name, as_half] = f"{name}.half" if as_half else name
                graph.initializer.append(_half_tensor(weights[name]) if as_half else weights[name])
            return stored[name, as_half]
        if as_half == (name in halves):
            return name
        if (name, as_half) not in cast:
            cast[name, as_half] = f"{name}.half" if as_half else f"{name}.float"
            kind = TensorProto.FLOAT16 if as_half else TensorProto.FLOAT
            target = cast[name, as_half]
            graph.node.append(helper.make_node("Cast", [name], [target], name=f"cast_{target}", to=kind))
        return cast[name, as_half]

    for node in model.graph.node:
        copy = NodeProto()
        copy.CopyFrom(node)
        half = node.name not in kept and any(name in floats for name in (*node.input, *node.output))
        for at, name in enumerate(node.input):
            if name:
                copy.input[at] = operand(name, half and at not in FLOAT_ONLY.get(node.op_type, ()))
        made = [name for name in node.output if name in floats]
        if half:
            for attribute in copy.attribute:
                if attribute.name == "to" and attribute.i == TensorProto.FLOAT:
                    attribute.i = TensorProto.FLOAT16
            for at, name in enumerate(node.output):
                if name in made and name in outputs:
                    copy.output[at] = cast[name, True] = f"{name}.half"
        graph.node.append(copy)
        for name in made if half else ():
            if name in outputs:
                whole = helper.make_node("Cast", [f"{name}.half"], [name], name=f"cast_{name}", to=TensorProto.FLOAT)
                graph.node.append(whole)
            else:
                halves.add(name)
    onnx.checker.check_model(result, full_check=True)
    return result


def rounded(model: ModelProto) -> ModelProto:
    """A float32 graph with the roundings of an FP16 one, as a GPU makes them.

    CPU engines compute halves in float32 and round less: ONNX Runtime takes the casts between two such nodes away.
    """
    typed = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    infos = [*typed.graph.input, *typed.graph.output, *typed.graph.value_info]
    halves = {info.name for info in infos if info.type.tensor_type.elem_type == TensorProto.FLOAT16}
    result = ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    del graph.node[:], graph.initializer[:], graph.value_info[:]
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT16:
            tensor = numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), tensor.name)
        graph.initializer.append(tensor)
    for node in model.graph.node:
        copy = NodeProto()
        copy.CopyFrom(node)
        if node.op_type == "Cast" and node.input[0] in halves:
            copy.CopyFrom(helper.make_node("Identity", node.input, node.output, name=node.name))
        for at, name in enumerate(node.output):
            if name in halves:
                copy.output[at] = f"{name}.exact"
        for attribute in copy.attribute:
            if attribute.name == "to" and attribute.i == TensorProto.FLOAT16:
                attribute.i = TensorProto.FLOAT
        graph.node.append(copy)
        for name in node.output:
            if name in halves:
                small, exact = f"{name}.rounded", f"{name}.exact"
                graph.node.append(helper.make_node("Cast", [exact], [small], to=TensorProto.FLOAT16))
                graph.node.append(helper.make_node("Cast", [small], [name], to=TensorProto.FLOAT))
    return result


def _half_tensor(tensor: TensorProto) -> TensorProto:
    values = numpy_helper.to_array(tensor)
    limit = float(np.finfo(np.float16).max)
    return numpy_helper.from_array(np.clip(values, -limit, limit).astype(np.float16), f"{tensor.name}.half")
