"""Crops of mouth and eyes, where people look: cut along the real face's landmarks, for real and drawn pictures alike.

Their own rule, not the generator's: a metric must not share the network's idea of where a mouth is.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.core.arrays import Array, Picture
from avatar.face import regions as at

MOUTH_PX, EYE_PX = (96, 64), (48, 32)  # (width, height)
MOUTH_WIDTH, EYE_WIDTH = 1.6, 1.8  # of the lips' and of the lids' width
MOUTH_CORNERS, EYE_CORNERS = (61, 291), ((33, 133), (362, 263))  # from the picture's left to its right


def mouth_crop(picture: Picture, landmarks: Array) -> Picture:
    """(64, 96, 3) around the lips of the face with (478, 3) landmarks in pixels, turned with them."""
    return _crop(picture, landmarks, MOUTH_CORNERS, at.LIPS_OUTER, MOUTH_WIDTH, MOUTH_PX)


def eye_crops(picture: Picture, landmarks: Array, enlarged: int = 1) -> Picture:
    """(2, 32, 48, 3) around the subject's right and left eye; so many times larger for networks that see coarsely."""
    size = EYE_PX[0] * enlarged, EYE_PX[1] * enlarged
    right, left = (
        _crop(picture, landmarks, corners, ring, EYE_WIDTH, size)
        for corners, ring in zip(EYE_CORNERS, (at.RIGHT_EYE, at.LEFT_EYE), strict=True)
    )
    return np.stack([right, left])


def upright_mouth(landmarks: Array, enlarged: int) -> NDArray[np.float64]:
    """(2, 3) from pixels of the crop of `mouth_crop`, so many times larger, to pixels of the picture."""
    size = MOUTH_PX[0] * enlarged, MOUTH_PX[1] * enlarged
    return _to_picture(landmarks, MOUTH_CORNERS, at.LIPS_OUTER, MOUTH_WIDTH, size)


def _crop(
    picture: Picture,
    landmarks: Array,
    corners: tuple[int, int],
    ring: tuple[int, ...],
    width: float,
    size: tuple[int, int],
) -> Picture:
    matrix = _to_picture(landmarks, corners, ring, width, size)
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(picture, matrix, size, flags=how, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def _to_picture(
    landmarks: Array, corners: tuple[int, int], ring: tuple[int, ...], width: float, size: tuple[int, int]
) -> NDArray[np.float64]:
    centre = landmarks[list(ring), :2].mean(0).astype(np.float64)
    across = (landmarks[corners[1], :2] - landmarks[corners[0], :2]).astype(np.float64)
    across *= width / size[0]  # one pixel of the crop, in pixels of the picture
    down = np.array([-across[1], across[0]])
    start = centre - 0.5 + across * (0.5 - size[0] / 2) + down * (0.5 - size[1] / 2)  # centre of the first pixel
    return np.stack([across, down, start], axis=1)
