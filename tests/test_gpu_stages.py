"""The stages of a quarter of an hour on a GPU, rehearsed on the processor with tiny numbers."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from avatar.core.errors import DeviceError, InputError
from avatar.learning.gpu.machine import check_memory, join_parts, split_out, try_compile
from avatar.learning.gpu.smoke import SMOKE_FILE, advised
from avatar.learning.gpu.stages import main
from avatar.model.full.checkpoint import load_full
from avatar.model.layered_generator import load_region
from tests.gpu_freight import small_freight

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def freight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_freight(tmp_path_factory.mktemp("gpu"))[1]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def words(stage: str, freight: Path, folder: Path, *more: str) -> list[str]:
    return [
        stage, "--device", "cpu", "--tiny", "--freight", str(freight), "--run", str(folder / "run"),
        "--out", str(folder / "out"), "--workers", "0", "--batch", "2", *more,
    ]  # fmt: skip


def test_smoke_tries_every_size_and_its_advice_is_heard(
    freight: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words("smoke", freight, tmp_path, "--seconds", "30"), "--batch", "8"]) == 0
    told = json.loads((tmp_path / "out" / SMOKE_FILE).read_text())
    for size, network in (("mouth", "l1"), ("eye", "paint"), ("full", "imagenet")):
        figures = told["sizes"][size]
        assert figures["batch"] == 8 and figures["rates"]["8"] > 0 and figures["feed_per_s"] > 0
        assert {network, "discriminator", "adversarial"} <= set(figures["losses"])
        assert advised(tmp_path / "run", size) == (8, False)
    said = capsys.readouterr().out
    assert "on the processor" in said and "mouth, batch 8" in said and "full, batch 8" in said
    assert advised(tmp_path / "nowhere", "mouth") == (None, False)
    assert not (tmp_path / "run" / "smoke").exists()


@pytest.mark.parametrize("size", ["mouth", "full"])
def test_a_stage_trains_goes_on_for_its_time_and_brings_out_what_is_needed(
    freight: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], size: str
) -> None:
    assert main(words(size, freight, tmp_path, "--set", "steps=3", "--set", "log_every=1")) == 0
    said = capsys.readouterr().out
    run = tmp_path / "run" / size
    assert (run / "state.pt").is_file() and "14 pictures of 2 people to learn from, 4 of 1 held out" in said
    lines = [json.loads(line) for line in (tmp_path / "out" / "log.jsonl").read_text().splitlines()]
    assert any("validation/l1" in line for line in lines) and any("discriminator" in line for line in lines) == (
        size == "full"  # a region waits with its discriminator
    )
    assert (tmp_path / "out" / "sheet.png").is_file()
    if size == "mouth":
        load_region(tmp_path / "out" / "mouth.safetensors")
    else:
        load_full(run / "full.safetensors")
    assert main(words(size, freight, tmp_path, "--seconds", "3")) == 0
    said = capsys.readouterr().out
    assert "going on from step 3" in said and "seconds are over at step" in said


def test_a_call_that_dies_leaves_the_last_checkpoint(freight: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "avatar.learning.gpu.stages", *words("mouth", freight, tmp_path)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    saving = ["--seconds", "100", "--set", "save_every=2", "--set", "log_every=1"]
    with subprocess.Popen([*command, *saving], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and not (tmp_path / "out" / "mouth.safetensors").exists():
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    load_region(tmp_path / "out" / "mouth.safetensors")  # what came back with the dead call
    done = subprocess.run(
        [*command, "--seconds", "1"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0 and "going on from step" in done.stdout, done.stderr


def test_a_checkpoint_of_other_sizes_is_named(
    freight: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words("full", freight, tmp_path, "--set", "steps=1")) == 0
    shutil.copytree(tmp_path / "run" / "full", tmp_path / "run" / "mouth")
    assert main(words("mouth", freight, tmp_path, "--set", "steps=1")) == 1
    assert "belongs to other networks" in capsys.readouterr().err
    assert main(words("mouth", freight, tmp_path, "--start", str(ROOT / "avatar/weights/fast-3"))) == 1
    assert "The mouth to start from is of another size" in capsys.readouterr().err


def test_a_cut_off_shard_stops_the_stage_with_a_line(
    freight: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "freight"
    shutil.copytree(freight, copy)
    shard = copy / "shard-00.safetensors"
    shard.write_bytes(shard.read_bytes()[:1000])
    assert main(words("mouth", copy, tmp_path, "--set", "steps=1")) == 1
    assert "cut off" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_a_stage_says_so(freight: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = words("mouth", freight, tmp_path)
    given[given.index("cpu")] = "cuda"
    assert main(given) == 1
    assert "sees no GPU here. Run on a machine that has one, or rehearse: --device cpu" in capsys.readouterr().err


def test_too_little_memory_is_said() -> None:
    check_memory(130.0, "full")
    with pytest.raises(DeviceError, match=r"6\.0 GB free; `full` needs 40"):
        check_memory(6.0, "full")


def test_a_loss_that_is_no_number_is_left_out_until_there_are_many(
    freight: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = words("mouth", freight, tmp_path, "--seconds", "60", "--set", "rate=1e30", "--set", "skips=2")
    assert main(broken) == 1
    said = capsys.readouterr()
    assert "is left out (2 of at most 2)" in said.out and "is no number" in said.err


def test_weights_leave_in_parts_and_are_put_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("avatar.learning.gpu.machine.PART_BYTES", 1000)
    file = tmp_path / "full.safetensors"
    file.write_bytes(os.urandom(9_500))
    came = tmp_path / "came"
    assert split_out([file], came, 0) == 3  # ten parts, four a call
    with pytest.raises(InputError, match="04-of-10 is missing: fetch the other parts"):
        join_parts(came, tmp_path / "joined")
    for call in (1, 2):
        split_out([file], came, call)
    assert len(list(came.glob("full.*"))) == 10
    (whole,) = join_parts(came, tmp_path / "joined")
    assert whole.read_bytes() == file.read_bytes()
    part = next(came.glob("*.03-of-10"))
    part.write_bytes(b"x" * 1000)
    with pytest.raises(InputError, match="damaged or of another run"):
        join_parts(came, tmp_path / "joined")


def test_bench_measures_both_sizes_beside_the_roof(
    freight: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words("bench", freight, tmp_path, "--seconds", "60")) == 0
    told = json.loads((tmp_path / "out" / "bench.json").read_text())
    assert {row["network"] for row in told["rows"]} == {"fast", "full"}
    assert all(row["ms"] > 0 and row["roof_ms"] > 0 for row in told["rows"])
    assert "not measured" in capsys.readouterr().out  # ONNX Runtime without a GPU


def test_a_network_that_cannot_be_compiled_runs_on(monkeypatch: pytest.MonkeyPatch) -> None:
    network = torch.nn.Linear(2, 2)

    def refuse() -> None:
        raise RuntimeError("no compiler here\nand more")

    monkeypatch.setattr(network, "compile", refuse)
    trial = try_compile(network, lambda: network(torch.ones(1, 2)), torch.device("cpu"))
    assert not trial.works and not trial.pays and trial.reason == "no compiler here"
    assert network(torch.ones(1, 2)).shape == (1, 2)


def test_weights_aside_come_back_after_a_kill(tmp_path: Path) -> None:
    """In a clone: weights that no stage needs are moved aside for a command, and are back whatever ends it."""
    clone = tmp_path / "clone"
    (clone / "scripts/gpu").mkdir(parents=True)
    shutil.copyfile(ROOT / "scripts/gpu/freight.py", clone / "scripts/gpu/freight.py")
    for name in ("fast-3/mouth.safetensors", "fast-3/generator.onnx", "identity/face_identity.onnx"):
        path = clone / "avatar/weights" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(300_000))
    subprocess.run(["git", "init", "-q"], cwd=clone, check=True)
    subprocess.run(["git", "add", "."], cwd=clone, check=True)
    onnx = clone / "avatar/weights/fast-3/generator.onnx"
    content = onnx.read_bytes()

    def freight_py(*words: str) -> list[str]:
        return [sys.executable, "scripts/gpu/freight.py", *words]

    look = "import pathlib, sys; sys.exit(pathlib.Path('avatar/weights/fast-3/generator.onnx').exists())"
    done = subprocess.run(freight_py("--", sys.executable, "-c", look), cwd=clone, capture_output=True, text=True)
    assert done.returncode == 0 and onnx.read_bytes() == content, done.stderr
    assert subprocess.run(freight_py("--", "false"), cwd=clone, capture_output=True).returncode == 1
    assert onnx.read_bytes() == content
    for number, after in ((signal.SIGINT, True), (signal.SIGTERM, True), (signal.SIGKILL, False)):
        with subprocess.Popen(freight_py("--", "sleep", "60"), cwd=clone, start_new_session=True) as process:
            deadline = time.monotonic() + 30
            while time.monotonic() < deadline and onnx.exists():
                time.sleep(0.02)
            os.killpg(process.pid, number)
        assert onnx.exists() == after
    listed = subprocess.run(freight_py("back"), cwd=clone, capture_output=True, text=True)
    assert "2 files of avatar/weights are back" in listed.stdout and onnx.read_bytes() == content
    listed = subprocess.run(freight_py("list"), cwd=clone, capture_output=True, text=True)
    assert listed.returncode == 0 and "of 60 MB: fits" in listed.stdout
    (clone / "large.bin").write_bytes(bytes(61_000_000))
    listed = subprocess.run(freight_py("list"), cwd=clone, capture_output=True, text=True)
    assert listed.returncode == 1 and "61.00 MB  large.bin" in listed.stdout and "TOO MUCH" in listed.stdout
