"""A portrait whose lips hold no teeth: what the skin is drawn from, so that lips that meet look shut."""

from __future__ import annotations

import cv2
import numpy as np

from avatar.core.arrays import Array, Picture
from avatar.face.regions import LIPS_INNER
from avatar.render.mouth_light import LUMA

LINE = 0.55  # of the lips' brightness, deep between them: the line of a shut mouth


def without_teeth(portrait: Picture, landmarks: Array, unit: float, lips: Array) -> Picture:
    """A copy of an (S, S, 3) portrait, filled between the lips from the lips around, and dark in the middle.

    `landmarks` (478, 3) in [0, 1] of it, `unit` the distance of the outer eye corners in pixels, `lips`
    (3,) their colour.
    """
    size = len(portrait)
    polygon = np.clip(landmarks[list(LIPS_INNER), :2], -1, 2) * size - 0.5
    margin = max(round(0.025 * unit), 1)
    low = np.clip(np.floor(polygon.min(0)).astype(int) - 4 * margin, 0, size)
    high = np.clip(np.ceil(polygon.max(0)).astype(int) + 4 * margin + 1, 0, size)
    if not (high - low > 2 * margin).all():
        return portrait
    inside = np.zeros((high[1] - low[1], high[0] - low[0]), np.uint8)
    cv2.fillPoly(inside, [np.rint((polygon - low) * 16).astype(np.int32)], 255, cv2.LINE_8, 4)
    part = portrait[low[1] : high[1], low[0] : high[0]]
    # the lips' edge, as far as teeth shine into it
    wide = cv2.dilate(inside, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * margin + 1,) * 2))
    filled = _spread(part.astype(np.float32), wide)
    # of the lips' own colour: a tooth that was overlooked would whiten it
    brightness = np.minimum(filled @ LUMA, 1.1 * float(lips @ LUMA))[..., None]
    filled = np.asarray(brightness * (lips / max(float(lips @ LUMA), 1)), np.float32)
    deep = cv2.distanceTransform(inside, cv2.DIST_L2, 3)[..., None]
    filled *= 1 - (1 - LINE) * np.clip(deep / (2 * margin), 0, 1)
    soft = cv2.blur(wide, (3, 3))[..., None].astype(np.float32) / 255
    result = portrait.copy()
    result[low[1] : high[1], low[0] : high[0]] = np.clip(part + soft * (filled - part) + 0.5, 0, 255).astype(np.uint8)
    return result


def _spread(part: Array, hole: Picture) -> Array:
    """(h, w, 3) whose hole is filled from around it, the nearest first: coarse pictures fill what fine ones lack."""
    known = np.where(hole > 0, np.float32(0), np.float32(1))
    if min(known.shape) < 4 or known.all():
        return part
    weighted = cv2.GaussianBlur(part * known[..., None], (0, 0), 1.5)
    weight = cv2.GaussianBlur(known, (0, 0), 1.5)
    half = (max(known.shape[1] // 2, 1), max(known.shape[0] // 2, 1))
    small = cv2.resize(weighted, half, interpolation=cv2.INTER_AREA)
    small_weight = cv2.resize(weight, half, interpolation=cv2.INTER_AREA)
    near = small / np.maximum(small_weight, 1e-3)[..., None]
    coarse = _spread(np.asarray(near, np.float32), (small_weight < 0.2).astype(np.uint8))
    filled = cv2.resize(coarse, known.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(np.where(hole[..., None] > 0, filled, part), np.float32)
