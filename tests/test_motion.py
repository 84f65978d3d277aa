"""Recorded motion: true to what was tracked, in real time or as fast as it goes, and nothing but numbers."""

from __future__ import annotations

import itertools
import json
import os
import stat
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load, save

from avatar.core.errors import InputError, UsageError
from avatar.core.frame import Frame, NoPicture
from avatar.face.crop import face_crop
from avatar.face.face_model import face_model
from avatar.face.head_pose import head_pose
from avatar.face.state import FaceState, no_face
from avatar.live.record_motion import record_motion
from avatar.retarget.retargeter import Mode, Retargeter
from avatar.sources.camera import PlayedFile, open_camera_or_motion
from avatar.sources.motion import (
    Motion,
    MotionPlayer,
    MotionRecorder,
    check_motion_output,
    read_motion,
    write_motion,
)
from avatar.sources.video_file import VideoFile
from avatar.tracking.caged_tracker import CagedTracker
from avatar.tracking.model_asset import tracker_model
from tests.clips import astronaut_avatar, face_clip, moving_face

pytestmark = pytest.mark.realtime

SECOND_NS = 1_000_000_000
MODES: tuple[Mode, ...] = ("relative", "absolute")


def face(index: int, fps: float = 25.0) -> FaceState:
    """A made-up face, and none in every seventh frame."""
    capture_ns = round((100 + index / fps) * 1e9)
    if index % 7 == 6:
        return no_face(capture_ns)
    random = np.random.default_rng(index)
    shape = face_model().mean_shape + random.normal(0, 0.05, (478, 3))
    return FaceState(
        (80 * shape + np.array([320 + index, 240, 0])).astype(np.float32),
        random.random(52).astype(np.float32),
        random.normal(0, 30, (4, 4)).astype(np.float32),
        0.75,
        capture_ns,
        faces=2,
    )


def made_up(frames: int = 30, fps: float = 25.0) -> Motion:
    recorder = MotionRecorder()
    for index in range(frames):
        recorder.add(face(index, fps))
    return recorder.motion(640, 480)


def test_what_is_read_is_what_was_tracked(tmp_path: Path) -> None:
    write_motion(made_up(), tmp_path / "talk.motion")
    motion = read_motion(tmp_path / "talk.motion")
    assert (len(motion), motion.width, motion.height, motion.faceless) == (30, 640, 480, 4)
    assert motion.fps == pytest.approx(25)
    assert motion.duration_s == pytest.approx(29 / 25)
    for index, state in enumerate(motion.states()):
        tracked = face(index)
        assert state.capture_ns == tracked.capture_ns - face(0).capture_ns
        assert (state.found, state.faces) == (tracked.found, tracked.faces)
        if state.found:
            assert np.abs(state.landmarks - tracked.landmarks).max() < 0.01  # pixels
            assert np.abs(state.blendshapes - tracked.blendshapes).max() < 0.001
            assert (state.pose == tracked.pose).all() and state.confidence == 0.75
            assert state.landmarks.dtype == state.blendshapes.dtype == np.float32
        else:
            assert state.landmarks.shape == (0, 3)


