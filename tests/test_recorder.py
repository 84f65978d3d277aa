"""The recorder's promises: true timing, nothing half-written, what was recorded survives a failure."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import av
import numpy as np
import pytest

from avatar.core.errors import DeviceError, UsageError, VisavisError
from avatar.core.frame import Frame
from avatar.live.outputs import open_publisher, open_publishers
from avatar.publish.pipewire import PipeWireCamera
from avatar.publish.preview import Preview, why_no_window
from avatar.publish.recorder import Recorder
from avatar.publish.threaded import ThreadedPublisher
from avatar.publish.video_writer import VideoWriter
from avatar.publish.virtual_camera import VirtualCamera
from avatar.sources.video_file import VideoFile
from tests.clips import face_clip, moving_face, read_times


def frame(index: int, at_s: float) -> Frame:
    return Frame(moving_face(index), 5_000_000_000 + round(at_s * 1e9), index)


def send(recorder: Recorder, sent: Frame) -> None:
    """Send a frame and wait until the recorder's own thread has taken it, so that the next one drops nothing."""
    recorder.send(sent)
    for _ in range(1000):
        if recorder._mailbox._item is None:
            return
        time.sleep(0.01)


def test_frames_stand_where_they_were_captured(tmp_path: Path) -> None:
    times_s = [0.0, 0.033, 0.066, 0.2, 0.233, 0.8]  # frames were dropped in between
    path = tmp_path / "out.mp4"
    recorder = Recorder(path)
    recorder.open(320, 240, 30.0)
    for index, at_s in enumerate(times_s):
        send(recorder, frame(index, at_s))
    assert not path.exists()
    recorder.close()
    assert read_times(path) == pytest.approx(times_s, abs=0.001)
    assert list(tmp_path.iterdir()) == [path]
    pictures = [f.rgb.astype(int) for f in VideoFile(path)]
    assert np.abs(pictures[3] - moving_face(3)).mean() < 6


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_what_is_to_be_said_of_it_may_change_while_it_is_recorded(tmp_path: Path, suffix: str) -> None:
    path, times_s = tmp_path / f"out{suffix}", [0.0, 0.1, 0.15, 0.3]
    recorder = Recorder(path)
    recorder.comment = "AI generated"
    recorder.open(320, 240, 30.0)
    for index, at_s in enumerate(times_s):
        send(recorder, frame(index, at_s))
    recorder.comment = "AI generated. Without a visible label: a rehearsal"
    recorder.close()
    with av.open(str(path)) as recording:
        said = {name.lower(): text for name, text in recording.metadata.items()}
    assert said["comment"] == recorder.comment
    assert read_times(path) == pytest.approx(times_s, abs=0.001)
    assert list(tmp_path.iterdir()) == [path]


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


RECORD = """
import os, sys, time
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.test_recorder import frame, send
from avatar.core.errors import DeviceError
from avatar.publish.recorder import Recorder

recorder = Recorder(Path({path!r}))
recorder.open(320, 240, 30.0)
try:
    for index in range(400):
        send(recorder, frame(index, index / 30))
        if {killed} and index == 200:
            os.kill(os.getpid(), 9)
except DeviceError as error:
    print(error)
recorder.close()
"""


def record(path: Path, *before: str, killed: bool = False) -> str:
    """What a program says that records 400 frames, or is killed while it does so."""
    code = RECORD.format(root=str(Path(__file__).parents[1]), path=str(path), killed=killed)
    command = [*before, sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False).stdout


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_recording_whose_program_was_killed_plays(tmp_path: Path, suffix: str) -> None:
    record(tmp_path / f"out{suffix}", killed=True)
    (part,) = tmp_path.iterdir()
    assert part.match(f"out.*.part{suffix}")
    assert len(read_times(part)) >= 120  # of 200, of which one second may be lost


def test_a_recording_that_ends_well_is_a_plain_file(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "out.mp4")
    recorder.open(320, 240, 30.0)
    for index in range(70):
        send(recorder, frame(index, index / 30))
    recorder.close()
    data = (tmp_path / "out.mp4").read_bytes()
    size, kind = int.from_bytes(data[:4], "big"), data[4:8]
    boxes = [kind]
    while size < len(data):
        boxes.append(data[size + 4 : size + 8])
        length = int.from_bytes(data[size : size + 4], "big")
        size += length if length > 1 else int.from_bytes(data[size + 8 : size + 16], "big")
    assert b"moov" in boxes and b"moof" not in boxes


