"""The square around a face that the networks see."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from avatar.core.arrays import Array

FACE_SHARE = 0.5  # of the crop's side that the face's landmarks take
CROP_SIZE_PX = 512  # stored portraits; the networks see half of it


@dataclass(frozen=True, slots=True)
class Crop:
    """A square (x, y, side) in pixels of the picture, wholly inside it."""

    x: int
    y: int
    side: int

    def normalise(self, landmarks: Array) -> Array:
        """(478, 3) landmarks in pixels of the picture to [0, 1] of the crop (z in the same scale)."""
        return np.asarray((landmarks - np.array([self.x, self.y, 0.0])) / self.side, np.float32)

    def cut(self, rgb: NDArray[np.uint8], size_px: int = CROP_SIZE_PX) -> NDArray[np.uint8]:
        """The crop of an (H, W, 3) picture as (size_px, size_px, 3), area-averaged when it shrinks."""
        picture = Image.fromarray(rgb)
        box = (self.x, self.y, self.x + self.side, self.y + self.side)
        return np.asarray(picture.resize((size_px, size_px), Image.Resampling.LANCZOS, box=box))


def face_crop(landmarks: Array, width: int, height: int) -> Crop:
    """The crop for a face: FACE_SHARE of its side is face, shifted and shrunk to stay inside the picture.

    Staying inside matters: networks trained on padded crops learn to draw the padding.
    """
    low, high = landmarks[:, :2].min(axis=0), landmarks[:, :2].max(axis=0)
    side = int(min(round(float((high - low).max()) / FACE_SHARE), width, height))
    centre = (low + high) / 2
    x = int(np.clip(round(float(centre[0]) - side / 2), 0, width - side))
    y = int(np.clip(round(float(centre[1]) - side / 2), 0, height - side))
    return Crop(x, y, side)
