"""Export: standard operators, static shapes, and the same numbers as torch."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
import torch

from avatar.errors import InputError
from avatar.model.checkpoint import build_networks, load_weights, save_weights
from avatar.model.config import ModelConfig
from avatar.model.example import example_inputs
from avatar.model_files import model_file
from engines import open_engine
from export.to_onnx import MAX_DIFFERENCE, OPSET, export


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(3)
    folder = tmp_path_factory.mktemp("export")
    save_weights(folder / "any.safetensors", *build_networks(ModelConfig()), {"step": 7})
    report = export(folder / "any.safetensors", folder)
    assert [r.path.name for r in report] == ["embedder.onnx", "generator.onnx"]
    assert all(r.max_difference <= MAX_DIFFERENCE for r in report)
    return folder


@pytest.mark.parametrize("name", ["generator.onnx", "embedder.onnx"])
def test_graphs_are_plain_onnx(exported: Path, name: str) -> None:
    for path in (exported / name, model_file(f"fast/{name}")):
        graph = onnx.load(path)
        assert {(o.domain, o.version) for o in graph.opset_import} == {("", OPSET)}
        assert not graph.functions and not any(node.domain for node in graph.graph.node)
        shapes = [[d.dim_value for d in value.type.tensor_type.shape.dim] for value in graph.graph.input]
        assert all(all(shape) for shape in shapes)
        grids = [n for n in graph.graph.node if n.op_type == "GridSample"]
        assert bool(grids) == (name == "generator.onnx")
        text = path.read_bytes()
        assert str(Path(__file__).parents[1]).encode() not in text  # no path of the exporting machine


def test_the_shipped_graphs_are_the_shipped_weights() -> None:
    generator, embedder, _ = load_weights(model_file("fast/fast.safetensors"))
    fed = example_inputs(generator.config)
    drawing = fed.pop("source_drawing")
    with torch.no_grad():
        embedding, psi = embedder(fed["source"], drawing)
        face = generator(psi=psi, **fed)
    engine = open_engine(model_file("fast/embedder.onnx"))
    got = engine.infer({"picture": fed["source"].numpy(), "drawing": drawing.numpy()})
    assert abs(got["embedding"] - embedding.numpy()).max() < 1e-4
    engine = open_engine(model_file("fast/generator.onnx"))
    got = engine.infer({"psi": psi.numpy(), **{name: value.numpy() for name, value in fed.items()}})
    assert abs(got["face"] - face.numpy()).max() <= MAX_DIFFERENCE


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(model_file("fast/fast.safetensors").read_bytes()[:1000])
    with pytest.raises(InputError, match=r"damaged\.safetensors is no visavis checkpoint"):
        load_weights(damaged)
