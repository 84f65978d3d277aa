"""The training loop: killed and resumed, many processes, losses that are no number, full disks, validation."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from avatar.core.errors import InputError, UsageError, VisavisError
from avatar.learning.dataset.pack import Pack, open_pack, save_pack
from avatar.learning.full_objective import FullObjective, FullOptions
from avatar.learning.parallel import Parallel
from avatar.learning.region_crops import Crops, RegionCrops, draw_crops
from avatar.learning.region_objective import RegionObjective, RegionOptions, RegionWeights
from avatar.learning.settings import apply_settings
from avatar.learning.trainer import RunOptions, Trainer, TrainingData
from avatar.model.config import EmbedderConfig, RegionConfig
from avatar.model.embedder import Embedder
from avatar.model.full.checkpoint import load_full
from avatar.model.full.config import FullConfig
from avatar.model.layered_generator import MOUTH, load_region
from tests.clips import astronaut_avatar

ROOT = Path(__file__).parents[1]
SMALL = replace(MOUTH, config=RegionConfig((8, 12, 16), 1), embedding=16)
SMALL_FULL = FullConfig.at(32, channels_min=8, channels_max=24, embedding=24, down_blocks=2, residual_blocks=1)
RUN = RunOptions(steps=4, batch=2, save_every=2, log_every=1, workers=0, warm_up_steps=2)
QUICK = RegionOptions(adversarial_from_step=1)
# losses of the first steps with seed 1: a change here is a change of what is learned
GOLDEN = {
    "mouth": [
        {"step": 1, "l1": 0.381, "paint": 0.924, "content": 0.962},
        {"step": 2, "l1": 0.536, "paint": 1.138, "content": 0.967, "adversarial": 0.013, "discriminator": 2.021},
    ],
    "full": [
        {"step": 1, "pixels": 7.581, "imagenet": 12.686, "identity": 3.429, "feature_matching": 10.47,
         "adversarial": -38.001, "match": 0.0, "discriminator": 37.145},
        {"step": 2, "pixels": 7.814, "imagenet": 12.73, "identity": 3.449, "feature_matching": 10.724,
         "adversarial": -30.41, "match": 1.937, "discriminator": 29.194},
    ],
}  # fmt: skip


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small networks: more threads only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def make_pack() -> Pack:
    """A still of one person, and a clip of another: the same face rolled and moved, frame by frame."""
    avatar = astronaut_avatar()
    picture = cv2.resize(avatar.portraits[0], (256, 256), interpolation=cv2.INTER_AREA)
    frames, points = [picture], [avatar.landmarks[0]]
    for i in range(12):
        turn = cv2.getRotationMatrix2D((128, 128), 1.5 * i - 8, 1 + 0.01 * i)
        moved = avatar.landmarks[0].copy()
        moved[:, :2] = ((moved[:, :2] * 256 - 0.5) @ turn[:, :2].T + turn[:, 2] + 0.5) / 256
        frames.append(cv2.warpAffine(picture, turn, (256, 256), borderMode=cv2.BORDER_REPLICATE))
        points.append(moved)
    return Pack(
        np.stack(frames),
        np.stack(points).astype(np.float32),
        np.zeros((13, 52), np.float32),
        np.array([0, *[1] * 12], np.int32),
        np.array([-1, *[0] * 12], np.int32),
        ["still", "moving"],
    )


@pytest.fixture(scope="module")
def pack() -> Pack:
    return make_pack()


@cache
def crops() -> Path:
    """A folder with a few of the mouth."""
    torch.manual_seed(1)
    folder = Path(tempfile.mkdtemp(prefix="visavis-crops-"))
    atexit.register(shutil.rmtree, folder)
    save_pack(make_pack(), folder)
    draw_crops(Crops(folder, MOUTH, 6, 1), folder, Embedder(EmbedderConfig((8, 8), 16)), say=lambda line: None)
    return folder


def trainer(
    pack: Pack,
    folder: Path,
    run: RunOptions = RUN,
    size: str = "full",
    validation: Pack | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Trainer:
    torch.manual_seed(run.seed)
    if size == "full":
        objective = FullObjective(SMALL_FULL, FullOptions(k=2), 2, Parallel(), run.bf16)
        return Trainer(objective, TrainingData(pack, objective.samples, validation), folder, run, say=say)

    region = RegionObjective(SMALL, QUICK, Parallel(), run.bf16)
    data = TrainingData(pack, lambda pack, seed: RegionCrops(crops(), seed), validation)
    return Trainer(region, data, folder, run, say=say)


def losses(folder: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    for line in lines:
        line.pop("seconds_per_step", None)
    return lines


class KilledError(Exception):
    pass


@pytest.mark.parametrize("size", ["mouth", "full"])
def test_the_names_in_a_checkpoint_stay(pack: Pack, tmp_path: Path, size: str) -> None:
    """Runs that were begun with an earlier version go on."""
    names = {
        "full": {"makers", "judges", "averaged", "makers_optimiser", "judges_optimiser"},
        "mouth": {"generator", "averaged", "discriminator", "optimiser", "discriminator_optimiser"},
    }
    assert set(trainer(pack, tmp_path, size=size).objective.state_dict()) == names[size]


@pytest.mark.parametrize("size", ["mouth", "full"])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_stopped_run_goes_on_with_the_same_losses(pack: Pack, tmp_path: Path, size: str, accumulate: int) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    run = replace(RUN, accumulate=accumulate)
    trainer(pack, whole, run, size).run()

    def kill_at_three(line: str) -> None:
        if line.startswith("step 3/"):
            raise KilledError  # after step 2 was saved, before step 4

    with pytest.raises(KilledError):
        trainer(pack, parts, run, size, say=kill_at_three).run()
    with (parts / "log.jsonl").open("a") as log:
        log.write('{"step": 4, "face_l')  # cut off by the kill
    trainer(pack, parts, run, size).run()
    assert len(losses(parts)) == 4  # step 3 stands there once
    for resumed, unbroken in zip(losses(parts), losses(whole), strict=True):
        assert resumed == pytest.approx(unbroken, rel=1e-3, abs=5e-5)  # sums of floats depend on memory alignment
    assert (parts / "sheet_000004.png").exists()
    if size == "mouth":
        weights = [load_region(folder / "mouth.safetensors").state_dict() for folder in (parts, whole)]
    else:
        nets = [load_full(folder / "full.safetensors")[0] for folder in (parts, whole)]
        weights = [net.generator.state_dict() for net in nets]
    assert all(torch.allclose(weights[0][name], weights[1][name], atol=2e-3) for name in weights[0])


def test_two_half_batches_teach_what_a_whole_one_does(pack: Pack) -> None:
    """Accumulated gradients are the mean over the passes."""
    found = []
    for size, parts in ((2, 1), (1, 2)):
        torch.manual_seed(3)
        objective = FullObjective(SMALL_FULL, FullOptions(k=2, judge_steps=0), 2)
        data = objective.samples(pack, 1)
        samples = [data[i] for i in range(2)]
        batches = []
        for first in range(0, 2, size):
            batch = {k: torch.stack([s[k] for s in samples[first : first + size]]) for k in samples[0]}
            batches.append({k: v.float() / 255 if v.dtype == torch.uint8 else v for k, v in batch.items()})
        assert len(batches) == parts
        objective.weights = replace(objective.weights, imagenet=0, identity=0, pixels=0)  # relative to the batch
        objective.step(batches, 0)
        grads = [p.grad.flatten() for p in objective.networks.embedder.parameters() if p.grad is not None]
        found.append(torch.cat(grads))
    whole, halves = found  # not the same to the last digit: each pass moves the vectors of spectral normalisation
    assert torch.cosine_similarity(whole, halves, dim=0) > 0.995
    assert float(halves.norm()) == pytest.approx(float(whole.norm()), rel=0.05)


def test_adversarial_losses_come_in_when_they_are_due(pack: Pack, tmp_path: Path) -> None:
    trainer(pack, tmp_path, replace(RUN, steps=2), "mouth").run()
    first, second = losses(tmp_path)
    assert "adversarial" not in first
    assert {"adversarial", "discriminator"} <= set(second)


@pytest.mark.parametrize("size", ["mouth", "full"])
def test_bfloat16_teaches_nearly_the_same(pack: Pack, tmp_path: Path, size: str) -> None:
    for name, bf16 in (("exact", False), ("brief", True)):
        trainer(pack, tmp_path / name, replace(RUN, steps=2, bf16=bf16), size).run()
    for exact, brief in zip(losses(tmp_path / "exact"), losses(tmp_path / "brief"), strict=True):
        assert set(exact) == set(brief)
        total = [sum(abs(v) for k, v in one.items() if k not in ("step", "adversarial")) for one in (exact, brief)]
        assert total[1] == pytest.approx(total[0], rel=0.1) and total[0] != total[1]


@pytest.mark.parametrize("size", ["mouth", "full"])
def test_a_loss_that_is_no_number_stops_and_keeps_the_checkpoint(pack: Pack, tmp_path: Path, size: str) -> None:
    trainer(pack, tmp_path, replace(RUN, steps=2), size).run()
    kept = (tmp_path / "state.pt").read_bytes()
    broken = trainer(pack, tmp_path, RUN, size)
    if isinstance(broken.objective, FullObjective):
        makers, judges = broken.objective.embedder_and_generator, broken.objective.discriminators
    else:
        assert isinstance(broken.objective, RegionObjective)
        makers, judges = nn.ModuleList([broken.objective.generator]), nn.ModuleList([broken.objective.discriminator])
    before = [p.detach().clone() for p in judges.parameters()]
    with torch.no_grad():
        next(makers.parameters()).fill_(float("nan"))
    with pytest.raises(VisavisError, match=r"Step 3: a loss or its gradient is no number \(.*last good checkpoint"):
        broken.run()
    assert (tmp_path / "state.pt").read_bytes() == kept
    assert all(torch.equal(a, b) for a, b in zip(before, judges.parameters(), strict=True))


def test_a_full_disk_keeps_the_checkpoint(pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer(pack, tmp_path, replace(RUN, steps=2)).run()
    kept = (tmp_path / "state.pt").read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(VisavisError, match=r"No space left.*last good one stays.*Make room"):
        trainer(pack, tmp_path).run()
    assert (tmp_path / "state.pt").read_bytes() == kept and not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("damage", ["cut", "noise", "other size"])
def test_a_damaged_checkpoint_is_named(pack: Pack, tmp_path: Path, damage: str) -> None:
    trainer(pack, tmp_path, replace(RUN, steps=2)).run()
    path = tmp_path / "state.pt"
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-5000])
    elif damage == "noise":
        path.write_bytes(b"not a checkpoint")
    with pytest.raises(InputError, match=r"state\.pt is damaged or belongs to other networks"):
        trainer(pack, tmp_path, RUN, "mouth" if damage == "other size" else "full")


def test_other_settings_are_said(pack: Pack, tmp_path: Path) -> None:
    trainer(pack, tmp_path, replace(RUN, steps=2)).run()
    said: list[str] = []
    trainer(pack, tmp_path, replace(RUN, batch=1), say=said.append)
    assert "batch 2 → 1" in said[0] and "steps 2 → 4" in said[0]


def test_people_held_out_are_measured(pack: Pack, tmp_path: Path) -> None:
    trainer(pack, tmp_path, replace(RUN, steps=2), validation=pack).run()
    (found,) = [line for line in losses(tmp_path) if "validation/l1" in line]
    assert found["step"] == 2 and 0 < found["validation/l1"] < 1 and found["validation/imagenet"] > 0
    still = Pack(pack.pictures[:1], pack.landmarks[:1], pack.blendshapes[:1], pack.identity[:1], pack.clip[:1], ["a"])
    said: list[str] = []
    trainer(pack, tmp_path / "still", replace(RUN, steps=1), validation=still, say=said.append)
    assert said[0].startswith("no validation: among the people held out, no clip shows a face that moves")
    with pytest.raises(InputError, match="cannot teach: no clip"):
        trainer(still, tmp_path / "nothing")


def test_tensorboard_gets_the_losses(pack: Pack, tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    trainer(pack, tmp_path, validation=pack).run()
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert {"training/imagenet", "training/discriminator", "validation/l1"} <= set(events.Tags()["scalars"])
    assert [event.step for event in events.Scalars("training/imagenet")] == [1, 2, 3, 4]


def test_losses_of_the_first_steps_are_the_known_ones(pack: Pack, tmp_path: Path) -> None:
    for size, golden in GOLDEN.items():
        trainer(pack, tmp_path / size, replace(RUN, steps=2), size).run()
        for found, known in zip(losses(tmp_path / size), golden, strict=True):
            assert found == pytest.approx(known, rel=0.03, abs=0.003)


def test_settings_reach_the_dataclass_that_has_them() -> None:
    run, region = apply_settings(
        ["steps=12", "bf16=1", "rate=1e-3", "weight_content=2", "ema=0.9"], [RunOptions(), RegionOptions()]
    )
    assert (run.steps, run.bf16) == (12, True)
    assert region == RegionOptions(rate=1e-3, ema=0.9, weights=RegionWeights(content=2.0))
    assert apply_settings(["recipe=paper_v1"], [FullOptions()])[0].recipe == "paper_v1"


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("speed=3", "no training option 'speed'. Choose from: steps"),
        ("steps=many", "'many' is not a whole number"),
        ("batch=2.5", "is not a whole number"),
        ("batch=0", "at least 1"),
        ("rate=-1", "not negative"),
        ("rate=nan", "not negative"),
        ("steps", "'' is not a whole number"),
    ],
)
def test_bad_settings_are_named(setting: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        apply_settings([setting], [RunOptions(), RegionOptions()])


WORKER = """
import sys
from pathlib import Path
import torch
sys.path.insert(0, {root!r})
from avatar.learning.full_objective import FullObjective, FullOptions
from avatar.learning.parallel import parallel
from avatar.learning.trainer import RunOptions, Trainer, TrainingData
from tests.test_trainer import SMALL_FULL, make_pack
torch.set_num_threads(1)
with parallel() as group:
    torch.manual_seed(1)
    objective = FullObjective(SMALL_FULL, FullOptions(k=2), 2, group)
    run = RunOptions(steps=4, batch=1, save_every=2, log_every=1, workers=0, warm_up_steps=2)
    data, folder = TrainingData(make_pack(), objective.samples), Path(sys.argv[1])
    Trainer(objective, data, folder, run, say=lambda line: print(line, flush=True)).run()
    state = [p for part in (objective.embedder_and_generator, objective.discriminators) for p in part.parameters()]
    print(f"sum {{sum(float(p.detach().double().abs().sum()) for p in state)}}\\n", end="", flush=True)
