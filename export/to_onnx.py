"""Write networks as ONNX: standard operators only, static shapes, person parameters as inputs."""

from __future__ import annotations

import json
import logging
import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch

from avatar.core.errors import VisavisError
from engines import open_engine
from export.networks import Traced

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


def write_onnx(traced: Traced, path: Path) -> Exported:
    """Write a network in float32 and check it by a forward pass; the layout of its weights goes beside it.

    Raises VisavisError when the graph holds an operator outside the ONNX standard or differs from torch.
    """
    inputs, outputs = traced.inputs, traced.outputs
    with _quiet():
        torch.onnx.export(
            traced.network,
            tuple(inputs.values()),
            path,
            input_names=list(inputs),
            output_names=outputs,
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    graph = onnx.load(path)
    graph.producer_name, graph.doc_string = "visavis", ""
    for node in graph.graph.node:  # stack traces of the exporting machine are nobody's business
        del node.metadata_props[:]
        node.doc_string = ""
    del graph.graph.metadata_props[:]
    save_graph(graph, path)
    onnx.checker.check_model(graph, full_check=True)
    foreign = {node.domain for node in graph.graph.node} - {"", "ai.onnx"}
    if foreign or graph.functions:
        raise VisavisError(f"{path.name} would hold operators outside the ONNX standard: {sorted(foreign)}.")
    with torch.no_grad():
        result = traced.network(*inputs.values())
    wanted = [t.numpy() for t in (result if isinstance(result, tuple) else (result,))]
    engine = open_engine(path, backend="onnxruntime")
    got = engine.infer({name: value.numpy() for name, value in inputs.items()})
    engine.close()
    differences = [np.abs(got[name] - value) for name, value in zip(outputs, wanted, strict=True)]
    worst = max(float(d.max()) for d in differences)
    if not worst <= MAX_DIFFERENCE:
        raise VisavisError(
            f"{path.name} differs from torch by {worst:.2g}, more than {MAX_DIFFERENCE:.0e}: not written."
        )
    path.with_suffix(".layout.json").write_text(json.dumps(weight_layout(graph, path.read_bytes()), indent=1))
    operators: dict[str, int] = {}
    for node in graph.graph.node:
        operators[node.op_type] = operators.get(node.op_type, 0) + 1
    mean = float(np.mean([d.mean() for d in differences]))
    return Exported(path, path.stat().st_size / 1e6, dict(sorted(operators.items())), worst, mean)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what torch says of packages that are not needed, and of its own insides."""
    log = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            warnings.simplefilter("ignore", DeprecationWarning)
            yield
    finally:
        log.setLevel(level)


def save_graph(graph: onnx.ModelProto, path: Path) -> None:
    """Raises OSError, also where the disk fills up only when what was written is flushed."""
    with path.open("wb") as file:
        file.write(graph.SerializeToString())
        file.flush()
        os.fsync(file.fileno())


def weight_layout(graph: onnx.ModelProto, data: bytes) -> list[list[Any]]:
    """Where the file holds each learned tensor: [name, offset in bytes, number of float32 values].

    With it, a person's own weights are put into a copy of the file by overwriting bytes (`avatar.render.own_weights`):
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


@contextmanager
def staged(out: Path, private: bool = False) -> Iterator[Path]:
    """A folder whose files are moved into `out` when all went well: nothing is ever half-written there.

    private: they hold a person's weights, and become readable by their owner alone. Raises VisavisError where `out`
    cannot be written.
    """
    try:
        existed = out.exists()
        out.mkdir(mode=0o700 if private else 0o777, parents=True, exist_ok=True)
        try:
            with tempfile.TemporaryDirectory(prefix=".visavis-", dir=out, ignore_cleanup_errors=True) as folder:
                yield Path(folder)
                for path in sorted(Path(folder).iterdir()):
                    if private:
                        path.chmod(0o600)
                    path.replace(out / path.name)
        except BaseException:
            if not existed and not any(out.iterdir()):
                out.rmdir()
            raise
    except OSError as error:
        raise VisavisError(
            f"{out} cannot be written: {error.strerror or error}. Free some space, or name another folder with --out."
        ) from error
