"""What the engines keep on disk, and the commands that show, measure and remove it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from engines.files import kept_files, remove_kept
from tests.networks import HAS_OPENVINO

HASH = "0123456789abcdef" * 4
OWN = [
    "choice.json", "choice.lock", "choice.json.part", f"sm89-{HASH}.engine", f"sm89-{HASH}.lock",
    f"sm120-{HASH}.engine.part", f"sm89-{HASH}.0a1b2c3d.kernels", f"sm89-{HASH}.timing", "openvino/17.blob",
    "openvino/17.cl_cache", "onnxruntime/TensorrtExecutionProvider_1.engine", "onnxruntime/sm89.timing",
]  # fmt: skip
FOREIGN = [
    "notes.txt", "my.engine", "my.lock", "thesis.part", "sm89-short.engine", f"sm89-{HASH}.engine.backup",
    "openvino/letter.txt", "openvino/deeper/17.blob", "onnxruntime/x.onnx", "choice.json~",
]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With what engines keep, and with files of somebody else."""
    folder = tmp_path / "engines"
    for name in (*OWN, *FOREIGN):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"12345")
    return folder


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}


def test_all_that_engines_keep_is_listed_and_removed_and_nothing_else(folder: Path) -> None:
    files = kept_files(folder)
    assert {file.path.relative_to(folder).as_posix() for file in files} == set(OWN)
    assert all(file.size_bytes == 5 and file.what for file in files)
    assert remove_kept(folder) == files
    assert names(folder) == set(FOREIGN)
    assert remove_kept(folder) == []


@pytest.mark.skipif(sys.platform == "win32", reason="links")
def test_links_are_not_followed(folder: Path, tmp_path: Path) -> None:
    remove_kept(folder)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "17.blob").write_bytes(b"mine")
    (folder / f"sm86-{HASH}.engine").symlink_to(outside / "17.blob")
    (folder / "openvino").rename(tmp_path / "elsewhere")
    (folder / "openvino").symlink_to(outside)
    assert kept_files(folder) == remove_kept(folder) == []
    assert (outside / "17.blob").read_bytes() == b"mine"
    assert (folder / f"sm86-{HASH}.engine").is_symlink()
    (outside / "choice.json").write_bytes(b"mine")
    whole = tmp_path / "link"
    whole.symlink_to(outside)
    assert kept_files(whole) == remove_kept(whole) == []
    assert (outside / "choice.json").is_file()


def test_empty_folders_of_the_backends_go_too(tmp_path: Path) -> None:
    (tmp_path / "openvino").mkdir()
    (tmp_path / "openvino" / "1.blob").write_bytes(b"")
    assert len(remove_kept(tmp_path)) == 1 and not list(tmp_path.iterdir())
    assert remove_kept(tmp_path / "nowhere") == []


def visavis(*arguments: str, cache: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"VISAVIS_CACHE": str(cache), "COLUMNS": "200", "NO_COLOR": "1"}
    return subprocess.run(
        [sys.executable, "-m", "avatar.cli.main", "engines", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_commands_measure_show_and_clean(tmp_path: Path) -> None:
    before = visavis(cache=tmp_path)
    assert before.returncode == 0, before.stderr
    assert "Nothing was measured yet" in before.stdout and "no files" in before.stdout
    done = visavis("measure", "--threads", "1", cache=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "generator.onnx, 1 threads, measured 20" in done.stdout
    assert " runs" in done.stdout.splitlines()[2]
    shown = visavis(cache=tmp_path)
    assert "ONNX Runtime (cpu, fp32)" in shown.stdout and "choice.json" in shown.stdout
    report = json.loads(visavis("--json", cache=tmp_path).stdout)
    assert [backend["name"] for backend in report["backends"]] == ["onnxruntime", "openvino", "tensorrt", "torch"]
    runtime, openvino, *_ = report["backends"]
    assert runtime["version"] and runtime["devices"]["cpu"] is None and runtime["reason"] is None
    assert (openvino["reason"] is None) == HAS_OPENVINO
    (measured,) = report["measured"]
    assert measured["current"] and measured["key"]["threads"] == 1
    assert {row["candidate"]["precision"] for row in measured["results"]} >= {"fp32", "int8"}
    assert all(row["ms"] for row in measured["results"]), measured["results"]  # each gives the right numbers
    assert {Path(file["path"]).name for file in report["files"]} == {"choice.json", "choice.lock"}
    cleaned = visavis("clean", cache=tmp_path)
    assert cleaned.stdout == f"Removed 2 files (0.0 MB) from {tmp_path / 'engines'}.\n"
    assert not list((tmp_path / "engines").iterdir())


@pytest.mark.skipif(sys.platform == "win32" or os.name != "posix", reason="a package that dies by a signal")
def test_where_no_engine_works_the_command_says_why_and_fails(tmp_path: Path) -> None:
    for name in ("onnxruntime", "openvino"):
        (tmp_path / f"{name}.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGILL)\n")
    environment = os.environ | {"VISAVIS_CACHE": str(tmp_path / "cache"), "NO_COLOR": "1"}
    path = os.pathsep.join([str(tmp_path), environment.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "avatar.cli.main", "engines"]
    run = {"env": environment | {"PYTHONPATH": path}, "capture_output": True, "text": True, "timeout": 120}
    done = subprocess.run([*command, "measure"], **run)  # type: ignore[call-overload]
    assert done.returncode == 1 and "No engine works here" in done.stderr
    shown = subprocess.run(command, **run)  # type: ignore[call-overload]
    assert shown.returncode == 0 and "illegal instruction" in shown.stdout.replace("\n", " ")
