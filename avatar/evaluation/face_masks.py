"""Which pixels are the face's: the area inside its oval, where the real face is, for real and drawn pictures alike."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.core.arrays import Array
from avatar.face.regions import FACE_OVAL

Mask = NDArray[np.bool_]  # (S, S)

_SUBPIXEL_BITS = 4


def oval_mask(landmarks: Array, size_px: int) -> Mask:
    """(size_px, size_px): inside the oval of (478, 2+) landmarks in [0, 1] of the picture."""
    points = landmarks[list(FACE_OVAL), :2] * size_px - 0.5
    filled = np.zeros((size_px, size_px), np.uint8)
    fixed = np.rint(np.clip(points, -1000, 2000) * (1 << _SUBPIXEL_BITS)).astype(np.int32)
    cv2.fillPoly(filled, [fixed], 1, cv2.LINE_8, _SUBPIXEL_BITS)
    return filled > 0
