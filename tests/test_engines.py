"""The promises of `engines`: the same numbers from every backend, and clear words when something is wrong."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

import engines
from engines import EngineFailure, InputMismatch, available_backends, explain, open_engine
from engines.installing import pip

Floats = NDArray[np.float32]
Weights = dict[str, NDArray[Any]]

HAS_OPENVINO = importlib.util.find_spec("openvino") is not None
needs_openvino = pytest.mark.skipif(not HAS_OPENVINO, reason="openvino is an extra: pip install 'visavis[openvino]'")
BACKENDS = [pytest.param("onnxruntime"), pytest.param("openvino", marks=needs_openvino)]
SIZE_PX = 16
CHANNELS = 4


def save(
    path: Path,
    nodes: list[onnx.NodeProto],
    inputs: dict[str, list[int | str]],
    outputs: dict[str, list[int | str]],
    weights: Weights | None = None,
    *,
    element: int = TensorProto.FLOAT,
    opset: int = 20,
    ir_version: int = 10,
    domains: tuple[str, ...] = (),
) -> Path:
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info(name, element, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, element, shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()],
    )
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    path.write_bytes(helper.make_model(graph, opset_imports=opsets, ir_version=ir_version).SerializeToString())
    return path


@pytest.fixture(scope="module")
def weights() -> Weights:
    rng = np.random.default_rng(1)
    return {
        "kernel": rng.standard_normal((CHANNELS, 3, 3, 3)).astype(np.float32) * 0.3,
        "bias": rng.standard_normal(CHANNELS).astype(np.float32),
        "epsilon": np.array(1e-5, np.float32),
        "axes": np.array([2, 3], np.int64),
    }


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory, weights: Weights) -> Path:
    """A generator in small: warp the portrait, convolve, normalise, and let a person's parameters scale and shift."""
    node = helper.make_node
    return save(
        tmp_path_factory.mktemp("engines") / "tiny.onnx",
        [
            node("GridSample", ["portrait", "flow"], ["warped"], mode="linear", padding_mode="zeros", align_corners=0),
            node("Conv", ["warped", "kernel", "bias"], ["features"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
            node("ReduceMean", ["features", "axes"], ["mean"], keepdims=1),
            node("Sub", ["features", "mean"], ["centred"]),
            node("Mul", ["centred", "centred"], ["squared"]),
            node("ReduceMean", ["squared", "axes"], ["variance"], keepdims=1),
            node("Add", ["variance", "epsilon"], ["variance_safe"]),
            node("Sqrt", ["variance_safe"], ["deviation"]),
            node("Div", ["centred", "deviation"], ["normal"]),
            node("Mul", ["normal", "scale"], ["scaled"]),
            node("Add", ["scaled", "shift"], ["styled"]),
            node("LeakyRelu", ["styled"], ["leaky"], alpha=0.2),
            node("DepthToSpace", ["leaky"], ["picture"], blocksize=2),
        ],
        {
            "portrait": [1, 3, SIZE_PX, SIZE_PX],
            "flow": [1, SIZE_PX, SIZE_PX, 2],
            "scale": [1, CHANNELS, 1, 1],
            "shift": [1, CHANNELS, 1, 1],
        },
        {"picture": [1, 1, 2 * SIZE_PX, 2 * SIZE_PX], "warped": [1, 3, SIZE_PX, SIZE_PX]},
        weights,
    )


@pytest.fixture
def inputs() -> dict[str, Floats]:
    return make_inputs(seed=2)


def make_inputs(seed: int) -> dict[str, Floats]:
    rng = np.random.default_rng(seed)
    return {
        "portrait": rng.random((1, 3, SIZE_PX, SIZE_PX), np.float32),
        # beyond ±1, so that the border is sampled too
        "flow": (rng.random((1, SIZE_PX, SIZE_PX, 2), np.float32) * 2.4 - 1.2).astype(np.float32),
        "scale": rng.standard_normal((1, CHANNELS, 1, 1)).astype(np.float32),
        "shift": rng.standard_normal((1, CHANNELS, 1, 1)).astype(np.float32),
    }


def grid_sample(picture: NDArray[np.float64], grid: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bilinear, zeros outside, align_corners=0, as the ONNX operator's text defines it. (C, H, W), (H, W, 2)."""
    height, width = picture.shape[1:]
    x = ((grid[..., 0] + 1) * width - 1) / 2
    y = ((grid[..., 1] + 1) * height - 1) / 2
    sampled = np.zeros((picture.shape[0], *grid.shape[:2]))
    for row in (np.floor(y), np.floor(y) + 1):
        for column in (np.floor(x), np.floor(x) + 1):
            weight = (1 - np.abs(x - column)) * (1 - np.abs(y - row))
            inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
            at_row, at_column = np.clip(row, 0, height - 1).astype(int), np.clip(column, 0, width - 1).astype(int)
            sampled += picture[:, at_row, at_column] * weight * inside
    return sampled


def reference(inputs: dict[str, Floats], weights: Weights) -> dict[str, NDArray[np.float64]]:
    """The network of the fixture in numpy, float64."""
    given = {name: array.astype(np.float64) for name, array in inputs.items()}
    warped = grid_sample(given["portrait"][0], given["flow"][0])
    padded = np.pad(warped, ((0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))  # (3, H, W, 3, 3)
    features = np.einsum("chwij,kcij->khw", windows, weights["kernel"]) + weights["bias"][:, None, None]
    centred = features - features.mean(axis=(1, 2), keepdims=True)
    normal = centred / np.sqrt((centred**2).mean(axis=(1, 2), keepdims=True) + 1e-5)
    styled = normal * given["scale"][0] + given["shift"][0]
    leaky = np.where(styled > 0, styled, 0.2 * styled)
    picture = leaky.reshape(2, 2, SIZE_PX, SIZE_PX).transpose(2, 0, 3, 1).reshape(1, 1, 2 * SIZE_PX, 2 * SIZE_PX)
    return {"picture": picture, "warped": warped[None]}


# ---- the numbers


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_backend_gives_the_numbers_of_numpy(
    backend: str, network: Path, weights: Weights, inputs: dict[str, Floats]
) -> None:
    engine = open_engine(network, backend)
    outputs: dict[str, NDArray[Any]] = engine.infer(inputs)
    expected = reference(inputs, weights)
    assert outputs.keys() == expected.keys()
    for name, array in expected.items():
        assert outputs[name].dtype == np.float32
        assert np.abs(outputs[name] - array).max() < 1e-4


@pytest.mark.parametrize("backend", BACKENDS)
def test_sampling_agrees_with_torch(backend: str, network: Path, inputs: dict[str, Floats]) -> None:
    torch = pytest.importorskip("torch")
    expected = torch.nn.functional.grid_sample(
        torch.from_numpy(inputs["portrait"]), torch.from_numpy(inputs["flow"]), align_corners=False
    )
    assert np.abs(open_engine(network, backend).infer(inputs)["warped"] - expected.numpy()).max() < 1e-5


@pytest.mark.parametrize("backend", BACKENDS)
def test_results_stay_the_callers(backend: str, network: Path) -> None:
    engine = open_engine(network, backend)
    first = engine.infer(make_inputs(3))["picture"]
    kept = first.copy()
    second = engine.infer(make_inputs(4))["picture"]
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize("backend", BACKENDS)
def test_inputs_are_neither_changed_nor_bound_to_one_memory_layout(
    backend: str, network: Path, inputs: dict[str, Floats]
) -> None:
    engine = open_engine(network, backend)
    before = {name: array.copy() for name, array in inputs.items()}
    expected = engine.infer(inputs)["picture"]
    channels_last = np.ascontiguousarray(inputs["portrait"].transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    assert not channels_last.flags.c_contiguous
    np.testing.assert_array_equal(engine.infer({**inputs, "portrait": channels_last})["picture"], expected)
    frozen = {name: array.copy() for name, array in inputs.items()}
    for array in frozen.values():
        array.flags.writeable = False
    np.testing.assert_array_equal(engine.infer(frozen)["picture"], expected)
    for name, array in before.items():
        np.testing.assert_array_equal(inputs[name], array)


@pytest.mark.parametrize("backend", BACKENDS)
def test_shapes_are_told_and_a_free_dimension_takes_any_size(backend: str, network: Path, tmp_path: Path) -> None:
    engine = open_engine(network, backend)
    assert engine.inputs["flow"] == (1, SIZE_PX, SIZE_PX, 2)
    assert engine.outputs["picture"] == (1, 1, 2 * SIZE_PX, 2 * SIZE_PX)
    path = save(tmp_path / "free.onnx", [helper.make_node("Neg", ["x"], ["y"])], {"x": ["k", 3]}, {"y": ["k", 3]})
    free = open_engine(path, backend)
    assert free.inputs == {"x": (-1, 3)}
    for count in (1, 5, 2):
        rows = np.full((count, 3), count, np.float32)
        np.testing.assert_array_equal(free.infer({"x": rows})["y"], -rows)
    with pytest.raises(InputMismatch, match="any x 3, not 5 x 4"):
        free.infer({"x": np.zeros((5, 4), np.float32)})


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("element", "dtype"),
    [(TensorProto.FLOAT16, np.float16), (TensorProto.UINT8, np.uint8), (TensorProto.INT64, np.int64)],
)
def test_other_dtypes_pass_through(backend: str, element: int, dtype: type[np.generic], tmp_path: Path) -> None:
    node = helper.make_node("Transpose", ["x"], ["y"], perm=[1, 0])
    engine = open_engine(save(tmp_path / "d.onnx", [node], {"x": [2, 3]}, {"y": [3, 2]}, element=element), backend)
    given = np.arange(6).reshape(2, 3).astype(dtype)
    result = engine.infer({"x": given})["y"]
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, given.T)


# ---- wrong inputs


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda i: i.pop("shift"), r"tiny\.onnx takes the inputs .*missing: shift; unknown: none"),
        (lambda i: i.update(gaze=i["shift"]), r"missing: none; unknown: gaze"),
        (lambda i: i.update(shift=i["shift"].astype(np.float64)), r"input shift must be float32, not float64"),
        (lambda i: i.update(shift=i["shift"].astype(">f4")), r"input shift must be float32, not >f4"),
        (lambda i: i.update(shift=i["shift"][0]), r"input shift must have the shape 1 x 4 x 1 x 1, not 4 x 1 x 1"),
        (lambda i: i.update(flow=i["flow"][:, 1:]), r"input flow must .* 1 x 16 x 16 x 2, not 1 x 15 x 16 x 2"),
        (lambda i: i.update(scale=i["scale"].tolist()), r"input scale must be a numpy array, not list"),
    ],
)
def test_wrong_inputs_are_named(
    backend: str, change: Callable[[dict[str, Floats]], object], message: str, network: Path, inputs: dict[str, Floats]
) -> None:
    engine = open_engine(network, backend)
    wrong = dict(inputs)
    change(wrong)
    with pytest.raises(InputMismatch, match=message):
        engine.infer(wrong)
    assert engine.infer(inputs)["picture"].shape == engine.outputs["picture"]  # and the engine lives on


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("threads", [1, 2])
def test_a_failure_while_running_is_an_engine_failure(backend: str, threads: int, tmp_path: Path) -> None:
    """Shapes that fit the declaration but not each other. (OpenVINO with one thread likes to keep quiet about it.)"""
    node = helper.make_node("Add", ["a", "b"], ["y"])
    path = save(tmp_path / "sum.onnx", [node], {"a": ["n"], "b": ["m"]}, {"y": ["k"]})
    engine = open_engine(path, backend, threads)
    three = np.ones(3, np.float32)
    with pytest.raises(EngineFailure, match=r"sum\.onnx failed in ") as caught:
        engine.infer({"a": three, "b": np.ones(4, np.float32)})
    assert not isinstance(caught.value, InputMismatch)
    assert "\n" not in str(caught.value)
    np.testing.assert_array_equal(engine.infer({"a": three, "b": three})["y"], three + three)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_closed_engine_says_so(backend: str, network: Path, inputs: dict[str, Floats]) -> None:
    engine = open_engine(network, backend)
    engine.close()
    engine.close()
    with pytest.raises(EngineFailure, match="was closed"):
        engine.infer(inputs)


