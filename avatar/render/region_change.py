"""What a network changes in one region of the picture, and the picture with it.

Coordinates stay here, in float32: the network, which may run with fewer digits, neither takes nor returns any. Its
layers are small and smooth: they are enlarged here to whatever size is wanted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.core.arrays import Array, Picture

_NO_MAP: Any = None  # the places are pairs: there is no second map, which the stubs of OpenCV do not know
WINDOW = 0.25  # share of a region's half extent over which it fades into the face


@dataclass(frozen=True, slots=True)
class RegionChange:
    """What a network changes in one region, and where the region is: keep · (what was there, moved) + added."""

    warp: Array  # (2, h/2, w/2): where in the picture to look, (x, y) in [-1, 1]
    keep: Array  # (1, h, w) share of what is there
    added: Array  # (3, h, w) in [0, 1]
    to_region: Array  # (2, 3) from the picture's [-1, 1] to the region's


def blend_region(picture: Picture, before: Picture, change: RegionChange, only: Picture | None = None) -> None:
    """Draw one region into the picture, in place, sampling `before`, (S, S, 3) too, at the picture's own pixels.

    only: (S, S), a change where it is not 0 alone.
    """
    warp, keep, added, to_region = change.warp, change.keep, change.added, change.to_region
    size, (height, width) = len(picture), keep.shape[1:]
    low, high = _box(to_region, size)
    if (high <= low).any():
        return  # wholly outside of the picture
    box = (int(high[0] - low[0]), int(high[1] - low[1]))
    places = _stretched(_pixels(warp, size), to_region, size, low, box)
    layer = np.concatenate([_channels_last(added, 255), keep[0][..., None]], axis=2)
    layer = _stretched(layer, to_region, size, low, box)
    alpha = _stretched(window(height, width), to_region, size, low, box, border=cv2.BORDER_CONSTANT)[..., None]
    inside = np.s_[low[1] : high[1], low[0] : high[0]]
    part = picture[inside]
    if only is not None:
        alpha *= (only[inside] > 0)[..., None]
    warped = cv2.remap(before, places, _NO_MAP, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    drawn = warped * layer[..., 3:] + layer[..., :3]
    part[:] = np.rint(part + alpha * (np.clip(drawn, 0, 255) - part))


def _box(to_region: Array, size: int) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
    """Lowest and highest (exclusive) pixel (x, y) of the picture that the region [-1, 1]² touches."""
    linear = np.linalg.inv(to_region[:, :2])
    corners = linear @ (np.array([[-1, 1, 1, -1], [-1, -1, 1, 1]]) - to_region[:, 2:])
    pixels = (corners + 1) * size / 2 - 0.5
    low = np.clip(np.floor(pixels.min(1)), 0, size).astype(int)
    return low, np.clip(np.ceil(pixels.max(1)) + 1, 0, size).astype(int)


def _stretched(
    layer: Array | Picture,
    to_region: Array,
    size: int,
    low: Sequence[int] | NDArray[np.int_],
    box: tuple[int, int],
    border: int = cv2.BORDER_REPLICATE,
) -> Array:
    """A region's layer (h, w[, C]) at the pixels of the picture's box (width, height) from `low` on."""
    height, width = layer.shape[:2]
    # pixel centres: p = ((x + 1)·size − 1) / 2
    to_unit = np.array(
        [[2 / size, 0, (2 * low[0] + 1) / size - 1], [0, 2 / size, (2 * low[1] + 1) / size - 1], [0, 0, 1]]
    )
    to_pixels = np.array([[width / 2, 0, (width - 1) / 2], [0, height / 2, (height - 1) / 2], [0, 0, 1]])
    matrix = (to_pixels @ np.vstack([to_region, [0, 0, 1]]) @ to_unit)[:2]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(layer, matrix, box, flags=flags, borderMode=border), np.float32)


def _pixels(flow: Array, size: int) -> Array:
    """A flow (2, h, w) in [-1, 1] as (h, w, 2) pixels of an (S, S) picture."""
    return _channels_last((flow + 1) * (size / 2) - 0.5)


def _channels_last(layer: Array, factor: float = 1) -> Array:
    return np.ascontiguousarray(layer.transpose(1, 2, 0) * np.float32(factor), np.float32)


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
