"""Putting the mark into pictures: more of it where there is texture, nothing where there is none."""

from __future__ import annotations

import cv2
import numpy as np

from avatar.core.arrays import Array, Picture
from avatar.trust.carrier import pattern
from avatar.trust.mark_code import encode
from avatar.trust.mark_message import MarkMessage

GAIN = 0.35  # of the mark, in shares of the activity around
LEAST, MOST = 0.2, 2.4  # standard deviations in grey levels of 255; the least rounds to nothing
_CELL = 8  # of half-size pixels: activity is told for so large cells


class Marker:
    """Marks (height, width, 3) pictures of one size, one after another, for one thread."""

    def __init__(self, message: MarkMessage, width: int, height: int) -> None:
        self.message = message
        wave = pattern(encode(message.number()), width, height)
        self._brighter, self._darker = np.maximum(wave, 0), np.maximum(-wave, 0)
        self._half = (max(1, width // 2), max(1, height // 2))
        self._cells = (max(1, width // 2 // _CELL), max(1, height // 2 // _CELL))
        self._whole = (width, height)

    def mark(self, picture: Picture) -> Picture:
        """A marked copy of an RGB picture. Its colours stay: all three channels change by the same."""
        strength = cv2.resize(self._strength(picture), self._whole, interpolation=cv2.INTER_LINEAR)
        brighter, darker = (cv2.multiply(strength, part, dtype=cv2.CV_8U) for part in (self._brighter, self._darker))
        lifted = cv2.add(picture, cv2.merge((brighter, brighter, brighter)))
        return np.asarray(cv2.subtract(lifted, cv2.merge((darker, darker, darker)), dst=lifted), np.uint8)

    def _strength(self, picture: Picture) -> Array:
        """(cells) standard deviation of the mark, in grey levels.

        In shares of the texture, which hides it as well as it disturbs its finding: so it is found in all alike.
        """
        return np.asarray(np.minimum(LEAST + GAIN * self._activity(picture), MOST), np.float32)

    def _activity(self, picture: Picture) -> Array:
        """(cells) how much the half-size picture differs from its blur, taking the lower side beside an edge: a mark on
        the flat side of an edge would be seen."""
        half = cv2.cvtColor(cv2.resize(picture, self._half, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
        differing = cv2.absdiff(half, cv2.blur(half, (7, 7)))
        cells = cv2.resize(differing, self._cells, interpolation=cv2.INTER_AREA).astype(np.float32)
        return np.asarray(cv2.blur(cv2.erode(cells, np.ones((3, 3), np.uint8)), (3, 3)), np.float32)
