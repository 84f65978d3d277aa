"""The cameras of a Linux machine, as their drivers describe them: what each is, who holds it, and how it can send.

Nothing is opened for pictures. Sources: linux/videodev2.h;
https://docs.kernel.org/userspace-api/media/v4l/vidioc-enum-fmt.html, -framesizes and -frameintervals
"""

from __future__ import annotations

import os
import re
import struct
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

WANTED_SIZE = (640, 480)  # what the tracker needs; more costs decoding time and gains nothing
WANTED_FPS = 30.0
# What OpenCV decodes, best first. MJPEG leads: raw video stops at 10 fps on many webcams, and shares the USB bus badly
FORMATS = ("MJPG", "YUYV", "UYVY", "NV12", "NV21", "YU12", "YV12", "RGB3", "BGR3", "GREY")
MAX_ENTRIES = 256  # of one list: a driver that never ends its list must not hang the program

# linux/videodev2.h
_QUERYCAP, _CAPABILITY_BYTES = 0x80685600, 104
_VIDEO_CAPTURE, _DEVICE_CAPS = 0x1, 0x8000_0000
_ENUM_FMT, _FMT_BYTES = 0xC0405602, 64
_ENUM_FRAMESIZES, _FRAMESIZES_BYTES = 0xC02C564A, 44
_ENUM_FRAMEINTERVALS, _FRAMEINTERVALS_BYTES = 0xC034564B, 52
_CAPTURE = 1  # V4L2_BUF_TYPE_VIDEO_CAPTURE
_DISCRETE = 1  # V4L2_FRMSIZE_TYPE_DISCRETE and V4L2_FRMIVAL_TYPE_DISCRETE


@dataclass(frozen=True, slots=True)
class VideoDevice:
    """One device as its driver describes it, and the programs that hold it open, as far as this user may see them."""

    path: str
    card: str
    captures: bool
    loopback: bool  # a virtual camera of v4l2loopback
    locked: bool  # this user may not open it
    holders: tuple[str, ...] = ()  # "name (pid)"

    @property
    def number(self) -> int:
        return int(re.sub(r".*\D", "", self.path))

    @property
    def state(self) -> str:
        return "not allowed" if self.locked else f"held by {', '.join(self.holders)}" if self.holders else "free"


def video_devices(dev: Path = Path("/dev")) -> list[VideoDevice]:
    """All devices in the order of their numbers; empty where there are none, and on other systems than Linux."""
    if not sys.platform.startswith("linux"):
        return []
    numbered = [(int(m[1]), path) for path in dev.glob("video*") if (m := re.fullmatch(r"video(\d+)", path.name))]
    return [_look_at(path) for _, path in sorted(numbered)]


def _look_at(path: Path) -> VideoDevice:
    import fcntl  # Unix only

    label = Path("/sys/class/video4linux") / path.name / "name"
    card = label.read_text().strip() if label.is_file() else "unknown device"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    except PermissionError:
        return VideoDevice(str(path), card, captures=True, loopback=False, locked=True)
    except OSError:
        return VideoDevice(str(path), card, captures=True, loopback=False, locked=False, holders=_holders(path))
    try:
        answer = bytearray(_CAPABILITY_BYTES)
        fcntl.ioctl(descriptor, _QUERYCAP, answer)
    except OSError:
        return VideoDevice(str(path), card, captures=False, loopback=False, locked=False)
    finally:
        os.close(descriptor)
    driver, card = _text(answer[:16]), _text(answer[16:48])
    every, own = struct.unpack_from("II", answer, 84)
    capabilities = own if every & _DEVICE_CAPS else every
    return VideoDevice(
        str(path),
        card,
        captures=bool(capabilities & _VIDEO_CAPTURE),
        loopback=driver == "v4l2 loopback",
        locked=False,
        holders=_holders(path),
    )


def _holders(device: Path) -> tuple[str, ...]:
    """Programs with the device open: `fuser` without needing it."""
    found: list[str] = []
    for process in Path("/proc").glob("[0-9]*"):
        if int(process.name) == os.getpid():
            continue
        try:
            if any(link.readlink() == device for link in (process / "fd").iterdir()):
                found.append(f"{(process / 'comm').read_text().strip()} ({process.name})")
        except OSError:  # it ended meanwhile, or belongs to somebody else
            continue
    return tuple(found)


def _text(field: bytearray) -> str:
    return field.split(b"\0")[0].decode(errors="replace")


