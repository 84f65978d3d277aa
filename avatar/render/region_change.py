"""What a network changes in one region of the picture, and the picture with it.

Coordinates stay here, in float32: the network, which may run with fewer digits, neither takes nor returns any. Its
layers are small and smooth: they are enlarged here to whatever size is wanted.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.core.arrays import Array, Picture

WINDOW = 0.25  # share of a region's half extent over which it fades into the face


@dataclass(frozen=True, slots=True)
class RegionChange:
    """What a network changes in one region, and where the region is: keep · (what was there, moved) + added."""

    warp: Array  # (2, h/2, w/2): where in the picture to look, (x, y) in [-1, 1]
    keep: Array  # (1, h, w) share of what is there
    added: Array  # (3, h, w) in [0, 1]
    to_region: Array  # (2, 3) from the picture's [-1, 1] to the region's


def blend_region(picture: Picture, before: Picture, change: RegionChange, only: Picture | None = None) -> None:
    """Draw one region into the picture, in place, sampling `before`, (S, S, 4), at the picture's own pixels.

    only: (S, S), a change where it is not 0 alone.
    """
    size = len(picture)
    low, high = _box(change.to_region, size)
    if (high <= low).any():
        return  # wholly outside of the picture
    # from the box's pixels, whose centres are at x = (2·(low + pixel) + 1) / size − 1, to the region
    to_region = change.to_region.astype(np.float64)
    to_region[:, 2] += to_region[:, :2] @ ((2 * low + 1) / size - 1)
    to_region[:, :2] *= 2 / size
    box = (int(high[0] - low[0]), int(high[1] - low[1]))
    inside = np.s_[low[1] : high[1], low[0] : high[0]]
    # OpenCV takes half the time for four channels that it takes for two or three
    places = _stretched(cv2.merge([*_pixels(change.warp, size), *change.warp]), to_region, box)
    layer = _stretched(cv2.merge([*(change.added * np.float32(255)), *change.keep]), to_region, box)
    alpha = _stretched(window(*change.keep.shape[1:]), to_region, box, border=cv2.BORDER_CONSTANT)
    if only is not None:
        alpha = np.asarray(cv2.copyTo(alpha, only[inside]), np.float32)
    columns, rows, _, _ = cv2.split(places)
    *paint, keep = cv2.split(layer)
    warped = cv2.remap(before, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    kept = cv2.multiply(cv2.cvtColor(warped, cv2.COLOR_RGBA2RGB), cv2.merge([keep] * 3), dtype=cv2.CV_32F)
    drawn = cv2.add(kept, cv2.merge(paint), dtype=cv2.CV_8U)
    part = picture[inside]
    part[:] = cv2.blendLinear(drawn, np.ascontiguousarray(part), alpha, 1 - alpha)


def _box(to_region: Array, size: int) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
    """Lowest and highest (exclusive) pixel (x, y) of the picture that the region [-1, 1]² touches."""
    linear = np.linalg.inv(to_region[:, :2])
    corners = linear @ (np.array([[-1, 1, 1, -1], [-1, -1, 1, 1]]) - to_region[:, 2:])
    pixels = (corners + 1) * size / 2 - 0.5
    low = np.clip(np.floor(pixels.min(1)), 0, size).astype(int)
    return low, np.clip(np.ceil(pixels.max(1)) + 1, 0, size).astype(int)


def _stretched(
    layer: Array, to_region: NDArray[np.float64], box: tuple[int, int], border: int = cv2.BORDER_REPLICATE
) -> Array:
    """A region's layer (h, w[, C]) at the pixels of a box (width, height). `to_region`: (2, 3) from them to [-1, 1]."""
    size = np.array(layer.shape[1::-1])
    matrix = to_region * (size[:, None] / 2)
    matrix[:, 2] += (size - 1) / 2
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(layer, matrix, box, flags=flags, borderMode=border), np.float32)


def _pixels(flow: Array, size: int) -> Array:
    """A flow (2, h, w) in [-1, 1] as pixels of an (S, S) picture."""
    return np.asarray((flow + 1) * np.float32(size / 2) - np.float32(0.5), np.float32)


@lru_cache(maxsize=8)
def window(height: int, width: int) -> Array:
    """1 in the middle, falling to 0 over the outer quarter, so that a region leaves no seam."""

    def ramp(n: int) -> NDArray[np.float64]:
        edge = 1 - np.abs((np.arange(n) + 0.5) * 2 / n - 1)
        return np.asarray((edge / WINDOW - 0.12).clip(0, 1))

    flat = ramp(height)[:, None] * ramp(width)[None]
    return np.asarray(flat * flat * (3 - 2 * flat), np.float32)


@lru_cache(maxsize=8)
def pixel_grid(height: int, width: int) -> Array:
    """(height, width, 2) centres of the pixels as (x, y) in [-1, 1], align_corners=False."""
    xs = (np.arange(width, dtype=np.float32) + 0.5) * 2 / width - 1
    ys = (np.arange(height, dtype=np.float32) + 0.5) * 2 / height - 1
    grid = np.stack(np.meshgrid(xs, ys), axis=-1).astype(np.float32)
    grid.setflags(write=False)
    return grid
