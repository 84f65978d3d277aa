"""The published picture: the avatar's square and, where the picture is wider, its background around it, blurred."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.errors import UsageError

SMALLEST_PX, LARGEST_PX = 64, 4096


class Canvas:
    """Places (square_px, square_px, 3) avatar pictures in the middle of a (height, width, 3) one."""

    def __init__(self, portrait: NDArray[np.uint8], width: int, height: int) -> None:
        """`portrait` (H, W, 3) gives the background. Raises UsageError for a size that no camera could have."""
        if width % 2 or height % 2 or not all(SMALLEST_PX <= side <= LARGEST_PX for side in (width, height)):
            raise UsageError(
                f"A picture of {width}x{height} cannot be published: both sides must be even and from {SMALLEST_PX} to "
                f"{LARGEST_PX}, for example --size 1280x720."
            )
        self.width, self.height = width, height
        self.square_px = min(width, height)
        self._left, self._top = (width - self.square_px) // 2, (height - self.square_px) // 2
        self._background = _blurred_cover(portrait, width, height)

    def place(self, square: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(square_px, square_px, 3) to (height, width, 3)."""
        if self.width == self.height:
            return square
        picture = self._background.copy()
        picture[self._top : self._top + self.square_px, self._left : self._left + self.square_px] = square
        return picture


def parse_size(text: str) -> tuple[int, int]:
    """ "1280x720" to (1280, 720). Raises UsageError."""
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise UsageError(f"--size {text!r} is not WIDTHxHEIGHT, for example 512x512 or 1280x720.")
    return int(width), int(height)


def _blurred_cover(portrait: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """The portrait, enlarged to cover the picture and blurred beyond recognition of its edges."""
    small = cv2.resize(portrait, (64, 64), interpolation=cv2.INTER_AREA)
    side = max(width, height)
    cover = cv2.resize(cv2.GaussianBlur(small, (0, 0), 2.5), (side, side), interpolation=cv2.INTER_CUBIC)
    left, top = (side - width) // 2, (side - height) // 2
    return np.ascontiguousarray(cover[top : top + height, left : left + width], dtype=np.uint8)
