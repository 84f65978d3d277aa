"""Webcams: which is meant, what is asked of it, and what happens when it is lost, slow, stuck or dark.

Here the cable is in the test's hand (`Bench`); tests/e2e/test_camera_faults.py does the same to a real driver.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from avatar.core.arrays import Picture
from avatar.core.errors import DeviceError, InputError, UsageError
from avatar.core.frame import Frame, NoPicture
from avatar.sources import local_cameras, webcam
from avatar.sources.camera import PlayedFile, open_camera, open_camera_or_motion
from avatar.sources.v4l2 import CameraMode, VideoDevice, best_mode, camera_modes
from avatar.sources.webcam import GoneError, Webcam
from tests.clips import face_clip

pytestmark = pytest.mark.realtime

GREY = np.full((480, 640, 3), 90, np.uint8)
BLACK = np.random.default_rng(0).integers(0, 9, (480, 640, 3), np.uint8)  # a covered lens still has noise
SECOND_NS = 1_000_000_000


class Bench:
    """A camera on the test's bench."""

    def __init__(self, fps: float = 50.0) -> None:
        self.real_fps = fps
        self.plugged, self.stuck, self.number = True, False, 0
        self.taken_by: str | None = None
        self.fault: Exception | None = None  # of its library
        self.picture: Picture = GREY
        self.stamp_offset_ns: Callable[[], int] = lambda: 0
        self.openings = self.open_now = 0

    def __call__(self) -> BenchDevice:
        if not self.plugged:
            raise GoneError("not there")
        if self.fault is not None:
            raise self.fault
        if self.taken_by:
            raise DeviceError(f"/dev/video0 is busy: {self.taken_by} holds it.")
        self.openings += 1
        self.open_now += 1
        return BenchDevice(self)


class BenchDevice:
    fps = 30.0  # what drivers claim, however dark it is

    def __init__(self, bench: Bench) -> None:
        self.bench, self.name = bench, f"/dev/video{bench.number} (Bench)"

    def read(self) -> tuple[Picture, int] | None:
        time.sleep(1 / self.bench.real_fps)
        while self.bench.stuck:
            time.sleep(0.01)
        if not self.bench.plugged:
            return None
        if self.bench.fault is not None:
            raise self.bench.fault
        return self.bench.picture, time.monotonic_ns() + self.bench.stamp_offset_ns()

    def why_lost(self) -> str:
        return f"{self.name} was unplugged."

    def close(self) -> None:
        self.bench.open_now -= 1
        if self.bench.fault is not None:
            raise self.bench.fault


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr(webcam, "RETRY_S", 0.1)
    yield Bench()
    assert not [thread for thread in threading.enumerate() if thread.name == "visavis-webcam"]


def until(camera: Webcam, kind: type, limit_s: float = 20.0) -> list[Frame | NoPicture]:
    """What is read up to the first of `kind`."""
    got: list[Frame | NoPicture] = []
    end_s = time.monotonic() + limit_s
    while time.monotonic() < end_s:
        item = camera.read()
        assert item is not None
        got.append(item)
        if isinstance(item, kind):
            return got
    raise AssertionError(f"no {kind.__name__} in {limit_s} s")


def read(camera: Webcam, count: int) -> list[Frame]:
    frames = [item for _ in range(count) if isinstance(item := camera.read(), Frame)]
    assert len(frames) == count
    return frames


def test_a_camera_whose_library_fails_is_opened_again(bench: Bench) -> None:
    said: list[str] = []
    camera = Webcam(bench, said.append)
    read(camera, 3)
    bench.fault = OSError("cannot identify image")
    until(camera, NoPicture)
    while len(said) < 2:
        assert isinstance(camera.read(), NoPicture)
    bench.fault = None
    until(camera, Frame)
    read(camera, 3)
    camera.close()
    name = camera.name
    assert said == [
        f"{name} has failed (OSError: cannot identify image). Waiting for it.",
        f"{name} cannot be opened (OSError: cannot identify image).",
        f"{name} is back.",
    ]
    assert bench.open_now == 0


