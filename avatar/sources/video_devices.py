"""The /dev/video* devices of a Linux machine: what each is, and who holds it. Nothing is opened for pictures."""

from __future__ import annotations

import os
import re
import struct
import sys
from dataclasses import dataclass
from pathlib import Path

VIDIOC_QUERYCAP = 0x80685600  # linux/videodev2.h
CAPABILITY_BYTES = 104  # struct v4l2_capability
VIDEO_CAPTURE, DEVICE_CAPS = 0x1, 0x8000_0000


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
        answer = bytearray(CAPABILITY_BYTES)
        fcntl.ioctl(descriptor, VIDIOC_QUERYCAP, answer)
    except OSError:
        return VideoDevice(str(path), card, captures=False, loopback=False, locked=False)
    finally:
        os.close(descriptor)
    driver, card = _text(answer[:16]), _text(answer[16:48])
    every, own = struct.unpack_from("II", answer, 84)
    capabilities = own if every & DEVICE_CAPS else every
    return VideoDevice(
        str(path),
        card,
        captures=bool(capabilities & VIDEO_CAPTURE),
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
