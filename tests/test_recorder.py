"""The recorder's promises: true timing, nothing half-written, what was recorded survives a failure."""

import time
from pathlib import Path

import numpy as np
import pytest
from clips import face_clip, moving_face, read_times

from avatar.errors import UsageError, VisavisError
from avatar.frame import Frame
from avatar.publish.factory import open_publisher, open_publishers
from avatar.publish.preview import Preview, why_no_window
from avatar.publish.recorder import Recorder
from avatar.publish.video_writer import VideoWriter
from avatar.publish.virtual_camera import VirtualCamera
from avatar.sources.video_file import VideoFile


def frame(index: int, at_s: float) -> Frame:
    return Frame(moving_face(index), 5_000_000_000 + round(at_s * 1e9), index)


def test_frames_stand_where_they_were_captured(tmp_path: Path) -> None:
    times_s = [0.0, 0.033, 0.066, 0.2, 0.233, 0.8]  # frames were dropped in between
    path = tmp_path / "out.mp4"
    recorder = Recorder(path)
    recorder.open(320, 240, 30.0)
    for index, at_s in enumerate(times_s):
        recorder.send(frame(index, at_s))
    assert not path.exists()
    recorder.close()
    assert read_times(path) == pytest.approx(times_s, abs=0.001)
    assert list(tmp_path.iterdir()) == [path]
    pictures = [f.rgb.astype(int) for f in VideoFile(path)]
    assert np.abs(pictures[3] - moving_face(3)).mean() < 6


def test_nothing_sent_leaves_nothing_behind(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "out.mp4")
    recorder.open(64, 64, 30.0)
    recorder.close()
    Recorder(tmp_path / "other.mp4").close()  # never opened
    assert list(tmp_path.iterdir()) == []


def test_an_old_recording_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    path.write_text("old")
    recorder = Recorder(path)
    recorder.open(320, 240, 30.0)
    recorder.send(frame(0, 0.0))
    assert path.read_text() == "old"
    recorder.close()
    assert len(list(VideoFile(path))) == 1


def test_a_discarded_file_is_gone(tmp_path: Path) -> None:
    writer = VideoWriter(tmp_path / "out.mp4", 320, 240, 25.0)
    writer.write(moving_face(0), 0.0)
    writer.discard()
    assert list(tmp_path.iterdir()) == []


def test_times_that_stand_still_are_nudged(tmp_path: Path) -> None:
    writer = VideoWriter(tmp_path / "out.mp4", 320, 240, 25.0)
    for index in range(4):
        writer.write(moving_face(index), 0.04 if index else 0.0)
    writer.finish()
    times = read_times(tmp_path / "out.mp4")
    assert len(times) == 4
    assert times == sorted(times)


def test_names_that_cannot_be_written_are_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="mkdir -p"):
        Recorder(tmp_path / "no-folder" / "out.mp4")
    with pytest.raises(UsageError, match=r"\.mp4"):
        VideoWriter(tmp_path / "out.gif", 64, 64, 25.0)
    with pytest.raises(UsageError, match="even"):
        VideoWriter(tmp_path / "out.mp4", 63, 64, 25.0)
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(UsageError, match="is a folder"):
        Recorder(tmp_path / "folder.mp4")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, Linux's always-full device")
def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = VideoWriter(tmp_path / "out.mkv", 512, 512, 25.0)
    writer.discard()
    beside = tmp_path / f".full{time.monotonic_ns()}.mkv"
    beside.symlink_to("/dev/full")
    monkeypatch.setattr(Path, "with_name", lambda self, name: beside)
    noise = np.random.default_rng(0)
    with pytest.raises(VisavisError, match=r"cannot be written.*[Ss]pace"):
        writer = VideoWriter(tmp_path / "out.mkv", 512, 512, 25.0)
        for index in range(200):
            writer.write(noise.integers(0, 255, (512, 512, 3), np.uint8), index / 25)
        writer.finish()
    assert not (tmp_path / "out.mkv").exists()


def test_publishers_by_name(tmp_path: Path) -> None:
    recorder = open_publisher(str(tmp_path / "a.MP4"))
    assert isinstance(recorder, Recorder)
    camera = open_publisher("virtual-camera:/dev/video10")
    assert isinstance(camera, VirtualCamera)
    assert camera.device == "/dev/video10"
    assert isinstance(open_publisher("preview"), Preview)
    with pytest.raises(UsageError, match="Use virtual-camera"):
        open_publisher("zoom")


def test_no_file_is_recorded_over_the_video_that_plays_or_twice(tmp_path: Path) -> None:
    played, link = tmp_path / "talk.mp4", tmp_path / "link.mp4"
    played.touch()
    link.symlink_to(played)
    for spec in (played, link):
        with pytest.raises(UsageError, match=r"is the video that plays the camera\. Name another file"):
            open_publishers([str(spec)], str(played))
    with pytest.raises(UsageError, match="is given twice"):
        open_publishers([str(tmp_path / "a.mp4"), "preview", f"{tmp_path}/./a.mp4"], "0")
    assert len(open_publishers([str(tmp_path / "a.mp4"), str(tmp_path / "b.mp4"), "preview"], str(played))) == 3


def test_a_file_that_cannot_be_begun_is_said_with_and_without_sound(tmp_path: Path) -> None:
    too_long = tmp_path / f"{'a' * 250}.mp4"  # with what is put beside it
    for source in (None, face_clip(tmp_path / "in.mp4", frames=2, sound=True)):
        with pytest.raises(VisavisError, match=r"a\.mp4 cannot be written \(File name too long\)"):
            VideoWriter(too_long, 64, 64, 25.0, audio_from=source)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, Linux's always-full device")
def test_a_full_disk_is_not_blamed_on_the_sound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = face_clip(tmp_path / "in.mp4", frames=2, sound=True)
    beside = tmp_path / ".full.mp4"
    beside.symlink_to("/dev/full")
    monkeypatch.setattr(Path, "with_name", lambda self, name: beside)
    with pytest.raises(VisavisError, match=r"out\.mp4 cannot be written \(No space left"):
        VideoWriter(tmp_path / "out.mp4", 64, 64, 25.0, audio_from=source)
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


def test_a_preview_without_a_desktop_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("DISPLAY", "")
    assert "no desktop" in (why_no_window() or "")
    monkeypatch.setenv("DISPLAY", ":987")
    assert "does not run" in (why_no_window() or "")
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    assert why_no_window() is None