"""


def two_processes(script: Path, folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    return subprocess.Popen(
        [*command, str(folder)], cwd=ROOT, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, start_new_session=True, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip


@pytest.mark.timeout(600)
def test_two_processes_learn_one_network_and_go_on_after_a_kill(tmp_path: Path) -> None:
    script, whole, parts = tmp_path / "worker.py", tmp_path / "whole", tmp_path / "parts"
    script.write_text(WORKER.format(root=str(ROOT)))
    unbroken = two_processes(script, whole)
    said, _ = unbroken.communicate(timeout=200)
    assert unbroken.returncode == 0, said
    sums = [line.split()[-1] for line in said.splitlines() if line.startswith("sum")]
    assert len(sums) == 2 and sums[0] == sums[1], said
    assert said.count("step 4/4") == 1  # only the first process talks

    killed = two_processes(script, parts)
    deadline = time.monotonic() + 200
    while not (parts / "state.pt").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    end(killed, parts)
    resumed = two_processes(script, parts)
    said, _ = resumed.communicate(timeout=200)
    assert resumed.returncode == 0, said
    assert said.count("going on from step") == 1
    for one, other in zip(losses(parts), losses(whole), strict=True):
        assert one == pytest.approx(other, rel=2e-3, abs=1e-4)


def end(launcher: subprocess.Popen[str], *arguments: str | Path) -> None:
    os.killpg(launcher.pid, signal.SIGKILL)
    for pid in workers_with(*arguments):
        os.kill(pid, signal.SIGKILL)
    launcher.communicate()


def workers_with(*arguments: str | Path) -> list[int]:
    """torchrun starts each worker in a session of its own."""
    last = "".join(f"\0{argument}" for argument in arguments).encode() + b"\0"
    found = []
    for status in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if status.read_bytes().endswith(last):
                found.append(int(status.parent.name))
        except OSError:
            continue
    return found


def test_train_says_what_it_needs(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "avatar.cli.main", "train"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert done.returncode != 0 and "--data FOLDER --out FOLDER" in done.stderr
    done = subprocess.run(
        [*command, "--size", "full", "--resolution", "100", "--dry-run"],
        cwd=ROOT, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert done.returncode != 0 and "power of two" in done.stderr


def test_a_pack_that_is_not_whole_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no complete training pack"):
        open_pack(tmp_path)


def test_settings_of_the_network_are_checked_by_it() -> None:
    (config,) = apply_settings(["channels_min=32", "channels_max=256"], [FullConfig.at(128)])
    assert config == FullConfig.at(128, channels_min=32, channels_max=256)
    with pytest.raises(UsageError, match="do not fit"):
        apply_settings(["picture_size_px=100"], [FullConfig.at(128)])