def test_only_its_owner_may_read_it_and_it_is_small(tmp_path: Path) -> None:
    path = tmp_path / "talk.motion"
    before = os.umask(0)
    try:
        write_motion(made_up(), path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.stat().st_size < 30 * 3200
    assert [p.name for p in tmp_path.iterdir()] == ["talk.motion"]  # nothing half-written beside it


def test_a_full_disk_leaves_the_old_file_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "talk.motion"
    write_motion(made_up(), path)
    old = path.read_bytes()

    def fails(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(Exception, match=r"talk\.motion cannot be written: No space left on device"):
        write_motion(made_up(5), path)
    assert path.read_bytes() == old
    assert [p.name for p in tmp_path.iterdir()] == ["talk.motion"]


# Hostile and damaged files


def parts(motion: Motion) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    metadata = {"format": "visavis-motion", "format_version": "1", "width": "640", "height": "480", "fps": "25.0"}
    return {name: array.copy() for name, array in motion.arrays.items()}, metadata


def test_a_file_cut_off_anywhere_is_one_error(tmp_path: Path) -> None:
    path = tmp_path / "talk.motion"
    write_motion(made_up(8), path)
    data = path.read_bytes()
    for length in (0, 1, 7, 8, 9, 200, 600, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:length])
        with pytest.raises(InputError, match=r"talk\.motion cannot be used as recorded motion: "):
            read_motion(path)


@pytest.mark.parametrize(
    ("array", "index", "value"),
    [
        ("times_ns", 0, 5),
        ("times_ns", 3, 0),
        ("times_ns", 7, 2**63 - 1),
        ("found", 2, 2),
        ("found", 6, 1),  # a face of no size
        ("confidence", 1, np.nan),
        ("blendshapes", (1, 4), np.inf),
        ("blendshapes", (1, 4), -0.5),
        ("pose", (1, 0, 0), np.nan),
        ("pose", (1, 0, 3), 1e30),
        ("landmark_middle", (1, 0), np.inf),
        ("landmark_step", 1, -1.0),
        ("landmark_step", 1, 1e6),
        ("landmarks", 1, 0),
    ],
)
def test_values_that_no_face_has_are_refused(array: str, index: Any, value: float, tmp_path: Path) -> None:
    arrays, metadata = parts(made_up(8))
    arrays[array][index] = value
    (tmp_path / "bad.motion").write_bytes(save(arrays, metadata))
    with pytest.raises(InputError, match=r"bad\.motion cannot be used as recorded motion: "):
        read_motion(tmp_path / "bad.motion")


@pytest.mark.parametrize("what", ["a line", "a plane", "mirrored", "a few pixels", "one point drawn out"])
def test_points_that_form_no_face_are_refused(what: str, tmp_path: Path) -> None:
    arrays, metadata = parts(made_up(8))
    steps = arrays["landmarks"][5]
    if what == "a line":
        steps[:] = np.linspace(-32_000, 32_000, 478).astype(np.int16)[:, None]
    elif what == "a plane":
        steps[:, 2] = 0
    elif what == "mirrored":
        steps[:, 0] *= -1
    elif what == "a few pixels":
        arrays["landmark_step"][5] *= 0.03
    else:
        steps[...] //= 8
        steps[61] = 32_000
    (tmp_path / "bad.motion").write_bytes(save(arrays, metadata))
    with pytest.raises(InputError, match=r"bad\.motion cannot .*: what it holds in frame 5 is no face\. .*again\.$"):
        read_motion(tmp_path / "bad.motion")


@pytest.mark.parametrize(
    "change",
    [
        {"format": "pt"},
        {"format_version": "2"},
        {"format_version": ""},
        {"width": "0"},
        {"height": "1e3"},
        {"fps": "nan"},
        {"fps": "0"},
        {"fps": "1e-300"},
        {"fps": "1e999"},
        {"width": "9" * 5000},
    ],
)
def test_headers_that_do_not_fit_are_refused(change: dict[str, str], tmp_path: Path) -> None:
    arrays, metadata = parts(made_up(8))
    (tmp_path / "bad.motion").write_bytes(save(arrays, metadata | change))
    with pytest.raises(InputError, match=r"bad\.motion cannot be used as recorded motion: "):
        read_motion(tmp_path / "bad.motion")


def test_arrays_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    path, (arrays, metadata) = tmp_path / "bad.motion", parts(made_up(8))
    without = {name: array for name, array in arrays.items() if name != "pose"}
    short, wide = arrays | {"pose": arrays["pose"][:7]}, arrays | {"found": arrays["found"].astype(np.int64)}
    flat = arrays | {"times_ns": np.array(0)}
    none = {name: array[:0] for name, array in arrays.items()}
    for bad in (without, short, wide, flat, none, arrays | {"picture": np.zeros((8, 8, 3), np.uint8)}):
        path.write_bytes(save(bad, metadata))
        with pytest.raises(InputError, match="cannot be used as recorded motion"):
            read_motion(path)
    header = b'{"__metadata__":' * 900
    for data in (
        struct.pack("<Q", 2**63) + bytes(100),  # a header larger than any file
        struct.pack("<Q", len(header)) + header + bytes(100),
        struct.pack("<Q", 2) + b"[]" + bytes(100),
        b"\x80\x04\x95" + bytes(200),  # a pickle
        save(arrays),  # no metadata
    ):
        path.write_bytes(data)
        with pytest.raises(InputError, match=r"no \.motion file"):
            read_motion(path)
    with pytest.raises(InputError, match="no such file"):
        read_motion(tmp_path / "none.motion")


def test_nothing_is_recorded_where_it_could_not_be_written(tmp_path: Path) -> None:
    (tmp_path / "there.motion").touch()
    for path, reason in (
        (tmp_path / "talk.mp4", r"name the output talk\.motion"),
        (tmp_path / "none" / "talk.motion", "does not exist. Create it: mkdir -p"),
        (tmp_path / "there.motion", "exists. Add --force"),
    ):
        with pytest.raises(UsageError, match=reason):
            check_motion_output(path, force=False)
    check_motion_output(tmp_path / "there.motion", force=True)


# Playing


def test_it_plays_in_real_time(tmp_path: Path) -> None:
    player = MotionPlayer(made_up(20, fps=20))
    states, start_ns = [], time.monotonic_ns()
    while (state := player.read()) is not None:
        states.append(state)
    assert (time.monotonic_ns() - start_ns) / 1e9 == pytest.approx(19 / 20, abs=0.5)
    assert len(states) + player.dropped == 20
    stamps = [state.capture_ns for state in states]
    assert start_ns <= stamps[0] and stamps[-1] <= time.monotonic_ns()
    assert all(a < b for a, b in itertools.pairwise(stamps))
    assert (stamps[-1] - stamps[0]) / 1e9 == pytest.approx(19 / 20, abs=1e-3)
    assert player.fps == pytest.approx(20)


def test_a_late_reader_gets_the_state_that_is_due() -> None:
    player = MotionPlayer(made_up(40, fps=20))
    assert player.read() is not None
    time.sleep(0.6)
    asked_ns = time.monotonic_ns()
    late = player.read()
    assert late is not None and late.capture_ns >= asked_ns - SECOND_NS // 10
    assert player.dropped >= 10


def test_it_plays_over_and_over() -> None:
    player = MotionPlayer(made_up(5, fps=50), loop=True)
    states = [player.read() for _ in range(30)]
    stamps = [state.capture_ns for state in states if state is not None]
    assert len(stamps) == 30
    assert all(a < b for a, b in itertools.pairwise(stamps))


def test_as_fast_as_it_goes_nothing_is_lost(tmp_path: Path) -> None:
    write_motion(made_up(50, fps=1), tmp_path / "talk.motion")
    player = open_camera_or_motion(str(tmp_path / "talk.motion"), real_time=False)
    assert isinstance(player, MotionPlayer)
    start_s = time.monotonic()
    states = []
    while (state := player.read()) is not None:
        states.append(state)
    assert len(states) == 50 and player.dropped == 0
    assert time.monotonic() - start_s < 20  # it lasts 50
    assert [state.found for state in states] == [index % 7 != 6 for index in range(50)]


# Recording


class Album:
    """A camera that is lost for a while, and then interrupted."""

    name, fps, dropped = "/dev/video0 (Album)", 30.0, 0

    def __init__(self) -> None:
        self.given = 0

    def read(self) -> Frame | NoPicture | None:
        self.given += 1
        capture_ns = SECOND_NS + self.given * SECOND_NS // 10
        if self.given > 12:
            raise KeyboardInterrupt
        lost = 5 <= self.given < 8
        return NoPicture(capture_ns) if lost else Frame(moving_face(self.given), capture_ns, self.given)

    def close(self) -> None:
        pass


def test_a_lost_camera_is_a_gap_and_ctrl_c_keeps_what_there_is() -> None:
    with CagedTracker(tracker_model(), "video", patient=True) as tracker:
        recording = record_motion(Album(), tracker)
    assert recording.interrupted
    assert [state.found for state in recording.motion.states()] == [True] * 4 + [False] * 3 + [True] * 5
    assert recording.motion.fps == pytest.approx(10)


def test_a_video_is_recorded_frame_by_frame_at_its_own_times(tmp_path: Path) -> None:
    clip = face_clip(tmp_path / "in.mp4", frames=30, fps=10)  # three seconds
    with CagedTracker(tracker_model(), "video", patient=True) as tracker:
        recording = record_motion(PlayedFile(clip, real_time=False), tracker, by_media_time=True)
        once_more = record_motion(PlayedFile(clip, real_time=False), tracker, 1.0, by_media_time=True)
    motion = recording.motion
    assert len(motion) == 30 and motion.faceless == 0 and not recording.interrupted
    assert np.diff(motion.arrays["times_ns"]) == pytest.approx(SECOND_NS / 10, rel=1e-6)
    assert len(once_more.motion) == 10


def test_the_face_in_it_is_not_the_drivers_and_drives_all_the_same(tmp_path: Path) -> None:
    clip = face_clip(tmp_path / "in.mp4", frames=60, fps=20)
    with CagedTracker(tracker_model(), "video", patient=True) as tracker:
        tracked = [tracker.track(frame.rgb, round(frame.media_s * 1e9)) for frame in VideoFile(clip)]
    with CagedTracker(tracker_model(), "video", patient=True) as tracker:
        motion = record_motion(PlayedFile(clip, real_time=False), tracker, by_media_time=True).motion
    recorded = list(motion.states())
    average = face_model().mean_shape

    def face_shape(states: list[FaceState]) -> NDArray[np.float32]:
        """(478, 3): what is left when pose and expression are taken away."""
        shapes = [head_pose(s.landmarks, average).remove(s.landmarks) for s in states]
        expressions = [face_model().expression(s.blendshapes) for s in states]
        left = [shape - expression for shape, expression in zip(shapes, expressions, strict=True)]
        return np.asarray(np.mean(left, axis=0), np.float32)

    own, left = (np.abs(face_shape(states) - average).mean() for states in (tracked, recorded))
    assert left < own / 20
    crop = face_crop(tracked[0].landmarks, 320, 240)
    for mode in MODES:
        live, played = (Retargeter(astronaut_avatar(), mode, crop) for _ in range(2))
        pairs = zip(tracked, recorded, strict=True)
        off = [np.abs(live.drive(a).landmarks - played.drive(b).landmarks)[:, :2] for a, b in pairs]
        # pixels of the avatar's picture: a mouth moves as its size tells, which in a recording is the mean face's
        assert np.mean(off) * 512 < 0.8
        assert np.max(off) * 512 < 8


def test_without_a_face_nothing_is_kept(tmp_path: Path) -> None:
    clip = face_clip(tmp_path / "in.mp4", frames=5, change=lambda p: np.full_like(p, 60))
    with (
        CagedTracker(tracker_model(), "video", patient=True) as tracker,
        pytest.raises(InputError, match="No face was seen"),
    ):
        record_motion(PlayedFile(clip, real_time=False), tracker, by_media_time=True)


@pytest.mark.e2e
def test_the_command_stores_no_picture(tmp_path: Path) -> None:
    clip, output = face_clip(tmp_path / "driver-anna.mp4", frames=30, fps=10), tmp_path / "talk.motion"
    command = [sys.executable, "-m", "avatar.cli.main", "record-motion", "--camera", str(clip), "--output", str(output)]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert (figures["frames"], figures["faceless"]) == (30, 0)
    data = output.read_bytes()
    assert len(data) == figures["bytes"] < 30 * 3200  # one picture alone has 230400 bytes
    assert b"anna" not in data
    assert {array.ndim for array in load(data).values()} == {1, 2, 3}
    assert stat.S_IMODE(output.stat().st_mode) == 0o600
    assert subprocess.run(command, capture_output=True, timeout=60).returncode == 2  # it exists
