"""A number drawn into a corner of a picture, so that delay can be read off the pixels at the other end.

Eight columns and four rows of black and white blocks: 24 bits, and 8 bits that tell a code from a chance pattern.
The blocks are large enough for a video call's compression.
"""

from __future__ import annotations

import time
import zlib
from collections import OrderedDict
from dataclasses import replace

import numpy as np

from avatar.core.arrays import Picture
from avatar.core.frame import Frame, NoPicture
from avatar.publish.publisher import Publisher
from avatar.sources.camera import Camera

COLUMNS, ROWS = 8, 4
BITS = 24
MODULUS = 1 << BITS  # codes are milliseconds: they come round after four and a half hours
KEPT = 64  # codes of frames under way


def block_px(height: int) -> int:
    """The side of a block in a picture of this height, which is also its distance from the edges."""
    return max(4, height // 40)


def draw_code(picture: Picture, code: int) -> None:
    """Draw `code` (0 … MODULUS − 1) into the lower left corner of an (H, W, 3) picture, in place."""
    side = block_px(len(picture))
    value = code << 8 | zlib.crc32(code.to_bytes(4, "big")) & 0xFF
    bits = np.array([value >> at & 1 for at in reversed(range(COLUMNS * ROWS))], np.uint8).reshape(ROWS, COLUMNS)
    blocks = np.kron(bits * np.uint8(255), np.ones((side, side), np.uint8))
    top = len(picture) - side - ROWS * side
    picture[top : top + ROWS * side, side : side + COLUMNS * side] = blocks[..., None]


def read_code(picture: Picture) -> int | None:
    """The code of an (H, W, 3) or (H, W) picture; None where there is none, or it is too blurred to be sure."""
    side = block_px(len(picture))
    top = len(picture) - side - ROWS * side
    corner = picture[top : top + ROWS * side, side : side + COLUMNS * side]
    if corner.shape[:2] != (ROWS * side, COLUMNS * side):
        return None
    grey = corner if corner.ndim == 2 else corner.mean(2)
    inner = slice(side // 4, side - side // 4)
    means = grey.reshape(ROWS, side, COLUMNS, side)[:, inner, :, inner].mean((1, 3))
    value = 0
    for bit in (means > 127.5).ravel():
        value = value << 1 | int(bit)
    return code_of(value)


def code_of(blocks: int) -> int | None:
    """The code that the 32 blocks stand for, as one number, row by row; None where they are no code."""
    code = blocks >> 8
    return code if zlib.crc32(code.to_bytes(4, "big")) & 0xFF == blocks & 0xFF else None


def now_code() -> int:
    """The monotonic clock as a code."""
    return time.monotonic_ns() // 1_000_000 % MODULUS


def age_ms(code: int) -> int:
    """How long ago `code` was the time."""
    return (now_code() - code) % MODULUS


class CodedCamera:
    """Draws the moment at which a camera's frame was due into its picture: the light of the test scene."""

    def __init__(self, camera: Camera) -> None:
        self._camera = camera

    @property
    def name(self) -> str:
        return self._camera.name

    @property
    def fps(self) -> float:
        return self._camera.fps

    @property
    def dropped(self) -> int:
        return self._camera.dropped

    def read(self) -> Frame | NoPicture | None:
        frame = self._camera.read()
        if not isinstance(frame, Frame):
            return frame
        rgb = frame.rgb.copy()
        draw_code(rgb, frame.capture_ns // 1_000_000 % MODULUS)
        return replace(frame, rgb=rgb)

    def close(self) -> None:
        self._camera.close()


class CodeReadingCamera(CodedCamera):
    """Reads the code off each camera picture and keeps the number beside it, by the frame's capture time."""

    def __init__(self, camera: Camera) -> None:
        super().__init__(camera)
        self._codes: OrderedDict[int, int] = OrderedDict()

    def read(self) -> Frame | NoPicture | None:
        frame = self._camera.read()
        if isinstance(frame, Frame) and (code := read_code(frame.rgb)) is not None:
            self._codes[frame.capture_ns] = code
            while len(self._codes) > KEPT:
                self._codes.popitem(last=False)
        return frame

    def code(self, capture_ns: int) -> int | None:
        return self._codes.get(capture_ns)


class CodedPublisher(Publisher):
    """Draws the number that belongs to a frame into its corner, and hands it on."""

    def __init__(self, publisher: Publisher, camera: CodeReadingCamera) -> None:
        self.name = publisher.name
        self._publisher, self._camera = publisher, camera

    def open(self, width: int, height: int, fps: float) -> None:
        self._publisher.open(width, height, fps)

    def send(self, frame: Frame) -> None:
        if (code := self._camera.code(frame.capture_ns)) is not None:
            rgb = frame.rgb.copy()
            draw_code(rgb, code)
            frame = replace(frame, rgb=rgb)
        self._publisher.send(frame)
        self.dropped = self._publisher.dropped

    def close(self) -> None:
        self._publisher.close()
