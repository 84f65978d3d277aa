"""`visavis dataset build`: what is taken, what is left out and why, and stopping at any moment."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from avatar.core.errors import InputError, UsageError, VisavisError
from avatar.learning.dataset import journal as module
from avatar.learning.dataset.build import BuildOptions, build_dataset
from avatar.learning.dataset.built_dataset import check_shards
from avatar.learning.dataset.outcome import (
    BLURRED,
    NO_FACE,
    SEVERAL_FACES,
    SMALL_FACE,
    TURNED,
    UNREADABLE,
    Outcome,
    TrackRules,
)
from avatar.learning.dataset.padding import content_box
from avatar.learning.dataset.plan import make_plan
from avatar.learning.dataset.shard import read_tracks
from avatar.learning.dataset.source_layouts import find_sources
from avatar.learning.dataset.split import TRAIN, VAL
from avatar.learning.dataset.unpacking import open_shards
from avatar.learning.dataset.workers import Job, Run, on_this_machine, run_job
from avatar.tracking.model_asset import tracker_model
from tests.clips import face_clip, moving_face, write_clip
from tests.portraits import astronaut, blurred, head, resized, save

OPTIONS = BuildOptions(TrackRules(min_frames=4), shard_mb=0.1, hold_out=("v*",))
REFUSED = {
    "anna/blurred.png": BLURRED, "anna/no-face.png": NO_FACE, "anna/small.png": SMALL_FACE,
    "anna/two.png": SEVERAL_FACES, "anna/two.mp4": SEVERAL_FACES,
    "bad/cut-off.png": UNREADABLE, "bad/empty.jpg": UNREADABLE, "bad/text.mp4": UNREADABLE,
}  # fmt: skip


def in_turn(jobs: Iterable[Job]) -> Generator[Outcome, None, None]:
    """What the workers do, in this process."""
    for job in jobs:
        yield run_job(job)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faces")
    for person in ("anna", "bert", "vera", "bad"):
        (folder / person).mkdir()
    face_clip(folder / "anna" / "clip.mp4", 16)
    save(astronaut(), folder / "bert" / "still.png")
    save(astronaut()[:, ::-1].copy(), folder / "vera" / "still.jpg")
    save(blurred(astronaut(), 3), folder / "anna" / "blurred.png")
    save(np.full((300, 300, 3), 90, np.uint8), folder / "anna" / "no-face.png")
    save(resized(astronaut(), 0.3), folder / "anna" / "small.png")
    both = np.concatenate([head(), head()], 1)
    save(both, folder / "anna" / "two.png")
    write_clip(folder / "anna" / "two.mp4", [both] * 8)
    (folder / "bad" / "cut-off.png").write_bytes((folder / "bert" / "still.png").read_bytes()[:100_000])
    (folder / "bad" / "empty.jpg").write_bytes(b"")
    (folder / "bad" / "text.mp4").write_text("not a video\n" * 40)
    (folder / "bad" / "notes.txt").write_text("neither photo nor video")
    save(head(), folder / "loose.png")
    return folder


@pytest.fixture(scope="module")
def built(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("built") / "shards"
    build_dataset(source, out, OPTIONS, tracker_model(), in_turn)
    return out


@pytest.fixture(scope="module")
def again(source: Path) -> Run:
    """The same outcomes without tracking once more."""
    known: dict[tuple[Path, TrackRules], Outcome] = {}

    def run(jobs: Iterable[Job]) -> Generator[Outcome, None, None]:
        for job in jobs:
            key = job.path, job.rules
            if key not in known:
                known[key] = run_job(job)
            yield known[key]

    return run


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_what_is_left_out_is_said_with_its_reason(built: Path) -> None:
    report = json.loads((built / "report.json").read_text())
    assert {e["file"]: reason for reason, d in report["dropped_files"].items() for e in d["examples"]} == REFUSED | {
        "loose.png": "in no person's folder"
    }
    assert report["ignored"] == {".txt": 1} and report["people_without_data"] == ["bad"] and report["files"] == 12
    assert report["identities"] == {TRAIN: ["anna", "bert"], VAL: ["vera"]}
    train, val = report["splits"][TRAIN], report["splits"][VAL]
    assert (train["clips"], train["stills"], val["stills"], val["frames"]) == (1, 1, 1, 1)
    assert 5 <= train["frames"] <= 9  # 0.64 s at 12.5 fps, and the still
    assert all(sum(h["frames"]) == report["frames"] for h in report["histograms"].values())


def test_shards_hold_what_the_report_says(built: Path) -> None:
    assert check_shards(built) == []
    tracks = [(tar.name[:3], *sample) for tar in sorted(built.glob("*.tar")) for sample in read_tracks(tar)]
    assert [(split, said["file"]) for split, said, _ in tracks] == [
        ("tra", "anna/clip.mp4"), ("tra", "bert/still.png"), ("val", "vera/still.jpg"),
    ]  # fmt: skip
    assert len(list(built.glob("train-*.tar"))) == 2  # 0.1 MB are soon full
    times = tracks[0][1]["times_s"]
    assert np.allclose(np.diff(times), 0.08, atol=0.03)


def test_the_crop_fits_the_face_and_the_landmarks(built: Path, tmp_path: Path) -> None:
    pack = open_shards(built, tmp_path, TRAIN)
    assert pack.landmarks[..., :2].min() > 0 and pack.landmarks[..., :2].max() < 1
    lips = pack.landmarks[-1][[13, 14], :2].mean(0) * 256
    x, y = lips.astype(int)
    patch = pack.pictures[-1][y - 2 : y + 3, x - 8 : x + 9].astype(int)
    assert np.ptp(patch.mean(2)) < 120 and patch.mean() > 120  # her teeth


def test_a_turned_head_is_left_out_when_asked(source: Path, tmp_path: Path) -> None:
    rules = replace(OPTIONS.rules, max_turn_deg=0.5)
    outcome = run_job(Job(source / "bert" / "still.png", False, 0.0, None, rules, tracker_model()))
    assert outcome.refusal == TURNED and "are asked for" in outcome.detail and not outcome.tracks


def test_padding_is_cropped_away(tmp_path: Path) -> None:
    def pad(picture: np.ndarray) -> np.ndarray:
        padded = np.full((picture.shape[0], picture.shape[1] + 40, 3), 110, np.uint8)
        padded[:, 40:] = picture
        return padded

    left, top, right, bottom = content_box(pad(moving_face(3)))
    assert 40 <= left <= 44 and (top, right, bottom) == (0, 360, 240)
    clip = face_clip(tmp_path / "padded.mp4", 12, pad)
    (track,) = run_job(Job(clip, True, 0.0, None, OPTIONS.rules, tracker_model())).tracks
    assert track.about["crop"]["x"] >= 40


def test_a_part_of_a_long_video_is_its_own(tmp_path: Path) -> None:
    clip = face_clip(tmp_path / "long.mp4", 40)
    outcomes = [
        run_job(Job(clip, True, 0.0, 0.8, OPTIONS.rules, tracker_model())),
        run_job(Job(clip, True, 0.8, None, OPTIONS.rules, tracker_model())),
    ]
    whole = run_job(Job(clip, True, 0.0, None, OPTIONS.rules, tracker_model()))
    first, second = (outcome.tracks[0].times_s for outcome in outcomes)
    assert first[-1] < 0.8 <= second[0] and sum(outcome.seen for outcome in outcomes) == whole.seen == 20


@pytest.mark.parametrize("stop", range(1, 11, 2))
def test_stopped_anywhere_it_goes_on_to_the_same_bytes(
    source: Path, built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: int, again: Run
) -> None:
    monkeypatch.setattr(module, "SETTLE_S", -1.0)
    asked: list[Path] = []

    def stopped(jobs: Iterable[Job]) -> Generator[Outcome, None, None]:
        for i, outcome in enumerate(again(jobs)):
            if i == stop:
                raise KeyboardInterrupt
            yield outcome

    def counted(jobs: Iterable[Job]) -> Generator[Outcome, None, None]:
        def listed() -> Iterator[Job]:
            for job in jobs:
                asked.append(job.path)
                yield job

        yield from again(listed())

    with pytest.raises(KeyboardInterrupt):
        build_dataset(source, tmp_path, OPTIONS, tracker_model(), stopped)
    with pytest.raises(InputError, match="no complete data set"):
        check_shards(tmp_path)
    for part in tmp_path.glob("*.part"):
        part.write_bytes(part.read_bytes() + b"half a picture")
    with (tmp_path / "files.jsonl").open("a") as journal:
        journal.write('{"file": "half a li')
    build_dataset(source, tmp_path, OPTIONS, tracker_model(), counted)
    assert contents(tmp_path) == contents(built)
    assert len(asked) == 11 - stop  # nothing is done twice


def test_what_is_complete_is_not_built_again_but_a_lost_shard_is(
    source: Path, built: Path, tmp_path: Path, again: Run
) -> None:
    def never(jobs: Iterable[Job]) -> Generator[Outcome, None, None]:
        raise AssertionError

    build_dataset(source, tmp_path, OPTIONS, tracker_model(), again)
    report = build_dataset(source, tmp_path, OPTIONS, tracker_model(), never)
    assert report["frames"] == json.loads((built / "report.json").read_text())["frames"]
    (tmp_path / "train-000001.tar").write_bytes(b"cut off")
    (tmp_path / "train-holiday.tar.gz").write_bytes(b"somebody's own")
    build_dataset(source, tmp_path, OPTIONS, tracker_model(), again)
    (tmp_path / "train-holiday.tar.gz").unlink()  # raises where the build has deleted it
    assert contents(tmp_path) == contents(built)


def test_a_full_disk_is_said_and_nothing_is_lost(source: Path, built: Path, tmp_path: Path, again: Run) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, hard))
    try:
        with pytest.raises(VisavisError, match=r"no room is left.*run the same command again"):
            build_dataset(source, tmp_path, OPTIONS, tracker_model(), again)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    build_dataset(source, tmp_path, OPTIONS, tracker_model(), again)
    assert contents(tmp_path) == contents(built)


def test_a_folder_is_one_build_s_alone(source: Path, built: Path, tmp_path: Path, again: Run) -> None:
    def at_the_same_time(jobs: Iterable[Job]) -> Generator[Outcome, None, None]:
        with pytest.raises(UsageError, match="Another build is at work"):
            build_dataset(source, tmp_path, OPTIONS, tracker_model(), again)
        yield from again(jobs)

    build_dataset(source, tmp_path, OPTIONS, tracker_model(), at_the_same_time)
    for options, says in (
        (replace(OPTIONS, shard_mb=5.0), r"other options: shard_mb 0\.1 \(now 5\.0\)"),
        (replace(OPTIONS, hold_out=("nobody",)), "--hold-out nobody fits none of the"),
        (replace(OPTIONS, hold_out=("*",)), "leaves nobody"),
    ):
        with pytest.raises(UsageError, match=says):
            build_dataset(source, tmp_path, options, tracker_model(), again)
    with pytest.raises(UsageError, match=r"not what .* was begun from"):
        added = save(head(), source / "bert" / "added.png")
        try:
            build_dataset(source, tmp_path, OPTIONS, tracker_model(), again)
        finally:
            added.unlink()
    with pytest.raises(UsageError, match="is a file, or lies below one"):
        build_dataset(source, source / "loose.png" / "out", OPTIONS, tracker_model(), again)
    with pytest.raises(UsageError, match="no data set"):
        build_dataset(source, source / "bad", OPTIONS, tracker_model(), again)


def test_nothing_usable_is_an_error_that_says_why(source: Path, tmp_path: Path, again: Run) -> None:
    with pytest.raises(InputError, match=r"No usable face in 3 files: 3 unreadable file"):
        build_dataset(source / "bad", tmp_path, replace(OPTIONS, hold_out=()), tracker_model(), again)


def test_layouts_name_the_people(tmp_path: Path) -> None:
    for name in ("dev/mp4/id00012/21Uxsk56VDQ/00001.mp4", "dev/mp4/id00015/0fijmz4vTVU/00001.mp4"):
        (tmp_path / "vox" / name).parent.mkdir(parents=True)
        (tmp_path / "vox" / name).touch()
    assert [file.identity for file in find_sources(tmp_path / "vox").files] == ["id00012", "id00015"]
    side = tmp_path / "side"
    side.mkdir()
    for name in ("b.png", "a.mp4"):
        (side / name).touch()
    assert [(f.name, f.identity, f.is_video) for f in find_sources(side).files] == [
        ("a.mp4", "a", True), ("b.png", "b", False),
    ]  # fmt: skip
    (side / "manifest.csv").write_text("file,identity,licence\nb.png,anna,CC0\nb.png,bert,\nx.doc,c,\n")
    found = find_sources(side)
    assert [(f.name, f.identity, f.columns) for f in found.files] == [("b.png", "anna", {"licence": "CC0"})]
    assert [reason for _, reason in found.refused] == ["listed twice", "neither photo nor video"]


def command(source: Path, out: Path) -> list[str]:
    return [
        sys.executable, "-m", "avatar.cli.main", "dataset", "build", str(source), "--out", str(out),
        "--shard-mb", "0.1", "--hold-out", "v*", "--min-frames", "4",
    ]  # fmt: skip


def test_killed_for_real_the_command_goes_on(source: Path, built: Path, tmp_path: Path) -> None:
    """SIGKILL to the process, its workers left to end by themselves; then with another number of workers."""
    build = command(source, tmp_path / "out")
    environment = os.environ | {"VISAVIS_TRACKER_MODEL": str(tracker_model())}
    process = subprocess.Popen([*build, "--workers", "1"], env=environment, stderr=subprocess.DEVNULL)
    journal = tmp_path / "out" / "files.jsonl"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if journal.is_file() and journal.stat().st_size:
            break
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert journal.stat().st_size, "it was killed before it had begun"
    done = subprocess.run([*build, "--workers", "2"], env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert contents(tmp_path / "out") == contents(built)
    assert "unreadable file" in done.stdout and "several faces of similar size" in done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_workers_leave_ctrl_c_to_the_command_from_their_very_start(source: Path) -> None:
    job = Job(source / "bad" / "empty.jpg", False, 0.0, None, OPTIONS.rules, tracker_model())
    before = set(psutil.Process().children())
    run = on_this_machine(1)(iter([job, job, job, job]))
    held = []
    try:
        assert next(run).refusal == UNREADABLE
        for worker in set(psutil.Process().children()) - before:
            status = Path(f"/proc/{worker.pid}/status").read_text(encoding="ascii")
            if "--multiprocessing-fork" in worker.cmdline():
                held.append(int(status.partition("SigBlk:")[2].split()[0], 16) >> (signal.SIGINT - 1) & 1)
    finally:
        run.close()
    assert held == [1]
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


@pytest.mark.e2e
def test_a_ray_cluster_makes_the_same_bytes(source: Path, built: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    environment = os.environ | {"VISAVIS_TRACKER_MODEL": str(tracker_model()), "RAY_worker_niceness": "0"}
    build = [*command(source, tmp_path / "out"), "--ray", "local"]
    done = subprocess.run(build, env=environment, capture_output=True, text=True, timeout=290)
    assert done.returncode == 0, done.stderr
    assert contents(tmp_path / "out") == contents(built)


def test_a_manifest_says_who_is_held_out(tmp_path: Path) -> None:
    """One file under `val` holds the whole person out, whatever stands beside the others."""
    rows = ["anna,train", "anna,train", "vera,val", "vera,train", "bert,"]
    lines = [f"{i}.jpg,{row}" for i, row in enumerate(rows)]
    (tmp_path / "manifest.csv").write_text("\n".join(["file,identity,split", *lines]))
    plan = make_plan(tmp_path, [])
    assert plan.people(TRAIN) == ["anna", "bert"] and plan.people(VAL) == ["vera"]
    assert make_plan(tmp_path, ["bert"]).people(VAL) == ["bert", "vera"]
    (tmp_path / "manifest.csv").write_text("\n".join(["file,identity,split", *lines, "0.jpg,anna,val"]))
    assert make_plan(tmp_path, []).people(TRAIN) == ["bert"]  # though that row's file is listed twice


def test_a_split_that_is_neither_train_nor_val_is_not_guessed_at(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_text("file,identity,split\na.png,anna,train\nv.png,vera,test\n")
    with pytest.raises(UsageError, match=r"line 3: split is 'test'\. Write train or val"):
        make_plan(tmp_path, [])
