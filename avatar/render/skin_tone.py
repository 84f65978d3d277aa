"""The skin's colour around mouth and eyes, so that regions taken from different portraits meet without a seam.

Cameras change exposure and white balance while they film: of two frames of one clip, one may be a fifth brighter.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.core.arrays import Array

# points of MediaPipe's face mesh on the skin that each region's border runs through
BORDERS = {
    "mouth": (164, 167, 393, 186, 410, 57, 287, 43, 273, 106, 335, 182, 406, 200, 18, 83, 313),
    "eyes": (6, 197, 196, 419, 119, 348, 118, 347, 117, 346, 101, 330, 230, 450, 229, 449, 231, 451),
}
SHARE = 0.02  # of the picture's side: how far around a point its colour is averaged
MOST = 1.5  # a larger ratio is no exposure but a shadow, a hand or a beard


def skin_tones(picture: NDArray[np.uint8], landmarks: Array) -> dict[str, Array]:
    """Median (3,) colour along each region's border, of an (H, H, 3) picture with (478, 3) landmarks in [0, 1]."""
    size = len(picture)
    reach = max(int(SHARE * size) | 1, 3)
    smooth = cv2.blur(picture, (reach, reach))
    tones = {}
    for region, points in BORDERS.items():
        x, y = np.clip((landmarks[list(points), :2] * size).astype(int), 0, size - 1).T
        tones[region] = np.maximum(np.median(smooth[y, x].astype(np.float32), axis=0), 1.0)
    return tones


def gain(tone: Array, wanted: Array) -> Array:
    """(3,) factors that bring one tone to the other."""
    return np.asarray(np.clip(wanted / tone, 1 / MOST, MOST), np.float32)
