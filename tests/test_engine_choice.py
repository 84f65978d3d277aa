"""Which engine is the fastest: measured once, remembered, and measured again when something has changed."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import engines
from engines import EngineFailure, EngineFolder, explain, open_engine
from engines.backends import Candidate
from engines.engine import Tensors
from engines.selection import choice, measure
from engines.selection.choice import FILE_NAME, choose, is_measured, remembered
from engines.selection.measure import Result, rank
from tests.networks import HAS_OPENVINO, convolution, needs_openvino, sabotage


@pytest.fixture
def network(tmp_path: Path) -> Path:
    return convolution(tmp_path / "small.onnx")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "engines"


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Measuring made instant, for tests of the memory alone: how many threads each measurement was for."""
    calls: list[int] = []

    def instant(network: Path, threads: int, *_: object) -> tuple[list[Result], dict[str, str]]:
        calls.append(threads)
        return [Result(Candidate("onnxruntime", "cpu", "fp32"), 1.0, "", 2.0)], {"openvino": "not looked at"}

    monkeypatch.setattr(choice, "measure", instant)
    return calls


# ---- once


def test_the_engines_are_measured_once_and_the_fastest_runs(network: Path, folder: Path) -> None:
    lines: list[str] = []
    first = open_engine(network, threads=1, folder=EngineFolder(folder), say=lines.append)
    assert len(lines) == 1 and "Measuring the engines of this computer for small.onnx, once" in lines[0]
    line = explain(first)
    assert re.search(r"\(cpu, \w+, 1 thread\): [\d.]+ ms.* when measured on \d{4}-\d\d-\d\d\. ", line), line
    again = open_engine(network, threads=1, folder=EngineFolder(folder), say=lines.append)
    assert len(lines) == 1 and explain(again) == line
    (known,) = remembered(folder)
    assert known.usable[0].candidate.backend == first.describe().backend
    backends = {result.candidate.backend for result in known.usable}
    assert backends == ({"onnxruntime", "openvino"} if HAS_OPENVINO else {"onnxruntime"})
    assert "tensorrt" in known.unusable or "tensorrt" in backends
    assert all(result.ms and result.load_ms > 0 for result in known.usable)


def test_a_first_start_need_not_wait_for_it(network: Path, folder: Path, measured: list[int]) -> None:
    def opened() -> str:
        return explain(open_engine(network, threads=1, folder=EngineFolder(folder, later=True), say=pytest.fail))

    assert "ONNX Runtime" in opened() and measured == [] and not is_measured(network, 1, folder)
    choose(network, 1, folder, lambda line: None)
    assert len(measured) == 1 and is_measured(network, 1, folder) and "when measured on" in opened()


