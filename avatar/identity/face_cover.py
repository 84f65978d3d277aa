"""Does something hide the eyes or the mouth: dark glasses, a mask, a hand? Measured against the person's own skin."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.core.arrays import Array
from avatar.face.regions import LIPS_OUTER

Luma = Array
Points = Array

# By side (the person's right, left): brow bone to lower lid, and the cheek below where glasses end
_AROUND_EYE = (
    (113, 225, 224, 223, 222, 221, 189, 244, 233, 232, 231, 230, 229, 228, 31, 226),
    (342, 445, 444, 443, 442, 441, 413, 464, 453, 452, 451, 450, 449, 448, 261, 446),
)  # fmt: skip
_CHEEK = ((36, 205, 187, 207, 206, 203), (266, 425, 411, 427, 426, 423))


def eyes_light(luma: Luma, points: Points) -> float:
    """How bright lids, eye white and skin around the eye are, over the cheek below it; of the brighter eye.

    Near 1 for skin of any colour, also in glasses; dark lenses push it below 0.6. luma: (H, W) of the face, 0 to 255;
    points: (478, 2) in it.
    """
    shares = []
    for around, cheek in zip(_AROUND_EYE, _CHEEK, strict=True):
        eye, skin = (luma[_filled(luma.shape, points[list(ring)])] for ring in (around, cheek))
        if eye.size and skin.size:  # else this side is turned away
            shares.append(float(np.percentile(eye, 80)) / max(float(np.median(skin)), 1.0))
    return max(shares, default=1.0)


def mouth_edge(luma: Luma, points: Points) -> float:
    """How steep the line between the lips is: the 90th percentile of luma's vertical change, over its mean.

    Cloth and fingers have no such line. 0 where the mouth is out of sight.
    """
    lips = _filled(luma.shape, points[list(LIPS_OUTER)])
    if not lips.any():
        return 0.0
    change = np.abs(cv2.Sobel(luma, cv2.CV_32F, 0, 1, ksize=3)) / 8
    return float(np.percentile(change[lips], 90)) / max(float(luma[lips].mean()), 1.0)


def _filled(shape: tuple[int, ...], polygon: Points) -> NDArray[np.bool_]:
    mask = np.zeros(shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.rint(np.clip(polygon, -1000, 1000)).astype(np.int32)], 1)
    return mask.astype(bool)
