"""Where live frames come from: a webcam, or a file that plays as if it were one."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from avatar.errors import DeviceError, InputError
from avatar.frame import Frame
from avatar.sources.pace import Pacer
from avatar.sources.video_devices import video_devices
from avatar.sources.video_file import VideoFile

WEBCAM_SIZE = (640, 480)  # what the tracker needs; more costs decoding time and gains nothing
WEBCAM_FPS = 30


class Camera(Protocol):
    """Gives frames in real time. One thread reads; `close` may come from another once reading has ended."""

    name: str
    fps: float

    @property
    def dropped(self) -> int:
        """How many frames were due but never handed out."""
        ...

    def read(self) -> Frame | None:
        """Wait for the next frame. None when the source has ended. Raises DeviceError when the device is gone."""
        ...

    def close(self) -> None: ...


def open_camera(spec: str, loop: bool = False) -> Camera:
    """`spec` is a webcam's number ("0"), its path ("/dev/video2") or a video file, which is played in real time.

    `loop` starts a file over at its end. Raises DeviceError or InputError, which say what to do.
    """
    if spec.isdecimal():
        return Webcam(int(spec))
    if spec.startswith("/dev/video") and spec.removeprefix("/dev/video").isdecimal():
        return Webcam(int(spec.removeprefix("/dev/video")))
    path = Path(spec)
    if not path.is_file():
        raise InputError(
            f"{spec or 'An empty name'}: no such file. "
            "--camera takes a webcam's number (0), its path (/dev/video0) or a video."
        )
    return PlayedFile(path, loop)


class PlayedFile:
    """A video file at its own pace; the frame that is due is the one that comes, late readers miss some."""

    def __init__(self, path: Path, loop: bool = False) -> None:
        self.video = VideoFile(path)
        self.name = str(path)
        self.fps = self.video.fps
        self._pacer = Pacer(lambda: self.video, gap_s=1 / self.fps, endless=loop)

    @property
    def dropped(self) -> int:
        return self._pacer.dropped

    def read(self) -> Frame | None:
        return self._pacer.read()

    def close(self) -> None:
        """Nothing is held open but the decoder, which goes with the object."""


class Webcam:
    """A webcam through OpenCV. On Linux that is V4L2, asked for MJPEG: raw video stops at 10 fps on many webcams."""

    def __init__(self, number: int) -> None:
        self.name = f"/dev/video{number}" if sys.platform == "linux" else f"camera {number}"
        self.dropped = 0
        self._number = number
        self._index = 0
        self._start_ns = time.monotonic_ns()
        self._device: Any = self._open()
        ok, _ = self._device.read()
        if not ok:
            self._device.release()
            raise DeviceError(why_no_pictures(self.name))
        self.fps = float(self._device.get(cv2.CAP_PROP_FPS)) or float(WEBCAM_FPS)

    def _open(self) -> Any:
        problem = why_not_a_webcam(self.name) if sys.platform == "linux" else None
        if problem:
            raise DeviceError(problem)
        device = cv2.VideoCapture(self._number, cv2.CAP_V4L2 if sys.platform == "linux" else cv2.CAP_ANY)
        if not device.isOpened():
            raise DeviceError(why_no_pictures(self.name))
        device.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
        device.set(cv2.CAP_PROP_FRAME_WIDTH, WEBCAM_SIZE[0])
        device.set(cv2.CAP_PROP_FRAME_HEIGHT, WEBCAM_SIZE[1])
        device.set(cv2.CAP_PROP_FPS, WEBCAM_FPS)
        device.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        return device

    def read(self) -> Frame | None:
        ok, bgr = self._device.read()
        now_ns = time.monotonic_ns()
        if not ok:
            raise DeviceError(why_no_pictures(self.name, while_running=True))
        rgb = np.ascontiguousarray(bgr[:, :, ::-1], dtype=np.uint8)
        frame = Frame(rgb, self._stamp_ns(now_ns), self._index, (now_ns - self._start_ns) / 1e9)
        self._index += 1
        return frame

    def _stamp_ns(self, now_ns: int) -> int:
        """V4L2 drivers stamp the buffer by the monotonic clock; where OpenCV passes that on, take it."""
        stamp_ns = round(float(self._device.get(cv2.CAP_PROP_POS_MSEC)) * 1e6)
        return stamp_ns if 0 <= now_ns - stamp_ns < 1_000_000_000 else now_ns

    def close(self) -> None:
        self._device.release()


def why_not_a_webcam(path: str) -> str | None:
    """None when `path` is a Linux device that captures video; else what is wrong and what to do."""
    devices = {device.path: device for device in video_devices()}
    device = devices.get(path)
    if device is None:
        cameras = [f"{d.path} ({d.card})" for d in devices.values() if d.captures]
        there = f"There is {', '.join(cameras)}." if cameras else "This computer shows no camera at all."
        return f"{path}: no such camera. {there} Plug one in, or play a video in its place: --camera FILE.mp4"
    if device.locked:
        return f"{path}: this user may not open it. Type `sudo usermod -aG video $USER`, log out and in again."
    if not device.captures:
        return f"{path} ({device.card}) gives no pictures: it is an output or a control device. Try another."
    return None


def why_no_pictures(path: str, while_running: bool = False) -> str:
    """The sentence for a camera that opened but gives nothing."""
    if not path.startswith("/dev/"):
        return (
            f"{path} is missing, busy or not allowed. Close other programs that use it, and allow this terminal to use "
            "the camera in the system's privacy settings."
        )
    if while_running and not Path(path).exists():
        return f"{path} was unplugged. Plug it in again, and start again."
    if while_running:
        return f"{path} stopped giving pictures. Unplug it, plug it in again, and start again."
    holders = next((device.holders for device in video_devices() if device.path == path), ())
    if holders:
        return f"{path} is busy: {', '.join(holders)} holds it. Close that program and try again."
    return (
        f"{path} opens but gives no pictures; a program of another user may hold it (`sudo fuser -v {path}` names it)."
    )