@dataclass(frozen=True, slots=True)
class CameraMode:
    """One way in which a camera can send."""

    width: int
    height: int
    fps: float  # 0 where the driver does not tell
    format: str  # four letters: MJPG, YUYV, ...

    def __str__(self) -> str:
        return f"{self.width}x{self.height} {self.fps:.4g} fps {self.format}".rstrip()


def best_mode(modes: Sequence[CameraMode]) -> CameraMode | None:
    """The fastest up to 30 fps; of these the smallest from 640x480 on (else the largest there is); MJPEG before raw."""

    def rank(mode: CameraMode) -> tuple[float, ...]:
        large = mode.width >= WANTED_SIZE[0] and mode.height >= WANTED_SIZE[1]
        area = mode.width * mode.height
        rate = mode.fps or WANTED_FPS
        # the rate of thirty to within a tenth: 29.97 is as good as 30; beyond it, frames would only be dropped
        return (
            not large,
            -round(min(rate, WANTED_FPS), 1) if rate < 0.99 * WANTED_FPS else -WANTED_FPS,
            area if large else -area,
            FORMATS.index(mode.format),
            abs(rate - WANTED_FPS),
        )

    return min((mode for mode in modes if mode.format in FORMATS), key=rank, default=None)


def camera_modes(path: str) -> list[CameraMode]:
    """All modes of the device at `path`, streaming or not; empty where it cannot be opened or does not tell."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    except OSError:
        return []
    try:
        return [
            CameraMode(width, height, fps, name)
            for code, name in _formats(descriptor)
            for width, height in _sizes(descriptor, code)
            for fps in _rates(descriptor, code, width, height)
        ]
    finally:
        os.close(descriptor)


def _entries(descriptor: int, request: int, size: int, head: bytes) -> Iterator[bytes]:
    """The answers to `request` for index 0, 1, 2 ... until the driver says that there is no more."""
    import fcntl  # Unix only

    for index in range(MAX_ENTRIES):
        answer = bytearray((struct.pack("I", index) + head).ljust(size, b"\0"))
        try:
            fcntl.ioctl(descriptor, request, answer)
        except OSError:
            return
        yield bytes(answer)


def _formats(descriptor: int) -> Iterator[tuple[int, str]]:
    for entry in _entries(descriptor, _ENUM_FMT, _FMT_BYTES, struct.pack("I", _CAPTURE)):
        (code,) = struct.unpack_from("I", entry, 44)
        yield code, struct.pack("I", code).decode("ascii", "replace").strip()


def _sizes(descriptor: int, code: int) -> Iterator[tuple[int, int]]:
    """Of a range of sizes, the one nearest to WANTED_SIZE from above, or its largest."""
    for entry in _entries(descriptor, _ENUM_FRAMESIZES, _FRAMESIZES_BYTES, struct.pack("I", code)):
        (kind,) = struct.unpack_from("I", entry, 8)
        if kind == _DISCRETE:
            width, height = struct.unpack_from("II", entry, 12)
            yield width, height
            continue
        least_w, most_w, step_w, least_h, most_h, step_h = struct.unpack_from("6I", entry, 12)
        yield _in_steps(WANTED_SIZE[0], least_w, most_w, step_w), _in_steps(WANTED_SIZE[1], least_h, most_h, step_h)
        return


def _in_steps(wanted: int, least: int, most: int, step: int) -> int:
    if wanted <= least:
        return least
    step = max(1, step)
    return min(least + -(-(wanted - least) // step) * step, most)


def _rates(descriptor: int, code: int, width: int, height: int) -> Iterator[float]:
    """Frames per second; of a range, WANTED_FPS where it lies inside, else the highest. 0 once where none is told."""
    told = False
    head = struct.pack("III", code, width, height)
    for entry in _entries(descriptor, _ENUM_FRAMEINTERVALS, _FRAMEINTERVALS_BYTES, head):
        (kind,) = struct.unpack_from("I", entry, 16)
        numerator, denominator = struct.unpack_from("II", entry, 20)  # of the interval, or of the shortest one
        if numerator == 0 or denominator == 0:
            continue
        told = True
        fps = denominator / numerator
        if kind == _DISCRETE:
            yield fps
            continue
        long_numerator, long_denominator = struct.unpack_from("II", entry, 28)
        slowest = long_denominator / long_numerator if long_numerator else 0.0
        yield min(fps, max(slowest, WANTED_FPS))
        return
    if not told:
        yield 0.0