@pytest.mark.skipif(sys.platform != "linux" or os.getuid() != 0, reason="fills a disk of its own: needs root on Linux")
def test_a_full_disk_ends_the_recording_and_what_was_written_plays(tmp_path: Path) -> None:
    script = f'mount -t tmpfs -o size=150k none {tmp_path} && "$0" "$@"; cp {tmp_path}/* {tmp_path}.kept'
    said = record(tmp_path / "out.mp4", "unshare", "-m", "sh", "-c", script)
    assert "No space left" in said and "is kept" in said
    times = read_times(Path(f"{tmp_path}.kept"))
    assert 10 < len(times) < 400


def test_opened_again_the_recording_goes_on_in_another_file(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "out.mp4")
    (tmp_path / "out-2.mp4").write_text("somebody else's")
    for _ in range(2):
        recorder.open(320, 240, 30.0)
        recorder.send(frame(0, 0.0))
        recorder.close()
        recorder.close()  # twice does nothing
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out-2.mp4", "out-3.mp4", "out.mp4"]
    assert (tmp_path / "out-2.mp4").read_text() == "somebody else's"


def test_two_recordings_to_one_name_are_both_kept(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    path.write_text("of yesterday: replaced")
    recorder = Recorder(path)
    recorder.open(320, 240, 30.0)
    send(recorder, frame(0, 0.0))
    face_clip(tmp_path / "other.mp4", frames=3).replace(path)  # another program was quicker
    with pytest.raises(DeviceError, match=r"out\.mp4 was written by somebody else meanwhile: this .*out-2\.mp4\."):
        recorder.close()
    assert (len(read_times(path)), len(read_times(tmp_path / "out-2.mp4"))) == (3, 1)
    writer = VideoWriter(path, 320, 240, 25.0, expected=None)  # as `drive` without --force
    writer.write(moving_face(0), 0.0)
    writer.finish()
    assert writer.path == tmp_path / "out-3.mp4"
    assert len(list(tmp_path.iterdir())) == 3


class Slow(ThreadedPublisher):
    """Takes its time, and at the third frame something happens."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.shown = threading.Event(), list[int]()

    def _begin(self, width: int, height: int, fps: float) -> None:
        if width == 1:
            raise DeviceError("too narrow")

    def _take(self, frame: Frame) -> None:
        self.gate.wait(30)
        self.shown.append(frame.index)
        if frame.index == 99:
            raise DeviceError("gone")

    def _end(self) -> None:
        self.shown.append(-1)


def test_a_slow_publisher_never_holds_the_loop_and_counts_what_it_drops() -> None:
    slow = Slow()
    slow.open(64, 64, 30.0)
    for index in range(20):
        slow.send(Frame(np.zeros((2, 2, 3), np.uint8), 0, index))  # returns though nothing is shown
    slow.gate.set()
    slow.close()
    assert slow.shown[-2:] == [19, -1]  # the newest one came through
    assert slow.dropped == 20 - (len(slow.shown) - 1)


def test_a_publisher_that_loses_its_device_says_so_at_the_next_frame_and_opens_again() -> None:
    slow = Slow()
    slow.gate.set()
    with pytest.raises(DeviceError, match="too narrow"):
        slow.open(1, 64, 30.0)
    slow.close()
    for _ in range(2):
        slow.open(64, 64, 30.0)
        with pytest.raises(DeviceError, match="gone"):
            for _ in range(3000):
                slow.send(Frame(np.zeros((2, 2, 3), np.uint8), 0, 99))
                time.sleep(0.01)
        slow.close()


def test_publishers_by_name(tmp_path: Path) -> None:
    recorder = open_publisher(str(tmp_path / "a.MP4"))
    assert isinstance(recorder, Recorder)
    camera = open_publisher("virtual-camera:/dev/video10")
    assert isinstance(camera, VirtualCamera)
    assert camera.device == "/dev/video10"
    assert isinstance(open_publisher("pipewire"), PipeWireCamera)
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


def test_a_file_that_cannot_be_begun_is_said(tmp_path: Path) -> None:
    too_long = tmp_path / f"{'a' * 250}.mp4"  # with what is put beside it
    with pytest.raises(VisavisError, match=r"a\.mp4 cannot be written \(File name too long\)"):
        VideoWriter(too_long, 64, 64, 25.0)


def test_a_preview_without_a_desktop_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("DISPLAY", "")
    assert "no desktop" in (why_no_window() or "")
    monkeypatch.setenv("DISPLAY", ":987")
    assert "does not run" in (why_no_window() or "")
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    assert why_no_window() is None
