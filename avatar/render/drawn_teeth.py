"""Two rows of teeth and a tongue, drawn from the sizes in anatomy books: for faces whose own are not in sight.

Drawn in white light: what is not white is shade. Their colours are the portrait's, of `mouth_light`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from avatar.core.arrays import Array
from avatar.render.arch import MILLIMETRE

TEXELS = 256  # to the distance of the outer eye corners
BEND = 0.026 / MILLIMETRE  # of the row of teeth: 10 mm back at the corner teeth
LEFT, WIDTH = -0.375, 192  # of the sheets: from there, so many texels
GUM_MM = 14.0  # from the incisors' edge to where the sheet ends, under the lip
GUMS_FROM_MM = 6.5  # above the edge, between the teeth
GUMS_SHADE = 0.85  # they lie further back than teeth
TOUCHING_MM = 0.25  # so much wider are teeth than they measure: no light falls between them
BEYOND_MM = 3.0  # of empty sheet on the other side of the edge
TONGUE_UP_MM, TONGUE_DOWN_MM = 12.0, 18.0  # what the tongue's sheet holds above and below the lower incisors' edge


@dataclass(frozen=True, slots=True)
class _Tooth:
    width_mm: float
    height_mm: float
    shorter_mm: float  # than the middle incisors
    round_mm: float  # the corners of its edge


# W. A. Ash, S. J. Nelson, "Wheeler's Dental Anatomy": crowns, from the middle outwards
_UPPER = (_Tooth(8.5, 10.2, 0, 1.4), _Tooth(6.6, 8.8, 0.9, 1.8), _Tooth(7.6, 9.8, 0.4, 3.0), _Tooth(7.0, 8.2, 1.2, 2.6),
          _Tooth(6.7, 7.5, 1.7, 2.4), _Tooth(10.0, 7.0, 2.2, 2.4))  # fmt: skip
_LOWER = (_Tooth(5.3, 8.6, 0, 0.9), _Tooth(5.8, 8.8, 0.1, 1.1), _Tooth(6.9, 9.6, -0.3, 2.4), _Tooth(7.0, 8.2, 0.8, 2.4),
          _Tooth(7.1, 7.6, 1.4, 2.2), _Tooth(11.0, 7.0, 1.9, 2.2))  # fmt: skip


@dataclass(frozen=True, slots=True)
class DrawnRow:
    """A row whose edge points down, as the upper one's; the lower one is turned over by whoever draws it."""

    shade: Array  # (H, W) in [0, 1]: of white teeth
    teeth: Array  # (H, W) in [0, 1]: where there are teeth
    gums: Array  # (H, W) in [0, 1]: where there are teeth or gums


@lru_cache(maxsize=2)
def drawn_row(upper: bool) -> DrawnRow:
    """The row of (GUM_MM + BEYOND_MM) in height, its incisors' edge at GUM_MM from the top."""
    height = round((GUM_MM + BEYOND_MM) * MILLIMETRE * TEXELS)
    x = (np.arange(WIDTH, dtype=np.float32) + 0.5) / TEXELS + LEFT
    y = ((np.arange(height, dtype=np.float32) + 0.5) / (TEXELS * MILLIMETRE) - GUM_MM)[:, None]  # mm below the edge
    slope = 2 * BEND * x
    along = (x / 2) * np.sqrt(1 + slope**2) + np.arcsinh(slope) / (4 * BEND)  # the parabola's length
    along_mm = along / MILLIMETRE
    outside = np.full((height, WIDTH), 9.0, np.float32)  # mm to the nearest tooth
    shade = np.ones((height, WIDTH), np.float32)
    uneven = np.random.default_rng(7)
    for side in (-1, 1):
        start = 0.0
        for tooth in _UPPER if upper else _LOWER:
            across = side * along_mm - start - tooth.width_mm / 2
            start += tooth.width_mm
            edge = -tooth.shorter_mm + uneven.normal(0, 0.15)
            away, own = _crown(tooth, across.astype(np.float32), (y - edge).astype(np.float32))
            near = away < outside
            outside = np.where(near, away, outside)
            shade = np.where(near, own * (1 + uneven.normal(0, 0.02)), shade)
    depth_mm = BEND * x**2 / MILLIMETRE
    teeth = np.clip(0.5 - (outside - TOUCHING_MM) / 0.45, 0, 1)
    shade = shade * np.exp(-depth_mm / 30)
    gums = np.maximum(teeth, np.clip(0.5 - (y + GUMS_FROM_MM) / 1.5, 0, 1))  # they reach down between the teeth
    return DrawnRow(*(np.asarray(cv2.GaussianBlur(part, (0, 0), 1.0), np.float32) for part in (shade, teeth, gums)))


def _crown(tooth: _Tooth, across: Array, below: Array) -> tuple[Array, Array]:
    """(H, W) mm outside of one tooth, and its shade. `across` (W,) and `below` (H, 1) its edge, in mm."""
    half, middle = tooth.width_mm / 2, -tooth.height_mm / 2
    u = np.abs(across) + 0 * below
    v = below - middle + 0 * across
    neck = np.clip((-v + 0.1 * tooth.height_mm) / (tooth.height_mm / 2), 0, 1)  # narrower towards the gums
    rounding = np.where(v > 0, tooth.round_mm, 0.9 * half)
    a = u - (half * (1 - 0.12 * neck**2) - rounding)
    b = np.abs(v) - (tooth.height_mm / 2 - rounding)
    away = np.hypot(np.maximum(a, 0), np.maximum(b, 0)) + np.minimum(np.maximum(a, b), 0) - rounding
    side = np.clip(u / half, 0, 1)
    clear = np.clip((v - 0.3 * tooth.height_mm) / (0.2 * tooth.height_mm), 0, 1)  # the edge lets light through
    shade = 1 - 0.16 * side**6 - 0.1 * neck**2 - 0.08 * clear
    return away, shade


@lru_cache(maxsize=1)
def drawn_tongue() -> tuple[Array, Array]:
    """(H, W) shade and (H, W) alpha, both in [0, 1]; the lower incisors' edge is at TONGUE_UP_MM from the top."""
    height = round((TONGUE_UP_MM + TONGUE_DOWN_MM) * MILLIMETRE * TEXELS)
    x = ((np.arange(WIDTH, dtype=np.float32) + 0.5) / TEXELS + LEFT) / MILLIMETRE
    y = ((np.arange(height, dtype=np.float32) + 0.5) / (TEXELS * MILLIMETRE) - TONGUE_UP_MM)[:, None]
    top = -8.5 + 10 * (np.abs(x) / 21) ** 2.6 + 0.8 * np.exp(-((x / 3) ** 2))
    inside = y - top
    alpha = np.clip(0.5 + inside / 1.5, 0, 1) * np.clip((23 - np.abs(x)) / 2, 0, 1)
    rise = np.clip(inside / 9, 0, 1)
    groove = 1 - 0.15 * np.exp(-((x / 1.6) ** 2)) * rise
    shade = (0.35 + 0.65 * rise**0.8) * (1 - 0.35 * (np.abs(x) / 22) ** 2) * groove
    return shade.astype(np.float32), alpha.astype(np.float32)
