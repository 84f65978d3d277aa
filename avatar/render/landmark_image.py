"""The landmark image of size `full`: facial parts as coloured lines (paper, §3.1), at any size."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.core.arrays import Array
from avatar.face import regions as at
from avatar.face.face_model import face_model

# A colour for each part, so that the networks need not guess which line is which. RGB.
CLOSED: tuple[tuple[tuple[int, ...], tuple[int, int, int]], ...] = (
    (at.FACE_OVAL, (0, 255, 0)),
    (at.RIGHT_IRIS, (255, 255, 255)),
    (at.LEFT_IRIS, (255, 255, 255)),
    (at.RIGHT_EYE, (255, 0, 0)),  # over the irises: in a small image the lids say more
    (at.LEFT_EYE, (255, 0, 255)),
    (at.LIPS_OUTER, (0, 255, 255)),
    (at.LIPS_INNER, (255, 255, 0)),
)
OPEN: tuple[tuple[tuple[int, ...], tuple[int, int, int]], ...] = (
    (at.RIGHT_BROW, (255, 128, 0)),
    (at.LEFT_BROW, (128, 128, 255)),
    (at.NOSE_BRIDGE, (0, 0, 255)),
    (at.NOSE_BASE, (0, 128, 255)),
)
_SUBPIXEL_BITS = 4


def draw_landmarks(landmarks: Array, size_px: int) -> NDArray[np.uint8]:
    """(478, 2+) landmarks in [0, 1] to the (3, size, size) landmark image, RGB on black."""
    canvas = np.zeros((size_px, size_px, 3), np.uint8)
    points = landmarks[:, :2] * size_px - 0.5
    thickness = max(1, round(size_px / 128))
    for parts, closed in ((OPEN, False), (CLOSED, True)):
        for index, colour in parts:
            # landmarks far outside of the canvas would overflow OpenCV's fixed-point coordinates
            line = np.rint(np.clip(points[list(index)], -1000, 2000) * (1 << _SUBPIXEL_BITS)).astype(np.int32)
            cv2.polylines(canvas, [line], closed, colour, thickness, cv2.LINE_AA, _SUBPIXEL_BITS)
    return np.ascontiguousarray(canvas.transpose(2, 0, 1))


def landmark_image(landmarks: Array, size_px: int) -> Array:
    """The same (3, size, size) as exported networks take it: in [0, 1]."""
    return draw_landmarks(landmarks, size_px).astype(np.float32) / np.float32(255)


def mean_face_image(size_px: int) -> Array:
    """The same of the mean face, to try networks on: it shows nobody."""
    places = np.array([0.5, 0.45, 0.0], np.float32) + np.float32(0.25) * face_model().mean_shape
    return landmark_image(places, size_px)