# ---- damaged, foreign and hostile files


def refusal(path: Path, backend: str, capfd: pytest.CaptureFixture[str]) -> str:
    """The message with which `path` is refused: one line, with the file and the next command, and nothing printed."""
    with pytest.raises(EngineFailure) as caught:
        open_engine(path, backend)
    message = str(caught.value)
    assert str(path) in message
    assert "visavis export fast" in message
    assert "\n" not in message
    assert len(message) < 900
    printed = capfd.readouterr()
    assert printed.out + printed.err == ""
    return message


@pytest.mark.parametrize("backend", ["auto", *BACKENDS])
def test_a_missing_file_names_the_command_that_makes_it(
    backend: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    message = refusal(tmp_path / "generator.onnx", backend, capfd)
    assert message.endswith("generator.onnx does not exist: make it with `visavis export fast`")


@pytest.mark.parametrize("backend", ["auto", *BACKENDS])
@pytest.mark.parametrize("content", [b"", b"hello, this is no network\n" * 20, b"PK\x03\x04" + bytes(300), bytes(4096)])
def test_files_that_are_no_network_are_refused(
    backend: str, content: bytes, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "foreign.onnx"
    path.write_bytes(content)
    refusal(path, backend, capfd)


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EngineFailure, match="cannot be read: Is a directory"):
        open_engine(tmp_path)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_file_cut_off_anywhere_is_refused(
    backend: str, network: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    whole = network.read_bytes()
    cut = tmp_path / "cut.onnx"
    for length in range(1, len(whole), 53):
        cut.write_bytes(whole[:length])
        refusal(cut, backend, capfd)


@pytest.mark.parametrize("backend", BACKENDS)
def test_damaged_bytes_never_escape_as_another_exception(backend: str, network: Path, tmp_path: Path) -> None:
    """A flipped byte may be harmless (a weight) or fatal; it is never anything but an engine or an EngineFailure."""
    whole = bytearray(network.read_bytes())
    rng = np.random.default_rng(5)
    path = tmp_path / "damaged.onnx"
    refused = 0
    for position in rng.integers(0, len(whole), 60):
        damaged = whole.copy()
        damaged[position] ^= int(rng.integers(1, 256))
        path.write_bytes(damaged)
        try:
            open_engine(path, backend).close()
        except EngineFailure:
            refused += 1
    assert refused > 10


@pytest.mark.parametrize("backend", BACKENDS)
def test_operators_of_others_are_refused_by_name(
    backend: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    node = helper.make_node("Foo", ["x"], ["y"], domain="elsewhere")
    path = save(tmp_path / "custom.onnx", [node], {"x": [4]}, {"y": [4]}, domains=("elsewhere",))
    message = refusal(path, backend, capfd)
    assert "Foo" in message


@pytest.mark.parametrize(
    ("versions", "words"), [((20, 99), "Unsupported model IR version: 99"), ((99, 10), "Opset 99")]
)
def test_a_network_from_the_future_says_so(
    versions: tuple[int, int], words: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    opset, ir_version = versions
    node = helper.make_node("Relu", ["x"], ["y"])
    path = save(tmp_path / "new.onnx", [node], {"x": [4]}, {"y": [4]}, opset=opset, ir_version=ir_version)
    message = refusal(path, "onnxruntime", capfd)
    assert words in message
    assert "onnxruntime_src" not in message


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("location", ["/etc/passwd", "../secret.bin"])
def test_weights_outside_the_networks_folder_are_not_read(
    backend: str, location: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    (tmp_path / "secret.bin").write_bytes(bytes(64))
    weight = TensorProto(name="w", data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL)
    weight.dims.append(16)
    for key, value in (("location", location), ("length", "64"), ("offset", "0")):
        weight.external_data.add(key=key, value=value)
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"])],
        "hostile",
        [info("x", TensorProto.FLOAT, [16])],
        [info("y", TensorProto.FLOAT, [16])],
        [weight],
    )
    path = folder / "hostile.onnx"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    path.write_bytes(model.SerializeToString())
    refusal(path, backend, capfd)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_network_that_asks_for_all_memory_is_an_engine_failure(backend: str, tmp_path: Path) -> None:
    node = helper.make_node("ConstantOfShape", ["size"], ["y"])
    huge = {"size": np.array([1 << 40, 1 << 20])}
    path = save(tmp_path / "bomb.onnx", [node], {}, {"y": ["a", "b"]}, huge)
    with pytest.raises(EngineFailure, match=r"bomb\.onnx"):
        open_engine(path, backend).infer({})


# ---- choice, threads, and the one line


def test_auto_runs_onnx_runtime_and_says_why_not_the_other(network: Path) -> None:
    engine = open_engine(network)
    about = engine.describe()
    assert (about.backend, about.device, about.precision, about.model) == ("onnxruntime", "cpu", "fp32", "tiny.onnx")
    line = explain(engine)
    assert "\n" not in line
    assert re.match(r"tiny\.onnx runs on ONNX Runtime \d+\.\d+\S* \(cpu, fp32, \d+ threads?\)\. OpenVINO: ", line)
    why = "usable, but ONNX Runtime comes first" if HAS_OPENVINO else "not installed"
    assert why in line
    assert asdict(about)["passed_over"].keys() == {"openvino", "tensorrt"}


@needs_openvino
def test_the_backend_that_is_asked_for_runs(network: Path) -> None:
    engine = open_engine(network, "openvino")
    assert engine.describe().backend == "openvino"
    assert "ONNX Runtime: not used, because OpenVINO was asked for" in explain(engine)


@needs_openvino
def test_auto_goes_on_to_the_next_backend_and_says_why(tmp_path: Path) -> None:
    """ONNX Runtime refuses a future IR version that OpenVINO does not look at."""
    node = helper.make_node("Relu", ["x"], ["y"])
    engine = open_engine(save(tmp_path / "new.onnx", [node], {"x": [4]}, {"y": [4]}, ir_version=99))
    assert engine.describe().backend == "openvino"
    assert "ONNX Runtime: " in explain(engine)
    assert "Unsupported model IR version: 99" in explain(engine)


def test_an_unknown_backend_is_refused_with_the_choice(network: Path) -> None:
    with pytest.raises(EngineFailure, match="no engine 'magic': choose auto, onnxruntime, openvino"):
        open_engine(network, "magic")


def test_available_backends_lists_each_with_a_reason_or_none() -> None:
    found = available_backends()
    assert list(found) == ["onnxruntime", "openvino", "tensorrt"]
    assert found["onnxruntime"] is None
    assert (found["openvino"] is None) == HAS_OPENVINO


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("threads", [1, 2])
def test_threads_are_as_asked(backend: str, threads: int, network: Path, inputs: dict[str, Floats]) -> None:
    engine = open_engine(network, backend, threads)
    assert engine.describe().threads == threads
    assert f"{threads} thread" in explain(engine)
    assert np.isfinite(engine.infer(inputs)["picture"]).all()


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no CPU affinity on this system")
def test_by_default_one_core_of_three_or_more_is_left_to_the_tracker(network: Path) -> None:
    cores = len(os.sched_getaffinity(0))
    expected = max(min(cores, 2), cores - 1)
    assert open_engine(network).describe().threads == expected


@pytest.mark.parametrize("threads", [0, -1])
def test_no_thread_at_all_is_refused(threads: int, network: Path) -> None:
    with pytest.raises(EngineFailure, match=f"at least one thread, not {threads}"):
        open_engine(network, threads=threads)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts threads in /proc")
def test_waiting_threads_do_not_spin(tmp_path: Path) -> None:
    """An engine that waits for the next frame costs no CPU: the tracker has it."""
    out = in_python(
        """
        import sys, time
        from pathlib import Path
        import numpy as np
        from engines import open_engine

        engine = open_engine(Path(sys.argv[1]), "onnxruntime", threads=4)
        frame = {"x": np.random.default_rng(0).random((1, 32, 96, 96), np.float32)}
        for _ in range(3):
            engine.infer(frame)
        waiting_s = 0.0
        for _ in range(30):
            engine.infer(frame)
            before_s = time.process_time()
            time.sleep(0.02)
            waiting_s += time.process_time() - before_s
        print(waiting_s / 0.6)
        """,
        str(wide_convolution(tmp_path / "wide.onnx")),
    )
    assert float(out) < 0.1


def wide_convolution(path: Path) -> Path:
    """Enough work that the runtime shares it out to its threads."""
    kernel = np.random.default_rng(0).standard_normal((32, 32, 3, 3)).astype(np.float32)
    node = helper.make_node("Conv", ["x", "kernel"], ["y"], kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    return save(path, [node], {"x": [1, 32, 96, 96]}, {"y": [1, 32, 96, 96]}, {"kernel": kernel})


# ---- what is not installed, or is more than we want


def in_python(code: str, *arguments: str) -> str:
    """Run `code` in a fresh interpreter at the root of the sources; its last line of output."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        cwd=Path(engines.__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1]


def test_without_openvino_everything_else_works_and_the_line_says_how_to_get_it(network: Path) -> None:
    code = """
        import sys
        from pathlib import Path
        sys.modules["openvino"] = None
        from engines import EngineFailure, available_backends, explain, open_engine
        path = Path(sys.argv[1])
        try:
            open_engine(path, "openvino")
        except EngineFailure as error:
            print(explain(open_engine(path)), "|", available_backends(), "|", error)
        """
    line, found, error = in_python(code, str(network)).split(" | ")
    bring = pip("install 'visavis[openvino]'")
    assert f"OpenVINO: not installed ({bring})" in line
    assert "'onnxruntime': None" in found
    assert error == f"OpenVINO: not installed ({bring})"


@needs_openvino
def test_without_onnx_runtime_auto_takes_openvino(network: Path) -> None:
    code = """
        import sys
        from pathlib import Path
        sys.modules["onnxruntime"] = None
        from engines import explain, open_engine
        print(explain(open_engine(Path(sys.argv[1]))))
        """
    line = in_python(code, str(network))
    assert line.startswith("tiny.onnx runs on OpenVINO ")
    assert f"ONNX Runtime: not installed ({pip('install onnxruntime')})" in line


def test_without_any_engine_the_message_lists_them_all(network: Path) -> None:
    code = """
        import sys
        from pathlib import Path
        sys.modules["onnxruntime"] = sys.modules["openvino"] = None
        from engines import EngineFailure, open_engine
        try:
            open_engine(Path(sys.argv[1]))
        except EngineFailure as error:
            print(error)
        """
    message = in_python(code, str(network))
    assert message.startswith("no engine is usable: ONNX Runtime: not installed")
    assert "OpenVINO: not installed" in message


def test_an_installed_library_that_does_not_start_is_told_apart(network: Path, tmp_path: Path) -> None:
    broken = tmp_path / "openvino"
    broken.mkdir()
    (broken / "__init__.py").write_text("raise ImportError('libtbb.so.12: cannot open shared object file')\n")
    code = """
        import sys
        from pathlib import Path
        sys.path.insert(0, sys.argv[2])
        from engines import available_backends
        print(available_backends()["openvino"])
        """
    message = in_python(code, str(network), str(tmp_path))
    assert message == "installed, but does not start: libtbb.so.12: cannot open shared object file"


def test_auto_does_not_pay_for_what_it_does_not_use(network: Path) -> None:
    code = """
        import sys
        from pathlib import Path
        from engines import explain, open_engine
        explain(open_engine(Path(sys.argv[1])))
        print(sorted({"openvino", "torch", "avatar", "export"} & set(sys.modules)))
        """
    assert in_python(code, str(network)) == "[]"


@needs_openvino
def test_openvino_runs_without_its_usage_reporter(network: Path) -> None:
    code = """
        import sys
        from pathlib import Path
        from engines import open_engine
        open_engine(Path(sys.argv[1]), "openvino")
        print([name for name in sys.modules if "telemetry" in name or name == "openvino.tools.ovc"])
        """
    assert in_python(code, str(network)) == "[]"
