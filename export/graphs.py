"""ONNX graphs as the precisions need them: every tensor's type known, and the role that each node plays."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import onnx
from onnx import NodeProto, TensorProto

CONVOLUTIONS = frozenset({"Conv", "ConvTranspose", "MatMul", "Gemm"})
# where halves overflow or cancel: means, variances, logarithms, softmax
STATISTICS = frozenset(
    {"ReduceMean", "ReduceSum", "ReduceMax", "Pow", "Sqrt", "Reciprocal", "Div", "Log", "Exp", "Softmax"}
    | {"InstanceNormalization", "LayerNormalization", "GroupNormalization"}
)
# sampling: GridSample, and what makes its places; statistics: means, variances, logarithms and softmax, with the
# squares that lead to them; entry and exit: no convolution before, or none after; between: the rest
ROLES = ("sampling", "statistics", "entry", "exit", "convolution", "between")


def load_typed(path: Path) -> onnx.ModelProto:
    """The graph with every tensor's shape and type, every node named, and constants as initialisers."""
    model = onnx.shape_inference.infer_shapes(onnx.load(path), strict_mode=True, data_prop=True)
    for number, node in enumerate(model.graph.node):
        node.name = node.name or f"{node.op_type}_{number}"
    for node in [node for node in model.graph.node if node.op_type == "Constant" and node.attribute[0].HasField("t")]:
        tensor = node.attribute[0].t
        tensor.name = node.output[0]
        model.graph.initializer.append(tensor)
        model.graph.node.remove(node)
    return model


def float_tensors(model: onnx.ModelProto) -> set[str]:
    """Names of all tensors of 32-bit floats."""
    graph = model.graph
    infos = [*graph.input, *graph.output, *graph.value_info]
    named = {info.name for info in infos if info.type.tensor_type.elem_type == TensorProto.FLOAT}
    return named | {tensor.name for tensor in graph.initializer if tensor.data_type == TensorProto.FLOAT}


def roles(model: onnx.ModelProto) -> dict[str, str]:
    """Name of each node -> one of ROLES."""
    nodes = list(model.graph.node)
    maker = {name: node for node in nodes for name in node.output}
    users: dict[str, list[NodeProto]] = defaultdict(list)
    for node in nodes:
        for name in node.input:
            users[name].append(node)

    def feeders(node: NodeProto) -> list[NodeProto]:
        return [maker[name] for name in node.input if name in maker]

    after, before = set(), set()  # nodes with a convolution upstream, and downstream
    for node in nodes:
        if any(feeder.name in after or feeder.op_type in CONVOLUTIONS for feeder in feeders(node)):
            after.add(node.name)
    for node in reversed(nodes):
        following = (user for name in node.output for user in users[name])
        if any(user.name in before or user.op_type in CONVOLUTIONS for user in following):
            before.add(node.name)
    sampling = {node.name for node in nodes if node.op_type == "GridSample"}
    waiting = [maker[node.input[1]] for node in nodes if node.op_type == "GridSample" and node.input[1] in maker]
    while waiting:
        node = waiting.pop()
        if node.name not in sampling and node.op_type not in CONVOLUTIONS:
            sampling.add(node.name)
            waiting += feeders(node)
    statistics = {node.name for node in nodes if node.op_type in STATISTICS}
    waiting = [feeder for node in nodes if node.op_type in STATISTICS for feeder in feeders(node)]
    while waiting:
        node = waiting.pop()
        square = node.op_type == "Mul" and len(set(node.input)) == 1
        shifted = node.op_type == "Add" and any(name not in maker for name in node.input)  # the variance's ε
        if node.name not in statistics and (square or shifted or node.op_type == "Sub"):
            statistics.add(node.name)
            waiting += feeders(node)

    def role(node: NodeProto) -> str:
        if node.op_type in CONVOLUTIONS:
            return "convolution"
        if node.name in sampling or node.name in statistics:
            return "sampling" if node.name in sampling else "statistics"
        if node.name not in after:
            return "entry"
        return "between" if node.name in before else "exit"

    return {node.name: role(node) for node in nodes}
