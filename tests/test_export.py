"""Export: standard operators, static shapes, and the same numbers as torch."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
import torch

from avatar.core.errors import InputError
from avatar.core.model_files import model_file
from avatar.model.checkpoint import build_networks, load_weights, save_weights
from avatar.model.config import ModelConfig
from avatar.model.generator import LayerGenerator
from avatar.render.generator import weight_names, with_weights
from engines import open_engine
from export.example import example_inputs, layer_inputs
from export.networks import load_networks
from export.package import PackageOptions, package
from export.to_onnx import MAX_DIFFERENCE, OPSET


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(3)
    folder = tmp_path_factory.mktemp("export")
    generator, embedder = build_networks(ModelConfig())
    with torch.no_grad():  # equal biases, such as new ones, would be stored once
        for parameter in generator.parameters():
            parameter.add_(torch.randn_like(parameter) * 1e-3)
    save_weights(folder / "any.safetensors", generator, embedder, {"step": 7})
    report = package(load_networks(folder / "any.safetensors"), folder)
    assert [file.path for file in report.files] == [folder / "generator.onnx", folder / "embedder.onnx"]
    assert all(file.max_difference <= MAX_DIFFERENCE for file in report.files)
    return folder


@pytest.mark.parametrize("name", ["generator.onnx", "embedder.onnx"])
def test_graphs_are_plain_onnx(exported: Path, name: str) -> None:
    for path in (exported / name, model_file(f"fast/{name}")):
        graph = onnx.load(path)
        assert {(o.domain, o.version) for o in graph.opset_import} == {("", OPSET)}
        assert not graph.functions and not any(node.domain for node in graph.graph.node)
        shapes = [[d.dim_value for d in value.type.tensor_type.shape.dim] for value in graph.graph.input]
        assert all(all(shape) for shape in shapes)
        assert not any(node.op_type == "GridSample" for node in graph.graph.node)  # portraits are warped outside
        text = path.read_bytes()
        assert str(Path(__file__).parents[1]).encode() not in text  # no path of the exporting machine


def test_the_shipped_graphs_are_the_shipped_weights() -> None:
    generator, embedder, _ = load_weights(model_file("fast/fast.safetensors"))
    fed = example_inputs(generator.config)
    picture, drawing = fed["source"], fed["source_drawing"]
    with torch.no_grad():
        embedding, psi = embedder(picture, drawing)
    engine = open_engine(model_file("fast/embedder.onnx"))
    got = engine.infer({"picture": picture.numpy(), "drawing": drawing.numpy()})
    assert abs(got["embedding"] - embedding.numpy()).max() < 1e-4
    live = LayerGenerator(generator.config)
    live.load_state_dict(generator.state_dict())
    given = layer_inputs(generator) | {"psi": psi}
    with torch.no_grad():
        layers = live(*given.values())
    engine = open_engine(model_file("fast/generator.onnx"))
    got = engine.infer({name: value.numpy() for name, value in given.items()})
    for name, wanted in zip(LayerGenerator.OUTPUTS, layers, strict=True):
        assert abs(got[name] - wanted.numpy()).max() <= MAX_DIFFERENCE


def input_ranks(model: onnx.ModelProto, kind: str) -> list[list[int]]:
    """For every node of a kind, the ranks of its inputs, by shape inference."""
    graph = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
    infos = [*graph.input, *graph.output, *graph.value_info]
    rank = {info.name: len(info.type.tensor_type.shape.dim) for info in infos}
    rank |= {tensor.name: len(tensor.dims) for tensor in graph.initializer}
    return [[rank[name] for name in node.input if name] for node in graph.node if node.op_type == kind]


def test_a_graph_that_warps_by_itself_samples_in_two_dimensions(tmp_path: Path) -> None:
    networks = load_networks(model_file("fast/fast.safetensors"))
    report = package(networks, tmp_path, PackageOptions(size_px=512, batch=2, embedder=False))
    assert report.files[0].max_difference <= MAX_DIFFERENCE
    graph = onnx.load(tmp_path / "generator_512_batch2.onnx")
    assert input_ranks(graph, "GridSample")
    assert all(rank == 4 for ranks in input_ranks(graph, "GridSample") for rank in ranks)
    face = next(output for output in graph.graph.output if output.name == "face")
    assert [size.dim_value for size in face.type.tensor_type.shape.dim] == [2, 3, 512, 512]


def test_a_persons_weights_replace_the_shared_ones(exported: Path, tmp_path: Path) -> None:
    """The patched file is the export of a network with those weights."""
    network = exported / "generator.onnx"
    torch.manual_seed(4)
    other, _ = build_networks(ModelConfig())
    state = other.state_dict()
    assert sorted(weight_names(network)) == sorted(state)
    weights = torch.cat([state[name].flatten() for name in weight_names(network)]).numpy()
    patched = tmp_path / "own.onnx"
    patched.write_bytes(with_weights(network, weights))
    tensors = {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(patched).graph.initializer}
    for name, value in state.items():
        assert (tensors[name] == value.numpy()).all()
    with pytest.raises(InputError, match="Enrol the photos again"):
        with_weights(network, weights[:-1])


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(model_file("fast/fast.safetensors").read_bytes()[:1000])
    with pytest.raises(InputError, match=r"damaged\.safetensors is no visavis checkpoint"):
        load_weights(damaged)
