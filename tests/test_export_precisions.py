"""FP16 and INT8 written into the graph: what stays in float32, what it costs, and what is left out and why."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

from avatar.core.errors import UsageError, VisavisError
from avatar.core.model_files import model_file
from avatar.model.config import EmbedderConfig, RegionConfig
from avatar.model.embedder import Embedder
from avatar.model.full.checkpoint import FullNetworks, save_full
from avatar.model.full.config import FullConfig
from avatar.model.layered_generator import REGIONS, LayeredGenerator, RegionGenerator
from avatar.render.layered_network import NETWORK
from avatar.render.real_frame import RealFrame, acted
from engines.backends import variant
from export import check as check_module
from export.check import Checked, verdict
from export.frames import Scene, psnr_db
from export.graphs import load_typed
from export.half import halve, rounded, to_half
from export.int8 import Layer, quantise
from export.networks import Networks, load_networks
from export.package import Package, PackageOptions, package, split
from export.to_onnx import MAX_DIFFERENCE, OPSET
from tests.clips import astronaut_avatar

GENERATOR = model_file(NETWORK)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def small_networks() -> Networks:
    """Size `fast` with few channels and random weights: the shipped ones are tried once, below."""
    torch.manual_seed(6)
    small = RegionConfig((8, 16, 16), residual_blocks=1)
    generator = LayeredGenerator([RegionGenerator(replace(region, config=small)) for region in REGIONS])
    return Networks(generator.eval(), Embedder(EmbedderConfig((8, 16, 16))).eval())


def astronaut_frames() -> list[RealFrame]:
    avatar = astronaut_avatar()
    return acted(avatar.name, avatar.portraits[0], avatar.landmarks[0])


def run(model: ModelProto, fed: dict[str, NDArray[np.generic]]) -> dict[str, NDArray[np.float32]]:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, fed), strict=True))


def element_types(model: ModelProto) -> dict[str, int]:
    typed = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    infos = [*typed.graph.input, *typed.graph.output, *typed.graph.value_info]
    return {info.name: info.type.tensor_type.elem_type for info in infos}


def two_convolutions(path: Path) -> Path:
    """(1, 3, 8, 8), a convolution, a variance, an enlargement and a convolution: (1, 2, 16, 16)."""
    rng = np.random.default_rng(1)
    weights: dict[str, NDArray[np.generic]] = {
        "first.weight": rng.standard_normal((4, 3, 3, 3)).astype(np.float32),
        "last.weight": rng.standard_normal((2, 4, 3, 3)).astype(np.float32),
        "scales": np.array([1, 1, 2, 2], np.float32),
        "axes": np.array([2, 3], np.int64),
        "small": np.array(1e-5, np.float32),
    }
    info = helper.make_tensor_value_info
    nodes = [
        helper.make_node("Conv", ["x", "first.weight"], ["a"], "first", pads=[1, 1, 1, 1]),
        helper.make_node("Mul", ["a", "a"], ["square"], "square"),
        helper.make_node("ReduceMean", ["square", "axes"], ["mean"], "mean"),
        helper.make_node("Add", ["mean", "small"], ["variance"], "variance"),
        helper.make_node("Sqrt", ["variance"], ["deviation"], "deviation"),
        helper.make_node("Div", ["a", "deviation"], ["b"], "divide"),
        helper.make_node("Resize", ["b", "", "scales"], ["c"], "enlarge", mode="linear"),
        helper.make_node("Conv", ["c", "last.weight"], ["picture"], "last", pads=[1, 1, 1, 1]),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [info("picture", TensorProto.FLOAT, [1, 2, 16, 16])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10), path)
    return path


def noise(seed: int = 2, size: float = 1.0) -> dict[str, NDArray[np.generic]]:
    return {"x": (np.random.default_rng(seed).standard_normal((1, 3, 8, 8)) * size).astype(np.float32)}


# ---- FP16


def test_halves_are_in_the_graph_and_float32_at_its_borders(tmp_path: Path) -> None:
    model = load_typed(two_convolutions(tmp_path / "small.onnx"))
    halved = to_half(model, set())
    types = element_types(halved)
    assert types["x"] == types["picture"] == TensorProto.FLOAT
    assert {types[name] for name in ("a", "square", "mean", "deviation", "b", "c")} == {TensorProto.FLOAT16}
    assert len(halved.SerializeToString()) < len(model.SerializeToString())
    wanted, got = run(model, noise())["picture"], run(halved, noise())["picture"]
    assert 0 < np.abs(got - wanted).max() < 0.05


def test_what_is_kept_in_float32_is_whole(tmp_path: Path) -> None:
    """Large values overflow halves where the variance is taken: kept in float32, nothing is lost."""
    model = load_typed(two_convolutions(tmp_path / "small.onnx"))
    large = noise(size=200)
    wanted = run(model, large)["picture"]
    kept = {"square", "mean", "variance", "deviation", "divide"}
    halved = to_half(model, kept)
    assert all(element_types(halved)[name] == TensorProto.FLOAT for name in ("square", "mean", "variance", "deviation"))
    assert np.abs(run(rounded(halved), large)["picture"] - wanted).max() < 0.05
    assert not np.abs(run(rounded(to_half(model, set())), large)["picture"] - wanted).max() < 0.05


def test_variances_stay_in_float32_and_the_rest_by_measurement(tmp_path: Path) -> None:
    path = two_convolutions(tmp_path / "small.onnx")
    _, reached, groups = halve(path, lambda graph: 60.0)
    assert reached == 60.0
    assert {group.role for group in groups if group.kept} == {"statistics"}

    def only_whole(graph: ModelProto) -> float:
        return 60.0 if all(t.data_type != TensorProto.FLOAT16 for t in graph.graph.initializer) and not any(
            node.op_type == "Cast" for node in graph.graph.node
        ) else 10.0  # fmt: skip

    model, reached, groups = halve(path, only_whole)
    assert reached == 60.0 and all(group.kept for group in groups)
    assert not any(node.op_type == "Cast" for node in model.graph.node)


# ---- INT8


def test_the_last_layer_and_what_hurts_stay_in_float32(tmp_path: Path) -> None:
    path = two_convolutions(tmp_path / "small.onnx")

    def quality(graph: ModelProto) -> tuple[float, float]:
        quantised = [tensor.name for tensor in graph.graph.initializer if tensor.data_type == TensorProto.INT8]
        return (20.0, 20.0) if any(name.startswith("last.weight") for name in quantised) else (50.0, 44.0)

    model, reached, layers = quantise(path, [noise(seed) for seed in range(4)], quality)
    assert model is not None and reached == 50.0
    assert layers == [Layer("first", 108, 50.0, ""), Layer("last", 72, 20.0, "last")]
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    assert stored["first.weight_quantized"].data_type == TensorProto.INT8
    assert list(stored["first.weight_scale"].dims) == [4]  # one for each output channel
    assert stored["last.weight"].data_type == TensorProto.FLOAT
    onnx.checker.check_model(model, full_check=True)
    wanted = run(load_typed(path), noise())["picture"]
    assert np.abs(run(model, noise())["picture"] - wanted).max() < 0.1 * np.abs(wanted).max()


def test_int8_that_is_never_near_enough_is_left_out(tmp_path: Path) -> None:
    fed = [noise(seed) for seed in range(2)]
    model, reached, _ = quantise(two_convolutions(tmp_path / "small.onnx"), fed, lambda graph: (34.0, 34.0))
    assert model is None and reached == 34.0


def test_signed_int8_has_no_zero_points(tmp_path: Path) -> None:
    fed = [noise(seed) for seed in range(2)]
    path = two_convolutions(tmp_path / "small.onnx")
    for signed, kind in ((True, TensorProto.INT8), (False, TensorProto.UINT8)):
        model, _, _ = quantise(path, fed, lambda graph: (50.0, 50.0), signed=signed)
        assert model is not None
        point = next(t for t in model.graph.initializer if t.name == "x_zero_point")
        assert point.data_type == kind
        assert (numpy_helper.to_array(point) == 0).all() == signed


@pytest.mark.skipif(importlib.util.find_spec("tensorrt_rtx") is None, reason="needs the extra tensorrt")
def test_tensorrt_builds_fp16_and_signed_int8_without_a_gpu(tmp_path: Path) -> None:
    from engines.tensorrt.build import Target, build, library

    path = two_convolutions(tmp_path / "small.onnx")
    signed, _, _ = quantise(path, [noise()], lambda graph: (50.0, 50.0), signed=True)
    assert signed is not None
    for name, model in (("fp16", to_half(load_typed(path), {"deviation"})), ("int8", signed)):
        built = build(library(89), model.SerializeToString(), f"{name}.onnx", Target(89))
        assert built.plan and built.inputs["x"].dtype == np.float32


# ---- the whole


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Package]:
    folder = tmp_path_factory.mktemp("precisions") / "out"
    frames = astronaut_frames()[1:5]
    said: list[str] = []
    report = package(
        small_networks(),
        folder,
        PackageOptions(("fp32", "fp16", "int8"), checked=True, threads=1),
        frames=frames,
        say=lambda what, share: said.append(what),
    )
    assert "int8: which layers suffer" in said
    return folder, report


def test_every_precision_is_near_float32_on_real_faces(written: tuple[Path, Package]) -> None:
    folder, report = written
    assert not report.left_out
    assert sorted(path.name for path in folder.glob("*.onnx")) == [
        "embedder.onnx", "generator.fp16.onnx", "generator.int8.onnx", "generator.onnx",
    ]  # fmt: skip
    rows = {(row.network, row.precision, row.engine): row for row in report.checks}
    exact = rows["generator.onnx", "fp32", "ONNX Runtime, cpu"]
    assert exact.max_difference is not None and exact.max_difference <= MAX_DIFFERENCE and exact.ms
    assert rows["embedder.onnx", "fp32", "ONNX Runtime, cpu"].max_difference is not None
    near = {"fp32": 60, "bf16": 45, "fp16": 45, "int8": 35}
    drawn = [row for row in report.checks if row.psnr_db is not None]
    assert {"fp32", "fp16", "int8"} <= {row.precision for row in drawn}
    assert all((row.psnr_db or 0) >= near[row.precision] and not row.note for row in drawn)
    assert report.fp16_db is not None and report.fp16_db >= 45
    heads = {f"regions.{number}.net.head" for number in range(len(REGIONS))}
    assert {layer.name for layer in report.int8 if layer.kept} >= heads


def test_all_precisions_are_fed_alike(written: tuple[Path, Package]) -> None:
    folder, _ = written
    wanted = onnx.load(folder / "generator.onnx")
    for precision in ("fp16", "int8"):
        graph = onnx.load(variant(folder / "generator.onnx", precision))
        assert {(o.domain, o.version) for o in graph.opset_import} == {("", OPSET)}
        assert list(graph.graph.input) == list(wanted.graph.input)
        assert list(graph.graph.output) == list(wanted.graph.output)


@pytest.mark.parametrize(("precision", "near_db"), [("fp16", 45), ("int8", 35)])
def test_the_shipped_files_draw_what_the_shipped_network_draws(precision: str, near_db: float) -> None:
    avatar = astronaut_avatar()
    scene = Scene(astronaut_frames()[::2], {avatar.name: avatar.embedding[None]})
    shapes = {
        i.name: tuple(d.dim_value for d in i.type.tensor_type.shape.dim) for i in onnx.load(GENERATOR).graph.input
    }
    exact, other = onnx.load(GENERATOR), onnx.load(model_file(f"fast-3/generator.{precision}.onnx"))
    fed = scene.fed(shapes)
    pictures, wanted = (scene.pictures([run(model, row) for row in fed]) for model in (other, exact))
    over_all, worst = psnr_db(pictures, wanted)
    assert over_all > near_db and worst > near_db


def test_a_batch_draws_each_of_its_rows(written: tuple[Path, Package], tmp_path: Path) -> None:
    report = package(small_networks(), tmp_path, PackageOptions(batch=2, embedder=False))
    assert report.files[0].path.name == "generator_batch2.onnx"
    graphs = {2: onnx.load(report.files[0].path), 1: onnx.load(written[0] / "generator.onnx")}
    scene = Scene(astronaut_frames()[1:4], {astronaut_avatar().name: astronaut_avatar().embedding[None]})
    drawn = {
        batch: scene.drawn(
            partial(run, graph),
            {i.name: tuple(d.dim_value for d in i.type.tensor_type.shape.dim) for i in graph.graph.input},
        )
        for batch, graph in graphs.items()
    }
    assert len(drawn[2]) == 3 * sum(region.of_each for region in REGIONS) and psnr_db(drawn[2], drawn[1])[1] > 60


def test_the_papers_network_is_exported_with_the_person_as_an_input(tmp_path: Path) -> None:
    torch.manual_seed(5)
    config = FullConfig.at(32, channels_min=8, channels_max=32, embedding=32, down_blocks=2)
    save_full(tmp_path / "small.safetensors", FullNetworks.build(config), {})
    networks = load_networks(tmp_path / "small.safetensors")
    assert networks.size == "full"
    report = package(networks, tmp_path / "out", PackageOptions(("fp32", "fp16")), frames=astronaut_frames()[:2])
    assert [file.path.name for file in report.files] == ["generator.onnx", "embedder.onnx", "generator.fp16.onnx"]
    generator, embedder = (onnx.load(tmp_path / "out" / f"{name}.onnx").graph for name in ("generator", "embedder"))
    assert [value.name for value in generator.input] == ["drawing", "psi"]
    assert [value.name for value in generator.output] == ["picture"]
    assert [value.name for value in embedder.output] == ["embedding", "psi"]
    with pytest.raises(UsageError, match="draws 32², and its weights fit no other size, such as 512"):
        package(networks, tmp_path / "other", PackageOptions(size_px=512))
    assert not (tmp_path / "other").exists()


def test_one_is_judged_by_people_on_whom_it_was_not_calibrated() -> None:
    frames = astronaut_frames()
    people = [replace(frame, person=name) for name in "abc" for frame in frames[:2]]
    calibrating, judging = split(people)
    assert {frame.person for frame in calibrating} == {"a", "c"} and {frame.person for frame in judging} == {"b"}
    calibrating, judging = split(frames)
    assert len(calibrating) == len(judging) == 4 and not {id(f) for f in calibrating} & {id(f) for f in judging}
    assert split(frames[:1]) == (frames[:1], frames[:1])


def test_files_of_an_older_network_do_not_stay(written: tuple[Path, Package], tmp_path: Path) -> None:
    """Engines would take them for its own."""
    out = tmp_path / "out"
    shutil.copytree(written[0], out)
    networks = small_networks()
    same = package(networks, out, PackageOptions(embedder=False))
    assert not same.left_out and (out / "generator.fp16.onnx").exists()
    with torch.no_grad():
        next(networks.generator.parameters()).mul_(2)
    other = package(networks, out, PackageOptions(embedder=False))
    assert [one.precision for one in other.left_out] == ["fp16", "int8"]
    assert sorted(path.name for path in out.glob("*.onnx")) == ["embedder.onnx", "generator.onnx"]


def test_a_file_that_differs_from_torch_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_module, "MAX_DIFFERENCE", 0.0)
    networks = small_networks()
    with pytest.raises(VisavisError, match=r"generator\.onnx differs from torch by .* not written"):
        package(networks, tmp_path / "out", PackageOptions(checked=True), frames=astronaut_frames()[:2])
    assert not (tmp_path / "out").exists()


def test_it_says_whether_a_precision_is_faster_here() -> None:
    rows = [
        Checked("g.onnx", "fp32", "ONNX Runtime, cpu", "1", ms=12.0),
        Checked("g.onnx", "bf16", "OpenVINO, cpu", "1", ms=6.0),
        Checked("g.int8.onnx", "int8", "OpenVINO, cpu", "1", ms=5.1),
    ]
    assert verdict(rows, "int8") == (
        "int8 in OpenVINO, cpu: 0.85 times the time of the fastest other way, bf16 in OpenVINO, cpu: faster on this "
        "computer."
    )
    assert verdict(rows[:2], "int8") == ""
