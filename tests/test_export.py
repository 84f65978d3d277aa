"""Export: standard operators, static shapes, and the same numbers as torch."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import onnx
import pytest
import torch
from safetensors.torch import save_file

from avatar.core.errors import InputError
from avatar.core.model_files import model_file
from avatar.model.config import EmbedderConfig, RegionConfig
from avatar.model.embedder import Embedder, load_embedder
from avatar.model.layered_generator import EYE, MOUTH, RegionGenerator, save_region
from avatar.render.layered_network import NETWORK, TRAINED
from avatar.render.own_weights import weight_names, with_weights
from engines import open_engine
from export.networks import load_networks, regions_beside, trace_embedder, trace_generator
from export.package import package
from export.to_onnx import MAX_DIFFERENCE, OPSET


def save_embedder(path: Path, config: EmbedderConfig) -> None:
    save_file(Embedder(config).state_dict(), path, metadata={"config": json.dumps(asdict(config))})


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two regions with random weights, side by side with a small embedder."""
    torch.manual_seed(3)
    folder = tmp_path_factory.mktemp("export")
    for region in (EYE, MOUTH):
        network = RegionGenerator(region)
        with torch.no_grad():  # equal biases, such as new ones, would be stored once
            for parameter in network.parameters():
                parameter.add_(torch.randn_like(parameter) * 1e-3)
        save_region(folder / f"{region.name}.safetensors", network, {"step": 7})
    save_embedder(folder / "embedder.safetensors", EmbedderConfig((8, 8)))
    return folder


@pytest.fixture(scope="module")
def exported(checkpoints: Path) -> Path:
    folder = checkpoints / "out"
    report = package(load_networks(checkpoints / "eye.safetensors"), folder)
    assert [file.path for file in report.files] == [folder / "generator.onnx", folder / "embedder.onnx"]
    assert all(file.max_difference <= MAX_DIFFERENCE for file in report.files)
    return folder


@pytest.mark.parametrize("name", ["generator.onnx", "embedder.onnx"])
def test_graphs_are_plain_onnx(exported: Path, name: str) -> None:
    for path in (exported / name, model_file(f"fast-3/{name}")):
        graph = onnx.load(path)
        assert {(o.domain, o.version) for o in graph.opset_import} == {("", OPSET)}
        assert not graph.functions and not any(node.domain for node in graph.graph.node)
        shapes = [[d.dim_value for d in value.type.tensor_type.shape.dim] for value in graph.graph.input]
        assert all(all(shape) for shape in shapes)
        assert not any(node.op_type == "GridSample" for node in graph.graph.node)  # pictures are sampled outside
        text = path.read_bytes()
        assert str(Path(__file__).parents[1]).encode() not in text  # no path of the exporting machine


def test_regions_that_lie_side_by_side_become_one_graph(checkpoints: Path, tmp_path: Path) -> None:
    beside = regions_beside(checkpoints / "eye.safetensors")
    assert [path.name for path in beside] == ["mouth.safetensors", "eye.safetensors"]
    alone = tmp_path / "mine.safetensors"
    alone.write_bytes((checkpoints / "mouth.safetensors").read_bytes())
    networks = load_networks(alone)  # with the embedder that comes with visavis
    assert trace_generator(networks).outputs == ["mouth_offset", "mouth_keep", "mouth_added"]
    wanted = load_embedder(model_file("fast-3/embedder.safetensors")).state_dict()
    assert all(torch.equal(value, wanted[name]) for name, value in networks.embedder.state_dict().items())


def test_the_shipped_graphs_are_the_shipped_weights() -> None:
    networks = load_networks(model_file(TRAINED))
    for traced, name in ((trace_generator(networks), NETWORK), (trace_embedder(networks), "fast-3/embedder.onnx")):
        with torch.no_grad():
            result = traced.network(*traced.inputs.values())
        engine = open_engine(model_file(name), backend="onnxruntime", precision="fp32")
        got = engine.infer({key: value.numpy() for key, value in traced.inputs.items()})
        engine.close()
        for key, wanted in zip(traced.outputs, result if isinstance(result, tuple) else (result,), strict=True):
            assert abs(got[key] - wanted.numpy()).max() <= MAX_DIFFERENCE


def test_a_persons_weights_replace_the_shared_ones(exported: Path, tmp_path: Path) -> None:
    """The patched file is the export of a network with those weights."""
    network = exported / "generator.onnx"
    generator = load_networks(exported.parent / "mouth.safetensors").generator
    names = weight_names(network)
    assert sorted(names) == sorted(generator.state_dict())
    state = {name: value + 1 for name, value in generator.state_dict().items()}
    weights = torch.cat([state[name].flatten() for name in names]).numpy()
    patched = tmp_path / "own.onnx"
    patched.write_bytes(with_weights(network, weights))
    tensors = {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(patched).graph.initializer}
    for name, value in state.items():
        assert (tensors[name] == value.numpy()).all()
    with pytest.raises(InputError, match="Enrol the photos again"):
        with_weights(network, weights[:-1])


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(model_file(TRAINED).read_bytes()[:1000])
    with pytest.raises(InputError, match=r"damaged\.safetensors is no visavis checkpoint"):
        load_networks(damaged)
    save_region(damaged, RegionGenerator(MOUTH), {})
    with pytest.raises(InputError, match=r"damaged\.safetensors holds no embedder"):
        load_embedder(damaged)


def test_a_configuration_survives_json(tmp_path: Path) -> None:
    config = EmbedderConfig((4, 8), 16)
    save_embedder(tmp_path / "any.safetensors", config)
    assert load_embedder(tmp_path / "any.safetensors").config == config
    with pytest.raises(ValueError, match="channels is"):
        EmbedderConfig((0,))
    with pytest.raises(ValueError, match="residual_blocks is"):
        RegionConfig((8, 8), 99)
