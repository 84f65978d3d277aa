"""Write generator and embedder as ONNX: standard operators only, static shapes, person parameters as inputs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from avatar.errors import VisavisError
from avatar.model.checkpoint import load_weights
from avatar.model.example import example_inputs
from engines import open_engine

OPSET = 20
MAX_DIFFERENCE = 1e-3  # of a picture in [0, 1], between torch and the exported graph


@dataclass(frozen=True)
class Exported:
    """One written network and how far it is from torch."""

    path: Path
    megabytes: float
    operators: dict[str, int]
    max_difference: float
    mean_difference: float


def export(weights: Path, out: Path) -> list[Exported]:
    """Write `generator.onnx` and `embedder.onnx` into `out` from a checkpoint, each checked by a forward pass.

    Raises VisavisError when a graph holds an operator outside the ONNX standard or differs from torch.
    """
    generator, embedder, _ = load_weights(weights)
    out.mkdir(parents=True, exist_ok=True)
    fed = example_inputs(generator.config)
    person = {name: fed.pop(name) for name in ("source", "source_drawing")}
    with torch.no_grad():
        _, psi = embedder(person["source"], person["source_drawing"])
    return [
        _write(embedder, {"picture": person["source"], "drawing": person["source_drawing"]},
               ["embedding", "psi"], out / "embedder.onnx"),
        _write(generator, {"source": person["source"], "psi": psi, **fed}, ["face"], out / "generator.onnx"),
    ]  # fmt: skip


def _write(network: nn.Module, inputs: dict[str, Tensor], outputs: list[str], path: Path) -> Exported:
    beside = path.with_name(path.name + ".part")
    torch.onnx.export(
        network,
        tuple(inputs.values()),
        beside,
        input_names=list(inputs),
        output_names=outputs,
        opset_version=OPSET,
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    graph = onnx.load(beside)
    graph.producer_name, graph.doc_string = "visavis", ""
    for node in graph.graph.node:  # stack traces of the exporting machine are nobody's business
        del node.metadata_props[:]
        node.doc_string = ""
    del graph.graph.metadata_props[:]
    onnx.save(graph, beside)
    onnx.checker.check_model(graph, full_check=True)
    foreign = {node.domain for node in graph.graph.node} - {"", "ai.onnx"}
    if foreign or graph.functions:
        beside.unlink()
        raise VisavisError(f"{path.name} would hold operators outside the ONNX standard: {sorted(foreign)}.")
    with torch.no_grad():
        result = network(*inputs.values())
    wanted = [t.numpy() for t in (result if isinstance(result, tuple) else (result,))]
    engine = open_engine(beside, backend="onnxruntime")
    got = engine.infer({name: value.numpy() for name, value in inputs.items()})
    engine.close()
    differences = [np.abs(got[name] - value) for name, value in zip(outputs, wanted, strict=True)]
    worst = max(float(d.max()) for d in differences)
    if not worst <= MAX_DIFFERENCE:
        beside.unlink()
        raise VisavisError(
            f"{path.name} differs from torch by {worst:.2g}, more than {MAX_DIFFERENCE:.0e}: not written."
        )
    beside.replace(path)
    operators: dict[str, int] = {}
    for node in graph.graph.node:
        operators[node.op_type] = operators.get(node.op_type, 0) + 1
    mean = float(np.mean([d.mean() for d in differences]))
    return Exported(path, path.stat().st_size / 1e6, dict(sorted(operators.items())), worst, mean)
