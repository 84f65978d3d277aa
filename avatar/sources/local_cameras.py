"""The cameras of this computer: listed, found by whatever name they are asked for, and opened through OpenCV."""

from __future__ import annotations

import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from avatar.core.arrays import Picture
from avatar.core.errors import DeviceError, UsageError
from avatar.sources.v4l2 import WANTED_FPS, WANTED_SIZE, CameraMode, VideoDevice, best_mode, camera_modes, video_devices
from avatar.sources.webcam import GoneError

MAX_BAD_PICTURES = 30  # in a row; single torn MJPEG pictures come over every long cable
PROBED = 6  # numbers that are tried on macOS and Windows, which do not list their cameras to OpenCV
BUFFERS = 2  # one being filled while the other is decoded: with a single one, drivers skip every second picture


@dataclass(frozen=True, slots=True)
class ListedCamera:
    """One camera; `number`, `path` or `name` is what --camera takes."""

    number: int
    path: str | None  # None on other systems than Linux
    name: str
    mode: CameraMode | None  # the one that would be taken; None where the driver does not tell
    virtual: bool  # v4l2loopback: another program's picture, perhaps our own
    state: str  # "free", "held by zoom (7)" or "not allowed"


def list_cameras() -> list[ListedCamera]:
    """All devices that give pictures. On Linux none is opened for pictures; elsewhere each is, for a moment."""
    if not sys.platform.startswith("linux"):
        return _probe()
    return [
        ListedCamera(
            number=device.number,
            path=device.path,
            name=device.card,
            mode=best_mode(camera_modes(device.path)),
            virtual=device.loopback,
            state=device.state,
        )
        for device in video_devices()
        if device.captures
    ]


class CaptureDevice:
    """OpenCV's view of one camera, in its best mode, after its first picture."""

    def __init__(self, number: int, name: str, path: str | None = None, mode: CameraMode | None = None) -> None:
        """`path` is that of the Linux device. Raises DeviceError, naming who holds the camera, if it gives nothing."""
        self.name, self._path = name, path
        # what OpenCV warns of while opening, the messages here say better
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
        self._device: Any = cv2.VideoCapture(number, cv2.CAP_V4L2 if path else cv2.CAP_ANY)
        mode = mode or CameraMode(*WANTED_SIZE, WANTED_FPS, "MJPG")
        if self._device.isOpened():
            self._device.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*mode.format))
            self._device.set(cv2.CAP_PROP_FRAME_WIDTH, mode.width)
            self._device.set(cv2.CAP_PROP_FRAME_HEIGHT, mode.height)
            self._device.set(cv2.CAP_PROP_FPS, round(mode.fps or WANTED_FPS))
            self._device.set(cv2.CAP_PROP_BUFFERSIZE, BUFFERS)
        self.fps = float(self._device.get(cv2.CAP_PROP_FPS))
        if not self._device.isOpened() or self.read() is None:
            self.close()
            raise DeviceError(why_no_pictures(name, path))

    def read(self) -> tuple[Picture, int] | None:
        for _ in range(MAX_BAD_PICTURES):
            try:
                if not self._device.grab():
                    return None
                ok, bgr = self._device.retrieve()
            except cv2.error:
                continue
            if ok and bgr is not None and bgr.size:
                rgb = np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)
                return rgb, self._stamp_ns()
        return None

    def _stamp_ns(self) -> int:
        """V4L2 drivers stamp the buffer by the monotonic clock; elsewhere this is no such time, and then not used."""
        return round(float(self._device.get(cv2.CAP_PROP_POS_MSEC)) * 1e6) if self._path else time.monotonic_ns()

    def why_lost(self) -> str:
        if self._path and not Path(self._path).exists():
            return f"{self.name} was unplugged. Plug it in again."
        return f"{self.name} stopped giving pictures. If it stays so, unplug it and plug it in again."

    def close(self) -> None:
        self._device.release()