def test_an_unplugged_camera_is_waited_for_and_resumes(bench: Bench) -> None:
    said: list[str] = []
    camera = Webcam(bench, said.append)
    read(camera, 3)
    bench.plugged = False
    until(camera, NoPicture)
    start_s = time.monotonic()
    away = [camera.read() for _ in range(6)]
    assert all(isinstance(item, NoPicture) for item in away)
    assert 0.3 < time.monotonic() - start_s < 5  # ten a second: the loop idles, it does not spin
    assert said == ["/dev/video0 (Bench) was unplugged. Waiting for it."]
    bench.number, bench.plugged = 2, True
    until(camera, Frame)
    assert isinstance(camera.read(), Frame)
    assert said[1:] == ["/dev/video2 (Bench) is back."]
    assert camera.name == "/dev/video2 (Bench)"
    camera.close()
    assert bench.openings == 2 and bench.open_now == 0
    assert camera.read() is None


def test_times_grow_over_every_loss(bench: Bench) -> None:
    camera = Webcam(bench, lambda line: None)
    stamps = [item.capture_ns for item in read(camera, 3)]
    bench.stamp_offset_ns = lambda: -60_000_000  # a driver stamps when the exposure begins
    for _ in range(2):
        bench.plugged = False
        stamps += [item.capture_ns for item in until(camera, NoPicture)]
        bench.plugged = True
        stamps += [item.capture_ns for item in until(camera, Frame)]
    camera.close()
    assert all(a < b for a, b in itertools.pairwise(stamps))


def test_a_driver_that_blocks_does_not_block_the_loop(bench: Bench) -> None:
    said: list[str] = []
    camera = Webcam(bench, said.append)
    read(camera, 2)
    bench.stuck = True
    start_s = time.monotonic()
    until(camera, NoPicture)
    assert time.monotonic() - start_s < 8  # ten seconds is what the driver takes
    assert said == ["/dev/video0 (Bench) gives no pictures. Waiting for it."]
    bench.stuck = False
    until(camera, Frame)
    time.sleep(0.1)
    assert said[1:] == ["/dev/video0 (Bench) is back."]
    camera.close()


def test_another_program_that_takes_it_meanwhile_is_named_once(bench: Bench) -> None:
    said: list[str] = []
    camera = Webcam(bench, said.append)
    bench.taken_by, bench.plugged = "zoom (7)", False
    until(camera, NoPicture)
    bench.plugged = True
    for _ in range(10):
        assert isinstance(camera.read(), NoPicture)
    assert said[1:] == ["/dev/video0 is busy: zoom (7) holds it."]
    bench.taken_by = None
    until(camera, Frame)
    camera.close()


def test_a_camera_that_cannot_be_opened_at_first_is_an_error(bench: Bench) -> None:
    bench.taken_by = "zoom (7)"
    with pytest.raises(DeviceError, match=r"busy: zoom \(7\)"):
        Webcam(bench)


def test_five_frames_a_second_are_called_five_and_nobody_idles() -> None:
    bench = Bench(fps=5)
    camera = Webcam(bench, lambda line: None)
    assert camera.fps == 30  # the driver's word, as long as there is no better
    read(camera, 9)
    assert camera.fps == pytest.approx(5, rel=0.3)
    camera.close()


def test_the_size_may_change_at_any_moment(bench: Bench) -> None:
    camera = Webcam(bench, lambda line: None)
    sizes = [(480, 640), (720, 1280), (120, 160)]
    for size in sizes:
        bench.picture = np.full((*size, 3), 90, np.uint8)
        time.sleep(0.1)
        assert read(camera, 2)[-1].rgb.shape == (*size, 3)
    camera.close()


def test_black_pictures_are_passed_on_and_said_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webcam, "BLACK_S", 0.4)
    said: list[str] = []
    camera = Webcam(bench, said.append)
    bench.picture = np.where(np.arange(640)[:, None] < 40, 80, BLACK).astype(np.uint8)  # a dark room with a lamp
    end_s = time.monotonic() + 0.6
    while time.monotonic() < end_s:
        read(camera, 1)
    assert said == []
    for times in (1, 2):
        bench.picture = BLACK
        end_s = time.monotonic() + 0.9
        while time.monotonic() < end_s:
            read(camera, 1)
        assert (
            said == ["/dev/video0 (Bench) shows nothing but black: is the lens covered, or its shutter closed?"] * times
        )
        bench.picture = GREY
        read(camera, 3)
    camera.close()


