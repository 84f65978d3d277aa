"""The nets of `fast-3` as one graph: what torch computes, and the shipped graph is of the shipped weights."""

from pathlib import Path

import numpy as np
import pytest
import torch

from avatar.cli.command_app import flat
from avatar.cli.export import export
from avatar.core.model_files import WEIGHTS, model_file
from avatar.model.layered_generator import EYE, MOUTH, LayeredGenerator, RegionGenerator, load_region, save_region
from avatar.render.layered_network import NETWORK
from engines import open_engine
from export.layered import is_region, regions_beside, write_layered
from export.to_onnx import MAX_DIFFERENCE


def test_regions_that_lie_side_by_side_become_one_graph(tmp_path: Path) -> None:
    torch.manual_seed(3)
    for region in (EYE, MOUTH):
        save_region(tmp_path / f"{region.name}.safetensors", RegionGenerator(region), {"step": 1})
    found = regions_beside(tmp_path / "eye.safetensors")
    assert [path.name for path in found] == ["mouth.safetensors", "eye.safetensors"]
    written = write_layered(found, tmp_path / "out")
    assert written.path == tmp_path / "out" / "generator.onnx" and written.max_difference <= MAX_DIFFERENCE
    assert written.path.is_file() and written.path.with_suffix(".layout.json").is_file()


def test_a_checkpoint_says_what_it_is_of(tmp_path: Path) -> None:
    save_region(tmp_path / "mouth.safetensors", RegionGenerator(MOUTH), {})
    (tmp_path / "other.safetensors").write_bytes(b"no")
    assert is_region(tmp_path / "mouth.safetensors")
    assert not is_region(model_file("fast/fast.safetensors")) and not is_region(tmp_path / "other.safetensors")


def test_the_shipped_graph_is_the_shipped_weights() -> None:
    shipped = regions_beside(WEIGHTS / "fast-3" / "mouth.safetensors")
    generator = LayeredGenerator([load_region(path) for path in shipped]).eval()
    given = generator.example()
    with torch.no_grad():
        wanted = dict(zip(generator.outputs, generator(*given.values()), strict=True))
    engine = open_engine(model_file(NETWORK), backend="onnxruntime", precision="fp32")
    got = engine.infer({name: value.numpy() for name, value in given.items()})
    engine.close()
    for name, value in wanted.items():
        assert np.abs(np.subtract(got[name], value.numpy())).max() <= MAX_DIFFERENCE


def test_the_command_writes_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_region(tmp_path / "mouth.safetensors", RegionGenerator(MOUTH), {})
    flat(export)(model=str(tmp_path / "mouth.safetensors"), out=tmp_path / "out")
    assert "from torch at most" in capsys.readouterr().out
    assert (tmp_path / "out" / "generator.onnx").is_file()