class LinuxCamera:
    """Which camera is meant, also after it was unplugged and came back under another number. Call it to open it."""

    def __init__(self, path: str) -> None:
        """`path` is /dev/videoN or a link to one, such as those in /dev/v4l/by-id."""
        self._path = path
        self._card: str | None = None
        self._others: set[str] = set()  # of the same name, there from the start: never taken in its place

    @property
    def path(self) -> str:
        """/dev/videoN."""
        return str(Path(self._path).resolve())

    def __call__(self) -> CaptureDevice:
        """Raises GoneError when it is not there, DeviceError when it cannot be used."""
        device = self.check()
        if self._card is None:
            self._card = device.card
            self._others = {d.path for d in video_devices() if d.card == device.card} - {device.path}
        mode = best_mode(camera_modes(device.path))
        return CaptureDevice(device.number, f"{device.path} ({device.card})", device.path, mode)

    def check(self) -> VideoDevice:
        """The device, without opening it. Raises the same."""
        device = self._find()
        if device.locked and self._card is not None:  # just plugged in: its permissions are being set
            raise GoneError(f"{device.path} may not be opened yet.")
        if problem := _why_not_a_webcam(device):
            raise DeviceError(problem)
        return device

    def _find(self) -> VideoDevice:
        devices = video_devices()
        here = next((device for device in devices if device.path == self.path), None)
        if self._card is None:
            if here is None:
                raise GoneError(f"{self._path}: no such camera. {cameras_there()}")
            return here
        alike = [d for d in devices if d.card == self._card and d.captures and d.path not in self._others]
        if not alike:
            raise GoneError(f"{self._path} ({self._card}) is not there.")
        return here if here in alike else alike[0]


class NumberedCamera:
    """A camera on macOS or Windows, where OpenCV counts them. Call it to open it."""

    def __init__(self, number: int) -> None:
        self._number = number

    def __call__(self) -> CaptureDevice:
        return CaptureDevice(self._number, f"camera {self._number}")


def find_webcam(spec: str) -> LinuxCamera | NumberedCamera | None:
    """The webcam of this number, device path, link to a device, or part of a name; None when it is nothing of these.

    Names are known on Linux only. Raises UsageError where several cameras have the name.
    """
    linux = sys.platform.startswith("linux")
    if re.fullmatch(r"[0-9]{1,6}", spec):
        return LinuxCamera(f"/dev/video{int(spec)}") if linux else NumberedCamera(int(spec))
    if not linux:
        return None
    if re.fullmatch(r"/dev/video[0-9]+|/dev/v4l/.+", spec):
        return LinuxCamera(spec)
    if Path(spec).exists():
        return None
    named = webcams_named(spec, video_devices())
    if len(named) > 1:
        choice = ", ".join(f"{device.path} ({device.card})" for device in named)
        raise UsageError(f"{spec!r} is part of the names of several cameras: {choice}. Name one in full, or its path.")
    return LinuxCamera(named[0].path) if named else None


def webcams_named(name: str, devices: list[VideoDevice]) -> list[VideoDevice]:
    """The cameras that have `name` as their whole name, else as part of it; upper and lower case count alike."""
    wanted = name.strip().lower()
    cameras = [device for device in devices if device.captures and wanted]
    whole = [device for device in cameras if device.card.lower() == wanted]
    return whole or [device for device in cameras if wanted in device.card.lower()]


def cameras_there() -> str:
    """Which cameras there are, and what to do where there are none."""
    cameras = [f"{device.path} ({device.card})" for device in video_devices() if device.captures]
    there = f"There is {', '.join(cameras)}." if cameras else "This computer shows no camera at all."
    return f"{there} Plug one in, or play a video in its place: --camera FILE.mp4"


def _why_not_a_webcam(device: VideoDevice) -> str | None:
    if device.locked:
        return f"{device.path}: this user may not open it. Type `sudo usermod -aG video $USER`, log out and in again."
    if not device.captures:
        return f"{device.path} ({device.card}) gives no pictures: it is an output or a control device. Try another."
    return None


def why_no_pictures(name: str, path: str | None) -> str:
    """The sentence for a camera that gives nothing when it is opened."""
    if path is None:
        return (
            f"{name} is missing, busy or not allowed. Close other programs that use it, and allow this terminal to use "
            "the camera in the system's privacy settings."
        )
    holders = next((device.holders for device in video_devices() if device.path == path), ())
    if holders:
        return f"{name} is busy: {', '.join(holders)} holds it. Close that program and try again."
    return (
        f"{name} opens but gives no pictures; a program of another user may hold it (`sudo fuser -v {path}` names it)."
    )


def _probe() -> list[ListedCamera]:
    """Written to OpenCV's documentation and never run: there was no such computer."""
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)  # no camera of a number is no news
    found: list[ListedCamera] = []
    for number in range(PROBED):
        device = cv2.VideoCapture(number, cv2.CAP_ANY)
        if device.isOpened():
            width, height, fps = (device.get(p) for p in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT,
                                                          cv2.CAP_PROP_FPS))  # fmt: skip
            mode = CameraMode(int(width), int(height), float(fps), "") if width and height else None
            found.append(ListedCamera(number, None, f"camera {number}", mode, virtual=False, state="free"))
        device.release()
    return found
