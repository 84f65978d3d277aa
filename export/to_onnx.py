"""Write generator and embedder as ONNX: standard operators only, static shapes, person parameters as inputs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from avatar.errors import UsageError, VisavisError
from avatar.model.checkpoint import load_weights
from avatar.model.config import ModelConfig
from avatar.model.embedder import Embedder
from avatar.model.example import example_inputs, layer_inputs
from avatar.model.generator import LAYERS, Generator, LayerGenerator
from engines import open_engine

OPSET = 20
FED = ("face_flow", "face_drawing", "mouth_flow", "mouth_drawing", "eyes_flow", "eyes_drawing")
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
    return [
        export_generator(generator, out / "generator.onnx"),
        _export_embedder(embedder, generator.config, out),
    ]


def export_generator(generator: Generator, path: Path) -> Exported:
    """Write one generator as it runs live: it gives layers, for an output of any size. Raises as `export` does."""
    live = LayerGenerator(generator.config)
    live.load_state_dict(generator.state_dict())
    return _write(live.eval(), layer_inputs(generator), list(LAYERS), path)


def export_picture(generator: Generator, path: Path, output_px: int = 512) -> Exported:
    """Write one generator with its warps inside of the graph: portraits of `output_px` in, pictures of that size out.

    `output_px` is a multiple of the size of training. Raises as `export` does.
    """
    if output_px % generator.config.picture_size_px:
        raise UsageError(
            f"The output's size must be a multiple of {generator.config.picture_size_px}, not {output_px}."
        )
    generator.output_px = output_px
    fed = example_inputs(generator.config, output_px)
    given = {name: fed[name] for name in ("source", "mouth_source", "eyes_source")}
    given["psi"] = torch.from_numpy(np.random.default_rng(3).normal(0, 0.1, (1, generator.psi_size)).astype(np.float32))
    given |= {name: fed[name] for name in FED}
    return _write(generator, given, ["face", "mouth", "eyes"], path)


def _export_embedder(embedder: Embedder, config: ModelConfig, out: Path) -> Exported:
    fed = example_inputs(config)
    given = {"picture": fed["source"], "drawing": fed["source_drawing"]}
    return _write(embedder, given, ["embedding", "psi"], out / "embedder.onnx")


def weight_layout(graph: onnx.ModelProto, data: bytes) -> list[list[Any]]:
    """Where the file holds each learned tensor: [name, offset in bytes, number of float32 values].

    With it, a person's own weights are put into a copy of the file by overwriting bytes (`avatar.identity.generator`):
    the live product needs no torch for that, and a bundle can change numbers but never the graph.
    """
    layout: list[list[Any]] = []
    end = 0  # the file holds the tensors in the graph's order
    for tensor in graph.graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT or not tensor.name.endswith((".weight", ".bias")):
            continue
        offset = data.index(tensor.raw_data, end)
        end = offset + len(tensor.raw_data)
        layout.append([tensor.name, offset, len(tensor.raw_data) // 4])
    return layout


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
    path.with_suffix(".layout.json").write_text(json.dumps(weight_layout(graph, path.read_bytes()), indent=1))
    operators: dict[str, int] = {}
    for node in graph.graph.node:
        operators[node.op_type] = operators.get(node.op_type, 0) + 1
    mean = float(np.mean([d.mean() for d in differences]))
    return Exported(path, path.stat().st_size / 1e6, dict(sorted(operators.items())), worst, mean)