@pytest.mark.parametrize(
    "offset_ns",
    [5 * SECOND_NS, -3 * SECOND_NS, -time.monotonic_ns() + 10],
    ids=["later", "earlier", "since the start"],
)
def test_impossible_times_of_a_driver_are_replaced(bench: Bench, offset_ns: int) -> None:
    camera = Webcam(bench, lambda line: None)
    bench.stamp_offset_ns = lambda: offset_ns
    time.sleep(0.1)
    before_ns = time.monotonic_ns()
    frames = read(camera, 5)[1:]
    assert all(before_ns - SECOND_NS < frame.capture_ns <= time.monotonic_ns() for frame in frames)
    camera.close()


def test_a_late_reader_gets_the_newest_picture_and_the_rest_is_counted(bench: Bench) -> None:
    camera = Webcam(bench, lambda line: None)
    time.sleep(0.3)
    read(camera, 1)
    assert camera.dropped == 0  # nobody had asked yet
    time.sleep(0.5)
    (late,) = read(camera, 1)
    assert time.monotonic_ns() - late.capture_ns < SECOND_NS / 2
    assert camera.dropped > 5
    assert late.index == 1
    camera.close()


def test_a_bug_in_the_cameras_thread_is_not_taken_for_an_empty_picture(bench: Bench) -> None:
    camera = Webcam(bench, lambda line: None)
    bench.picture = None  # type: ignore[assignment]
    with pytest.raises(TypeError):
        for _ in range(50):
            camera.read()
    camera.close()


# Which mode is asked for


@pytest.mark.parametrize(
    ("modes", "best"),
    [
        ("640x480@30 YUYV, 640x480@30 MJPG, 1280x720@30 MJPG", "640x480@30 MJPG"),
        ("640x480@10 MJPG, 1280x720@30 MJPG", "1280x720@30 MJPG"),  # speed before thrift
        ("640x480@30 YUYV, 640x480@15 MJPG", "640x480@30 YUYV"),
        ("640x480@60 MJPG, 640x480@30 MJPG", "640x480@30 MJPG"),
        ("640x480@60 MJPG, 640x480@25 MJPG", "640x480@60 MJPG"),
        ("640x480@29.97 MJPG, 800x600@30 MJPG", "640x480@29.97 MJPG"),
        ("320x240@30 MJPG, 640x360@30 MJPG", "640x360@30 MJPG"),  # the largest where none is large enough
        ("320x240@60 MJPG, 640x480@15 MJPG", "640x480@15 MJPG"),
        ("640x480@0 YUYV, 1280x720@0 YUYV", "640x480@0 YUYV"),  # a driver that tells no rates
        ("640x480@30 H264, 640x480@15 YUYV", "640x480@15 YUYV"),  # what OpenCV decodes
    ],
)
def test_the_best_mode(modes: str, best: str) -> None:
    def parse(text: str) -> CameraMode:
        size, _, rest = text.partition("@")
        fps, name = rest.split()
        width, height = map(int, size.split("x"))
        return CameraMode(width, height, float(fps), name)

    assert best_mode([parse(mode) for mode in modes.split(", ")]) == parse(best)


def test_no_mode_is_known_of_what_is_no_camera(tmp_path: Path) -> None:
    assert camera_modes(str(tmp_path / "none")) == []
    (tmp_path / "file").touch()
    assert camera_modes(str(tmp_path / "file")) == []
    assert best_mode([]) is None


# Which camera is meant

DEVICES = [
    VideoDevice("/dev/video0", "Integrated Camera", True, False, False),
    VideoDevice("/dev/video1", "Integrated Camera", False, False, False),  # its metadata node
    VideoDevice("/dev/video2", "HD Pro Webcam C920", True, False, False, ("zoom (7)",)),
    VideoDevice("/dev/video10", "visavis", True, True, False),
]


