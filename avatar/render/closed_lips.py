"""A portrait whose lips hold no teeth: what the skin is drawn from, so that lips that meet look shut."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.core.arrays import Array, Picture
from avatar.face.regions import LIPS_INNER, LIPS_OUTER
from avatar.render.mouth_light import LUMA

LINE = 0.65  # of the lips' brightness, where they meet
_MARGIN = 0.03  # of the distance of the outer eye corners: how far outside of the inner lips teeth may still shine
_DARK, _BRIGHT = 0.65, 1.2  # against the lips' brightness: what is beyond, so near their edge, is no lip
_LESS_RED = 0.5  # of the lips' redness
_SUBPIXEL_BITS = 4


def without_teeth(portrait: Picture, landmarks: Array, unit: float, lips: Array) -> Picture:
    """A copy of an (S, S, 3) portrait, filled between the lips from the lips around, and darker in the middle.

    `landmarks` (478, 3) in [0, 1] of it, `unit` the distance of the outer eye corners in pixels, `lips` (3,) their
    colour.
    """
    size = len(portrait)
    inner, outer = (np.clip(landmarks[list(line), :2], -1, 2) * size - 0.5 for line in (LIPS_INNER, LIPS_OUTER))
    low = np.clip(np.floor(outer.min(0)).astype(int) - 2, 0, size)
    high = np.clip(np.ceil(outer.max(0)).astype(int) + 3, 0, size)
    if not (high - low > 8).all():
        return portrait
    between, around = (_polygon(points - low, high - low) for points in (inner, outer))
    part = portrait[low[1] : high[1], low[0] : high[0]].astype(np.float32)
    margin = max(round(_MARGIN * unit), 1)
    near = cv2.dilate(between, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * margin + 1,) * 2)) > 0
    hole = cv2.dilate(between, np.ones((3, 3), np.uint8)) > 0
    hole |= near & (around > 0) & _no_lip(part, lips)
    known = (around > 0) & ~hole
    if known.sum() < 4:
        return portrait
    filled = _spread(part, known)
    deep = cv2.distanceTransform(between, cv2.DIST_L2, 3)[..., None]
    filled *= 1 - (1 - LINE) * np.clip(deep / (1.5 * margin), 0, 1)
    soft = cv2.GaussianBlur(hole.astype(np.float32), (3, 3), 0)[..., None]
    result = portrait.copy()
    result[low[1] : high[1], low[0] : high[0]] = np.clip(part + soft * (filled - part) + 0.5, 0, 255).astype(np.uint8)
    return result


def line_colour(portrait: Picture, landmarks: Array, shut: bool, lips: Array) -> Array:
    """(3,) of the line between shut lips: the portrait's own, or what it would be where the lips are apart."""
    if not shut:
        return np.asarray(LINE * lips, np.float32)
    middle = (landmarks[[13, 82, 312], :2] + landmarks[[14, 87, 317], :2]) / 2
    x, y = np.clip(np.rint(middle * len(portrait) - 0.5).astype(int), 0, len(portrait) - 1).T
    return np.asarray(np.median(portrait[y, x], axis=0), np.float32)


def _no_lip(part: Array, lips: Array) -> NDArray[np.bool_]:
    luma, lip_luma = part @ LUMA, max(float(lips @ LUMA), 1)
    redness = (part[..., 0] - part[..., 1]) / np.maximum(luma, 8)
    bright = (luma > _BRIGHT * lip_luma) & (redness <= _LESS_RED * float(lips[0] - lips[1]) / lip_luma)
    return np.asarray(bright | (luma < _DARK * lip_luma), np.bool_)


def _polygon(points: Array, size: NDArray[np.int_]) -> Picture:
    mask = np.zeros((int(size[1]), int(size[0])), np.uint8)
    fixed = np.rint(points * (1 << _SUBPIXEL_BITS)).astype(np.int32)
    cv2.fillPoly(mask, [fixed], 255, cv2.LINE_8, _SUBPIXEL_BITS)
    return mask


def _spread(part: Array, known: NDArray[np.bool_]) -> Array:
    """(h, w, 3) as it is where known, elsewhere from the nearest that is: coarse pictures fill what fine ones lack."""
    weight = known.astype(np.float32)
    if known.all() or min(known.shape) < 4:
        return np.where(known[..., None], part, part[known].mean(0) if known.any() else 0).astype(np.float32)
    height, width = known.shape
    half = (width // 2, height // 2)
    small = cv2.resize(cv2.GaussianBlur(part * weight[..., None], (0, 0), 1), half, interpolation=cv2.INTER_AREA)
    small_weight = cv2.resize(cv2.GaussianBlur(weight, (0, 0), 1), half, interpolation=cv2.INTER_AREA)
    near = np.asarray(small / np.maximum(small_weight, 1e-3)[..., None], np.float32)
    coarse = _spread(near, small_weight > 0.15)
    filled = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(np.where(known[..., None], part, filled), np.float32)