def test_the_memory_is_for_its_owner_alone(network: Path, folder: Path, measured: list[int]) -> None:
    choose(network, 1, folder, print)
    assert (folder / FILE_NAME).stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    "change",
    [
        lambda patch, network: convolution(network, gain=2.0),
        lambda patch, network: convolution(network.with_suffix(".int8.onnx")),
        lambda patch, network: patch.setattr(choice, "installed_versions", lambda: {"onnxruntime": "99.0"}),
        lambda patch, network: patch.setattr(choice, "_cpu", lambda: "another CPU"),
        lambda patch, network: patch.setattr(choice, "_accelerators", lambda: ["0x10de:0x2684"]),
        lambda patch, network: patch.setattr(os, "sched_getaffinity", lambda _: range(64)),
    ],
    ids=["network", "a variant of it", "versions", "CPU", "a GPU", "cores"],
)
def test_it_is_measured_again_when_something_changes(
    change: Callable[[pytest.MonkeyPatch, Path], object],
    network: Path,
    folder: Path,
    measured: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for _ in range(2):
        choose(network, 2, folder, print)
    assert measured == [2]
    with monkeypatch.context() as patch:
        change(patch, network)
        for _ in range(2):
            choose(network, 2, folder, print)
    assert measured == [2, 2]


def test_each_number_of_threads_has_its_own_answer(network: Path, folder: Path, measured: list[int]) -> None:
    for threads in (1, 2, 1, 2):
        assert choose(network, threads, folder, print).key["threads"] == threads
    assert measured == [1, 2]
    choose(network, 1, folder, print, anew=True)
    assert measured == [1, 2, 1] and len(remembered(folder)) == 2


def test_without_a_folder_nothing_is_measured(network: Path, measured: list[int], tmp_path: Path) -> None:
    assert open_engine(network).describe().backend == "onnxruntime"
    assert not measured and [path.name for path in tmp_path.iterdir()] == ["small.onnx"]


# ---- what is tried goes wrong


WRONG = [
    ("os.kill(os.getpid(), signal.SIGSEGV)", r"died of a segmentation fault \(SIGSEGV\)"),
    ("os.kill(os.getpid(), signal.SIGILL)", r"died of an illegal instruction: it was built for a newer CPU \(SIGILL\)"),
    ("os.kill(os.getpid(), signal.SIGKILL)", r"was killed, perhaps because memory ran out \(SIGKILL\)"),
    ("os._exit(3)", r"ended while it was tried \(exit code 3\)"),
    ("time.sleep(600 if len(calls) > 6 else 0)\nreturn real(self, inputs)", r"was not done within 3 s"),
    ("return {n: a * 0.8 for n, a in real(self, inputs).items()}", r"gives other numbers than the first \(\d+ dB"),
    ("return {n: a * float('nan') for n, a in real(self, inputs).items()}", r"gives numbers that are not finite"),
    ("return {'z': a for a in real(self, inputs).values()}", r"gives other outputs than the first"),
]


@needs_openvino
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize(("body", "reason"), WRONG, ids=["segv", "ill", "kill", "exit", "hang", "far", "nan", "names"])
def test_what_goes_wrong_is_left_out_with_the_reason(
    body: str, reason: str, network: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "ROUND_S", 3.0)
    monkeypatch.setattr(measure, "ROUNDS", 2)
    monkeypatch.syspath_prepend(sabotage(tmp_path, body))
    engine = open_engine(network, threads=1, folder=EngineFolder(folder), say=lambda line: None)
    assert engine.describe().backend == "onnxruntime"
    (known,) = remembered(folder)
    failed = [result for result in known.results if result.candidate.backend == "openvino"]
    assert failed and all(result.ms is None and re.search(reason, result.reason) for result in failed), failed
    assert re.search(rf"OpenVINO \(cpu, fp32\): {reason}", explain(engine))


@needs_openvino
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_library_that_dies_when_it_is_imported_is_not_usable(
    network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that was built for AVX2 does on a CPU without."""
    (tmp_path / "openvino.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGILL)\n")
    monkeypatch.syspath_prepend(tmp_path)
    found = measure.find_devices()
    assert found["openvino"] == "died of an illegal instruction: it was built for a newer CPU (SIGILL)"
    assert not isinstance(found["onnxruntime"], str)


def result(ms: float | None, precision: str = "fp32", backend: str = "openvino") -> Result:
    return Result(Candidate(backend, "cpu", precision), ms)


def test_fewer_digits_must_be_clearly_faster() -> None:
    exact, other = result(10.0), result(12.0, backend="onnxruntime")
    little, clear, dead = result(9.5, "bf16"), result(8.0, "int8"), result(None, "int8", "onnxruntime")
    assert rank([other, dead, little, exact, clear]) == [clear, exact, other, little, dead]
    assert rank([little, exact])[0] == exact
    assert rank([little, replace(exact, ms=None)])[0] == little


def test_where_no_process_can_be_started_the_first_that_loads_runs(
    network: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    lines: list[str] = []
    engine = open_engine(network, folder=EngineFolder(folder), say=lines.append)
    assert engine.describe().backend == "onnxruntime"
    assert lines[-1] == "the engines could not be measured: No such file or directory: the first that loads is taken"
    with pytest.raises(EngineFailure, match="could not be measured"):
        choose(network, 1, folder, print)


# ---- the memory is damaged, foreign, or cannot be kept


def known_entry(network: Path) -> dict[str, Any]:
    candidate = {"backend": "onnxruntime", "device": "cpu", "precision": "fp32"}
    row = {"candidate": candidate, "ms": 1.0, "reason": "", "load_ms": 1.0}
    return {
        "key": choice.choice_key(network, 1), "model": network.name, "measured": "2026-11-24T10:00:00+00:00",
        "results": [row], "unusable": {},
    }  # fmt: skip


def with_row(entry: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return entry | {"results": [entry["results"][0] | changes]}


DAMAGED: dict[str, Callable[[dict[str, Any]], bytes]] = {
    "empty": lambda entry: b"",
    "no JSON": lambda entry: b"\x00\xff" * 40,
    "cut off": lambda entry: json.dumps({"format": choice.FORMAT, "choices": [entry]}).encode()[:-30],
    "a list": lambda entry: b"[]",
    "a deep nest": lambda entry: b"[" * 200_000,
    "huge": lambda entry: b" " * (choice.MAX_BYTES + 1),
    "no results": lambda entry: whole(entry | {"results": []}),
    "results of another kind": lambda entry: whole(entry | {"results": 7}),
    "an unknown backend": lambda entry: whole(with_row(entry, candidate={"backend": "os", "device": "cpu"})),
    "an unknown precision": lambda entry: whole(
        with_row(entry, candidate={"backend": "openvino", "device": "cpu", "precision": "../.."})
    ),
    "no number": lambda entry: whole(with_row(entry, ms="nan")),
    "a negative number": lambda entry: whole(with_row(entry, ms=-1)),
    "a number beyond all": lambda entry: whole(with_row(entry, ms=10**400)),
    "no date": lambda entry: whole(entry | {"measured": "\x1b[2Jtoday"}),
}


def whole(entry: dict[str, Any], version: int = choice.FORMAT) -> bytes:
    return json.dumps({"format": version, "choices": [entry]}).encode()


def put(folder: Path, data: bytes) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / FILE_NAME
    path.write_bytes(data)
    path.chmod(0o600)
    return path


def test_what_the_tests_damage_is_read_when_it_is_whole(network: Path, folder: Path, measured: list[int]) -> None:
    put(folder, whole(known_entry(network)))
    assert choose(network, 1, folder, print).date == "2026-11-24"
    assert not measured


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_memory_is_said_once_and_replaced(
    damage: str, network: Path, folder: Path, measured: list[int]
) -> None:
    path = put(folder, DAMAGED[damage](known_entry(network)))
    lines: list[str] = []
    choose(network, 1, folder, lines.append)
    assert measured == [1]
    assert lines == [f"{path} is damaged: the engines are measured again", choice.MEASURING.format(model=network.name)]
    choose(network, 1, folder, lines.append)
    assert measured == [1] and len(lines) == 2


def test_the_memory_of_another_version_is_measured_anew(network: Path, folder: Path, measured: list[int]) -> None:
    put(folder, whole(known_entry(network), choice.FORMAT + 1))
    choose(network, 1, folder, print)
    assert measured == [1]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions, links and pipes")
@pytest.mark.parametrize("kind", ["a link", "a pipe", "a folder", "writable by all"])
def test_a_memory_that_is_not_ones_own_file_is_not_read(
    kind: str, network: Path, folder: Path, tmp_path: Path, measured: list[int]
) -> None:
    path = put(folder, whole(known_entry(network)))
    if kind == "writable by all":
        path.chmod(0o666)
    else:
        elsewhere = path.rename(tmp_path / "elsewhere")
        make: dict[str, Callable[[], None]] = {
            "a link": lambda: path.symlink_to(elsewhere),
            "a pipe": lambda: os.mkfifo(path),
            "a folder": path.mkdir,
        }
        make[kind]()
    lines: list[str] = []
    assert choose(network, 1, folder, lines.append).usable
    assert measured == [1] and "the engines are measured again" in lines[0]


def test_where_the_folder_cannot_be_made_it_is_measured_each_time(
    network: Path, tmp_path: Path, measured: list[int]
) -> None:
    (tmp_path / "file").write_bytes(b"")
    lines: list[str] = []
    for _ in range(2):
        assert choose(network, 1, tmp_path / "file" / "engines", lines.append).usable
    assert measured == [1, 1]
    assert [line for line in lines if "cannot be written to (" in line and "again next time" in line]


@pytest.mark.skipif(sys.platform == "win32", reason="limits the size of files as POSIX does")
def test_on_a_full_disk_the_answer_is_used_and_not_kept(network: Path, folder: Path, measured: list[int]) -> None:
    lines: list[str] = []
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, hard))  # the kernel refuses what goes beyond, as a full disk does
    try:
        assert choose(network, 1, folder, lines.append).usable
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "could not be written (File too large): the engines are measured again next time" in lines[-1]
    assert not list(folder.glob("*.part")) and not (folder / FILE_NAME).exists()


# ---- two at once


def test_of_two_processes_at_once_one_measures_and_one_waits(network: Path, folder: Path) -> None:
    code = """
        import sys
        from pathlib import Path
        from engines import EngineFolder, explain, open_engine
        print("ready", flush=True)
        sys.stdin.readline()
        print(explain(open_engine(Path(sys.argv[1]), threads=1, folder=EngineFolder(Path(sys.argv[2])), say=print)))
    """
    pair = [
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code), network, folder],
            cwd=Path(engines.__file__).parents[1],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for process in pair:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    for process in pair:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    said = [process.communicate(timeout=120)[0] for process in pair]
    assert [process.returncode for process in pair] == [0, 0]
    assert sorted("Measuring the engines" in text for text in said) == [False, True]
    waited = next(text for text in said if "Measuring" not in text)
    assert waited.startswith("another process is measuring the engines: waiting for it\n")
    assert said[0].splitlines()[-1] == said[1].splitlines()[-1]


def test_the_example_is_what_candidates_are_compared_on(
    network: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a tensor is missing, or of another shape, made-up values stand in for it."""
    seen: list[float] = []
    compare = measure._wrong

    def watched(outputs: Tensors, reference: Tensors | None, precision: str) -> str | None:
        seen.append(float(outputs["y"].astype(float).mean()))
        return compare(outputs, reference, precision)

    monkeypatch.setattr(measure, "_wrong", watched)
    for value in (0.0, 9.0):
        given = {"x": np.full((1, 8, 32, 32), value, np.float32), "unknown": np.zeros(3)}
        choose(network, 1, None, lambda line: None, example=partial(dict, given))
    choose(network, 1, None, lambda line: None, example=lambda: {"x": np.zeros((1, 8, 9, 9), np.float32)})
    assert seen[0] == pytest.approx(0.5, abs=1e-3)  # sigmoid(0)
    assert len({round(mean, 2) for mean in seen}) == 3
