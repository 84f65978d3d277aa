"""When an engine fails while it runs, the next one answers the same call; and what runs for one person alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from engines import EngineFailure, EngineFolder, InputMismatch, OwnWeights, explain, open_engine
from engines.backends import BACKENDS, Backend, LoadedEngine
from engines.engine import Tensors
from engines.onnxruntime import OnnxRuntimeEngine
from engines.openvino import OpenVinoEngine
from engines.resilient import FAIL_VARIABLE
from tests.networks import convolution, needs_openvino

GONE = "cudaErrorDeviceLost: the device has gone"


@pytest.fixture
def network(tmp_path: Path) -> Path:
    return convolution(tmp_path / "small.onnx")


@pytest.fixture
def given() -> dict[str, NDArray[Any]]:
    return {"x": np.random.default_rng(2).random((1, 8, 32, 32), np.float32)}


def failing(after: int) -> Callable[[LoadedEngine, Mapping[str, NDArray[Any]]], Tensors]:
    """An `infer` of which the first `after` calls work."""
    calls: list[int] = []
    real = OnnxRuntimeEngine.infer

    def infer(self: Any, inputs: Mapping[str, NDArray[Any]]) -> Tensors:
        calls.append(1)
        if len(calls) > after:
            raise EngineFailure(f"small.onnx failed in ONNX Runtime: {GONE}")
        return real(self, inputs)

    return infer


@needs_openvino
def test_the_same_call_is_answered_by_the_next_engine_and_one_line_says_so(
    network: Path, given: dict[str, NDArray[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OnnxRuntimeEngine, "infer", failing(after=3))
    lines: list[str] = []
    engine = open_engine(network, say=lines.append)
    before = [engine.infer(given)["y"] for _ in range(3)]
    assert not lines and engine.describe().backend == "onnxruntime"
    after = [engine.infer(given)["y"] for _ in range(3)]
    assert lines == [f"small.onnx failed in ONNX Runtime: {GONE}. OpenVINO runs from here on."]
    assert engine.describe().backend == "openvino"
    assert f"ONNX Runtime: failed while running (small.onnx failed in ONNX Runtime: {GONE})" in explain(engine)
    np.testing.assert_allclose(after[0].astype(float), before[0].astype(float), atol=1e-4)


@needs_openvino
def test_an_engine_can_be_killed_for_rehearsal(
    network: Path, given: dict[str, NDArray[Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FAIL_VARIABLE, "2")
    lines: list[str] = []
    engine = open_engine(network, threads=1, folder=EngineFolder(tmp_path / "engines"), say=lines.append)
    first = explain(engine)
    for _ in range(5):
        assert engine.infer(given)["y"].shape == (1, 8, 32, 32)
    assert len(lines) == 2 and "Measuring" in lines[0]
    assert "VISAVIS_FAIL_ENGINE_AFTER asked for it. " in lines[1] and lines[1].endswith(" runs from here on.")
    assert explain(engine) != first and "ms when measured on" in explain(engine)


@needs_openvino
def test_the_last_failure_reaches_the_caller_and_the_last_engine_is_kept(
    network: Path, given: dict[str, NDArray[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OnnxRuntimeEngine, "infer", failing(after=0))
    real, lines = OpenVinoEngine.infer, list[str]()

    def out_of_memory(self: OpenVinoEngine, inputs: Mapping[str, NDArray[Any]]) -> Tensors:
        raise EngineFailure("small.onnx failed in OpenVINO: out of memory")

    monkeypatch.setattr(OpenVinoEngine, "infer", out_of_memory)
    engine = open_engine(network, say=lines.append)
    for _ in range(2):
        with pytest.raises(EngineFailure, match="failed in OpenVINO: out of memory"):
            engine.infer(given)
    assert len(lines) == 1
    monkeypatch.setattr(OpenVinoEngine, "infer", real)
    assert engine.infer(given)["y"].shape == (1, 8, 32, 32)  # the memory came back


def test_the_engine_that_was_asked_for_runs_or_fails(
    network: Path, given: dict[str, NDArray[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OnnxRuntimeEngine, "infer", failing(after=1))
    lines: list[str] = []
    engine = open_engine(network, "onnxruntime", say=lines.append)
    engine.infer(given)
    with pytest.raises(EngineFailure, match="the device has gone"):
        engine.infer(given)
    assert not lines


def test_wrong_inputs_are_nobody_elses_turn(network: Path) -> None:
    lines: list[str] = []
    engine = open_engine(network, say=lines.append)
    with pytest.raises(InputMismatch):
        engine.infer({"x": np.zeros((1, 8, 32, 31), np.float32)})
    assert not lines and engine.describe().backend == "onnxruntime"


@needs_openvino
def test_where_the_next_cannot_be_loaded_the_line_says_why(
    network: Path, given: dict[str, NDArray[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OnnxRuntimeEngine, "infer", failing(after=1))
    engine = open_engine(network)
    engine.infer(given)
    network.write_bytes(b"damaged meanwhile")
    with pytest.raises(EngineFailure, match="the device has gone"):
        engine.infer(given)
    assert "OpenVINO: could not load the network (" in explain(engine)


def test_a_closed_engine_falls_on_nobody(network: Path, given: dict[str, NDArray[Any]]) -> None:
    lines: list[str] = []
    engine = open_engine(network, say=lines.append)
    engine.close()
    with pytest.raises(EngineFailure, match="was closed"):
        engine.infer(given)
    assert not lines


# ---- a person's own weights


class Person:
    """Own weights for `convolution`, and the files that were made of them."""

    def __init__(self, network: Path, folder: Path) -> None:
        self._model, self._folder = onnx.load(network), folder
        self.kernel = np.full((8, 8, 3, 3), 0.05, np.float32)
        self.files: list[Path] = []
        self.own = OwnWeights(lambda: {"conv.weight": self.kernel.reshape(-1)}, self._file)

    @contextmanager
    def _file(self) -> Iterator[Path]:
        path = self._folder / f"own{len(self.files)}.onnx"
        self.files.append(path)
        self._model.graph.initializer[0].CopyFrom(numpy_helper.from_array(self.kernel, "conv.weight"))
        onnx.save(self._model, path)
        yield path
        path.unlink()


@needs_openvino
def test_own_weights_run_in_every_engine_and_are_kept_nowhere(
    network: Path, given: dict[str, NDArray[Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    person, folder, lines = Person(network, tmp_path), tmp_path / "engines", list[str]()
    shared = open_engine(network).infer(given)["y"].astype(float)
    monkeypatch.setenv(FAIL_VARIABLE, "1")
    engine = open_engine(network, threads=1, folder=EngineFolder(folder), own=person.own, say=lines.append)
    first, second = (engine.infer(given)["y"].astype(float) for _ in range(2))
    assert len(lines) == 2 and len(person.files) == 2  # measured, and replaced by the next
    np.testing.assert_allclose(second, first, atol=2e-2)
    assert np.abs(first - shared).max() > 0.1
    assert "small.onnx with own weights runs on" in explain(engine)
    assert not any(path.exists() for path in person.files)
    assert {path.name for path in folder.iterdir()} == {"choice.json", "choice.lock"}


def test_own_weights_have_no_variants_of_fewer_digits(network: Path, tmp_path: Path) -> None:
    with pytest.raises(EngineFailure, match=r"small\.onnx with own weights runs in fp32 or bf16 only, not in int8"):
        open_engine(network, precision="int8", own=Person(network, tmp_path).own)


def test_own_weights_go_into_the_engine_that_is_kept_where_it_can_take_them(
    network: Path, given: dict[str, NDArray[Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TensorRT does, which no machine without a GPU can show: here by ONNX Runtime in its place."""
    refits: list[tuple[str, list[str], Path | None]] = []

    def refitted(
        path: Path, weights: Mapping[str, NDArray[Any]], *, device: str, precision: str, folder: Path | None
    ) -> OnnxRuntimeEngine:
        refits.append((path.name, sorted(weights), folder))
        if len(refits) > 1:
            raise EngineFailure(f"{path.name}: TensorRT did not take the weights: no memory")
        return OnnxRuntimeEngine(path)

    monkeypatch.setattr(Backend, "refitter", lambda backend: refitted)
    backend = BACKENDS["onnxruntime"]
    monkeypatch.setitem(BACKENDS, "onnxruntime", Backend(**(fields(backend) | {"refitted": "somewhere:refitted"})))
    person, folder, lines = Person(network, tmp_path), tmp_path / "engines", list[str]()
    open_engine(network, "onnxruntime", folder=EngineFolder(folder), own=person.own, say=lines.append).infer(given)
    assert refits == [("small.onnx", ["conv.weight"], folder)] and not person.files and not lines
    open_engine(network, "onnxruntime", folder=EngineFolder(folder), own=person.own, say=lines.append).infer(given)
    assert lines == ["small.onnx: TensorRT did not take the weights: no memory: built anew with own weights"]
    assert len(person.files) == 1


def fields(backend: Backend) -> dict[str, Any]:
    return {name: getattr(backend, name) for name in Backend.__dataclass_fields__}


def test_a_full_disk_under_own_weights_is_an_engine_failure(network: Path) -> None:
    def full() -> AbstractContextManager[Path]:
        raise OSError(28, "No space left on device", "/tmp/visavis-own.onnx")

    with pytest.raises(EngineFailure, match=r"/tmp/visavis-own\.onnx: No space left on device"):
        open_engine(network, own=OwnWeights(dict, full))
