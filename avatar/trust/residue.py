"""What is left of pictures when they are taken away: where the mark is, if there is one.

The mark stands still while what is shown moves, so the mean of many residues keeps the mark and loses the pictures.
"""

from __future__ import annotations

import cv2
import numpy as np

from avatar.core.arrays import Array, Picture

LONGEST_PX = 1280  # of a picture: larger ones are shrunk, a screen's among them
_AROUND_PX = 9  # what a pixel is compared with: more keeps more of the picture, less loses the longer waves
_CLIP, _CLIP_MEAN = 3.0, 2.5  # standard deviations: no edge shouts down the rest
_FLAT, _FLAT_MEAN = 1.0, 0.02  # added to the deviation, which is nothing on flat areas


class Residue:
    """The mean residue of pictures of one size."""

    def __init__(self) -> None:
        self._sum: Array | None = None
        self.count = 0

    def add(self, picture: Picture) -> None:
        """An RGB picture. One of another size than the first is left out: its tiles are elsewhere."""
        luma = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        if (shrink := LONGEST_PX / max(luma.shape)) < 1:
            luma = cv2.resize(luma, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
        if self._sum is None:
            self._sum = np.zeros(luma.shape, np.float32)
        if luma.shape == self._sum.shape:
            self._sum += _even(_high(luma.astype(np.float32)), _FLAT, _CLIP)
            self.count += 1

    def mean(self) -> Array:
        """(H, W), of about the same strength everywhere."""
        assert self._sum is not None
        return _even(self._sum / np.float32(self.count), _FLAT_MEAN, _CLIP_MEAN)


def _high(luma: Array) -> Array:
    return np.asarray(luma - _blur(_blur(luma)), np.float32)


def _even(values: Array, flat: float, clip: float) -> Array:
    """By the deviation around each pixel."""
    deviation = np.sqrt(np.maximum(_blur(values * values), 0)) + np.float32(flat)
    return np.asarray(np.clip(values / deviation, -clip, clip), np.float32)


def _blur(values: Array) -> Array:
    return np.asarray(cv2.blur(values, (_AROUND_PX, _AROUND_PX)), np.float32)
