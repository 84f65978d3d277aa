"""The upper row of teeth that a portrait shows between parted lips, as a sheet of its own that lips no longer cut."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.core.arrays import Array, Picture
from avatar.face import regions as at
from avatar.face.head_pose import HeadPose
from avatar.render.arch import MILLIMETRE, Arch
from avatar.render.drawn_teeth import LEFT, TEXELS, WIDTH

_MM = TEXELS * MILLIMETRE  # texels to a millimetre
_INSET = round(0.7 * _MM)  # of the lips' edge: what is nearer may be lip
_MIDDLE = 0.14  # half width of the part that is looked at first: the incisors
LEAST_MM = 3.0  # of a tooth's height, to be worth lending
LEAST_SHARE = 0.5  # of the middle that shows so much


@dataclass(frozen=True, slots=True)
class OwnTeeth:
    """Seen between the lips of one portrait, on an arch: rows of texels from `top` downwards, of the pose-free face."""

    rgb: Array  # (H, W, 3)
    top: float
    first: NDArray[np.int_]  # (W,) rows between which each column shows a tooth of the upper row
    last: NDArray[np.int_]
    seen: NDArray[np.bool_]  # (W,)
    cut: NDArray[np.bool_]  # (W,) by the lower lip, so that the tooth's edge is not in sight
    share: float  # of the middle's columns that show teeth

    @property
    def enough(self) -> bool:
        return self.share >= LEAST_SHARE


def own_teeth(portrait: Picture, landmarks: Array, pose: HeadPose, arch: Arch, lips: Array) -> OwnTeeth:
    """`landmarks` (478, 3) in [0, 1] of the portrait (S, S, 3), `lips` their (3,) colour."""
    size = len(portrait)
    shape = pose.remove(landmarks)
    inner = shape[list(at.LIPS_INNER)]
    top = float(inner[:, 1].min()) - 2 * MILLIMETRE
    height = int(np.clip((float(inner[:, 1].max()) + 2 * MILLIMETRE - top) * TEXELS, 8, 128))
    x = np.asarray((np.arange(WIDTH) + 0.5) / TEXELS + LEFT, np.float32)
    y = np.asarray((np.arange(height) + 0.5) / TEXELS + top, np.float32)
    points = arch.points(np.tile(x, height), np.repeat(y, WIDTH))
    places = pose.apply(points)[:, :2].reshape(height, WIDTH, 2) * size - 0.5
    seen = cv2.remap(portrait, places[..., 0], places[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    rgb = seen.astype(np.float32)
    mask = np.zeros((size, size), np.uint8)
    polygon = np.clip(landmarks[list(at.LIPS_INNER), :2], -1, 2) * size - 0.5
    cv2.fillPoly(mask, [np.rint(polygon * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    inside = cv2.remap(mask, places[..., 0], places[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT) > 127
    white = inside & _white(rgb, inside, x, lips)
    return _upper_row(rgb, top, inside, white, x)


def _white(rgb: Array, inside: NDArray[np.bool_], x: Array, lips: Array) -> NDArray[np.bool_]:
    """(H, W) what is as bright and as little red as teeth are."""
    luma = rgb @ np.array([0.299, 0.587, 0.114], np.float32)
    middle = inside & (np.abs(x) < _MIDDLE)
    if middle.sum() < 20:
        return np.zeros_like(inside)
    bright = float(np.percentile(luma[middle], 85))
    redness = (rgb[..., 0] - rgb[..., 1]) / np.maximum(luma, 8)
    white = float(np.median(redness[middle & (luma > 0.8 * bright)]))
    lip = float((lips[0] - lips[1]) / max(lips.mean(), 8))
    depth = np.exp(-((x / 0.3) ** 2))  # teeth at the side stand in the cheeks' shade
    whole = luma > 0.62 * bright * depth
    if lip > white + 0.08:
        whole &= redness < 0.5 * (white + lip)
    elif bright < 1.15 * float(lips.mean()):  # neither brighter than the lips nor less red
        whole[:] = False
    return np.asarray(whole, np.bool_)


def _upper_row(rgb: Array, top: float, inside: NDArray[np.bool_], white: NDArray[np.bool_], x: Array) -> OwnTeeth:
    height = len(white)
    rows = np.arange(height)[:, None]
    lip_above = np.where(inside.any(0), inside.argmax(0), height)
    lip_below = height - 1 - inside[::-1].argmax(0)
    first = np.maximum(np.where(white.any(0), white.argmax(0), height), lip_above + _INSET)
    solid = cv2.morphologyEx(white.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8)) > 0
    ended = ~solid & (rows > first)
    last = np.where(ended.any(0), ended.argmax(0) - 1, height - 1)
    seen = (last - first >= LEAST_MM * _MM) & (first - lip_above < 3 * _MM)
    last = np.minimum(last, lip_below)
    cut = lip_below - last < 1.0 * _MM
    middle = np.abs(x) < _MIDDLE
    smooth = last.copy()
    for column in np.flatnonzero(seen):
        near = slice(max(column - 5, 0), column + 6)
        smooth[column] = np.median(last[near][seen[near]])
    return OwnTeeth(rgb, top, first, np.minimum(smooth, last + 2), seen, cut, float(seen[middle].mean()))
