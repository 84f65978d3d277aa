"""Does the box show in which mouth or eyes were drawn?

A seam is a step of brightness or colour between inside and outside of a region's border, over and above the step that
the real face has there. Only low frequencies are looked at: what is sharp is the face's own.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.core.arrays import Array, Picture
from avatar.render.conditioning import region_frames

INSIDE, OUTSIDE = 0.66, 1.06  # of a region's half extent: regions fade into the face in between
SMOOTH = 0.01  # of the picture's side: σ of the low frequencies
ALONG = np.linspace(-0.66, 0.66, 24)  # of a side, corners left out


def seam(real: Picture, drawn: Picture, landmarks: Array) -> dict[str, float]:
    """By "mouth" and "eyes": the step across the region's border in an (S, S, 3) picture against the real one's, of
    255. Mean over each of the four sides, then its size, then the mean over sides, channels and both eyes.

    landmarks: (478, 3) in [0, 1], where the driver's face is, and so the regions.
    """
    change = drawn.astype(np.float32) - real
    change = np.asarray(cv2.GaussianBlur(change, (0, 0), SMOOTH * len(change)), np.float32)
    mouth, *eyes = (frame.to_picture(_border()) for frame in region_frames(landmarks))
    return {"mouth": _step(change, mouth), "eyes": float(np.mean([_step(change, eye) for eye in eyes]))}


def _step(change: NDArray[np.float32], border: Array) -> float:
    """border: (4, 2, n, 2) places in [-1, 1], by side, inside and outside."""
    places = ((border + 1) * len(change) / 2 - 0.5).astype(np.float32).reshape(8, -1, 2)
    there = cv2.remap(change, places[..., 0], places[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    inside, outside = np.moveaxis(there.reshape(4, 2, -1, 3), 1, 0)
    return float(np.abs((inside - outside).mean(1)).mean())


def _border() -> Array:
    """(4, 2, n, 2) places in a region's [-1, 1]: left, right, upper, lower side; inside and outside."""
    across = np.array([INSIDE, OUTSIDE])[:, None] + 0 * ALONG
    along = across * 0 + ALONG
    sides = [np.stack(pair, -1) for pair in ((-across, along), (across, along), (along, -across), (along, across))]
    return np.stack(sides).astype(np.float32)