@pytest.fixture
def devices(monkeypatch: pytest.MonkeyPatch) -> list[VideoDevice]:
    there = list(DEVICES)
    monkeypatch.setattr(local_cameras, "video_devices", lambda: there)
    monkeypatch.setattr(sys, "platform", "linux")
    return there


@pytest.mark.parametrize("name", ["c920", "HD PRO webcam c920", "Pro Webcam"])
def test_a_part_of_the_name_is_enough(name: str, devices: list[VideoDevice]) -> None:
    assert [device.path for device in local_cameras.webcams_named(name, devices)] == ["/dev/video2"]
    found = local_cameras.find_webcam(name)
    assert isinstance(found, local_cameras.LinuxCamera) and found._find().path == "/dev/video2"


def test_a_name_of_several_cameras_lists_them(devices: list[VideoDevice]) -> None:
    with pytest.raises(UsageError, match=r"/dev/video0 \(Integrated Camera\), /dev/video2 \(HD Pro Webcam C920\)"):
        open_camera("cam")
    with pytest.raises(InputError, match=r"no such file\. .*There is /dev/video0 \(Integrated Camera\), /dev/video2"):
        open_camera("logitech")


def test_a_file_goes_before_a_name(devices: list[VideoDevice], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    face_clip(tmp_path / "c920.mp4", frames=3).rename(tmp_path / "c920")
    assert isinstance(open_camera("c920"), PlayedFile)


def test_a_link_to_a_device_is_followed_again_when_it_is_lost(devices: list[VideoDevice], tmp_path: Path) -> None:
    link = tmp_path / "by-id"
    link.symlink_to("/dev/video2")
    found = local_cameras.LinuxCamera(str(link))
    assert found._find().path == "/dev/video2"


def test_a_camera_that_is_back_under_another_number_is_found_by_its_name(devices: list[VideoDevice]) -> None:
    twin = VideoDevice("/dev/video5", "HD Pro Webcam C920", True, False, False)
    devices.append(twin)
    found = local_cameras.LinuxCamera("/dev/video2")
    found._card, found._others = "HD Pro Webcam C920", {twin.path}
    devices.remove(DEVICES[2])
    with pytest.raises(GoneError):
        found()  # its twin was there before: another camera, perhaps facing another person
    devices.append(VideoDevice("/dev/video3", "HD Pro Webcam C920", True, False, False))
    assert found._find().path == "/dev/video3"


def test_what_is_there_and_no_webcam_says_why(devices: list[VideoDevice]) -> None:
    devices.append(VideoDevice("/dev/video7", "Locked", True, False, True))
    for spec, reason in (
        ("1", r"/dev/video1 \(Integrated Camera\) gives no pictures: it is an output or a control device"),
        ("7", "this user may not open it.*usermod -aG video"),
        ("4", r"/dev/video4: no such camera\. There is /dev/video0 \(Integrated Camera\)"),
        ("/dev/v4l/by-id/usb-none-index0", "by-id/usb-none-index0: no such camera"),
    ):
        with pytest.raises(DeviceError, match=reason):
            open_camera(spec)
    with pytest.raises(UsageError, match="recorded motion"):
        open_camera("talk.motion")
    with pytest.raises(InputError, match=r"talk\.motion cannot be used.*no such file"):
        open_camera_or_motion("talk.motion")


def test_cameras_are_listed(devices: list[VideoDevice]) -> None:
    listed = local_cameras.list_cameras()
    assert [(camera.number, camera.virtual, camera.state) for camera in listed] == [
        (0, False, "free"), (2, False, "held by zoom (7)"), (10, True, "free")
    ]  # fmt: skip


def test_the_command_lists_the_cameras_of_this_computer() -> None:
    command = [sys.executable, "-m", "avatar.cli.main", "cameras"]
    plain = subprocess.run(command, capture_output=True, text=True, timeout=60)
    as_json = subprocess.run([*command, "--json"], capture_output=True, text=True, timeout=60)
    assert plain.returncode == as_json.returncode == 0
    listed = json.loads(as_json.stdout)
    for camera in listed:
        assert camera["path"] in plain.stdout
    assert listed or "This computer shows no camera" in plain.stdout
