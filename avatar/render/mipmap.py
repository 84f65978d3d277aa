"""A picture at full size, a half and a quarter: one that is read where it is too fine flickers.

Source: L. Williams, Pyramidal Parametrics, SIGGRAPH 1983.
"""

from __future__ import annotations

import cv2
import numpy as np

from avatar.core.arrays import Array, Picture

LEVELS = 3
MULTIPLE_PX = 2 ** (LEVELS - 1)  # of sides that are no multiples of it, the smaller ones lie off by a part of a pixel


class Mipmap:
    """Of a picture (H, W, C)."""

    def __init__(self, picture: Picture) -> None:
        self._levels = [picture]
        for _ in range(LEVELS - 1):
            height, width = self._levels[-1].shape[:2]
            half = cv2.resize(self._levels[-1], (width // 2, height // 2), interpolation=cv2.INTER_AREA)
            self._levels.append(np.asarray(half, np.uint8))

    def read(self, x: Array, y: Array, fineness: float, border: int) -> Picture:
        """(h, w, C) of what is at x and y (h, w), in pixels from the picture's corner.

        `fineness`: how many of them fall on one pixel of the result. `border`: of cv2, for what lies outside.
        """
        level = int(np.clip(round(float(np.log2(max(fineness, 1e-6)))), 0, LEVELS - 1))
        step = np.float32(1 / 2**level)
        columns, rows = (np.asarray(places * step - np.float32(0.5), np.float32) for places in (x, y))
        return np.asarray(cv2.remap(self._levels[level], columns, rows, cv2.INTER_LINEAR, borderMode=border), np.uint8)
