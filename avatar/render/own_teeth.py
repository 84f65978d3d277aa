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
from avatar.render.mouth_light import LUMA

_MM = TEXELS * MILLIMETRE  # texels to a millimetre
_GAP = 2 * round(1.5 * _MM) + 1  # texels: a narrower one between teeth in sight is none
_INSET = round(0.7 * _MM)  # of the lips' edge: what is nearer may be lip
_MIDDLE = 0.14  # half width of the part that is looked at first: the incisors
LEAST_MM = 3.0  # of a tooth's height, to be worth lending
GUMMY_MM = 6.0  # of gums in sight above teeth
UNEVEN_MM = 1.5  # a tooth's edge off the row's curve; further off are lower teeth, or the lip
LEAST_EVEN = 0.85  # of the row's edge is on its curve; else the photo is too soft to tell teeth from lips
ROWS_MEET = 0.88  # of the teeth's brightness is the line between two shut rows
LEAST_SHARE = 0.5  # of the middle that shows so much


@dataclass(frozen=True, slots=True)
class OwnTeeth:
    """Seen between the lips of one portrait, on an arch: rows of texels from `top` downwards, of the pose-free face."""

    rgb: Array  # (H, W, 3)
    top: float
    first: Array  # (W,) rows between which each column shows a tooth of the upper row
    last: Array
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
    luma = rgb @ LUMA
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
    solid = cv2.morphologyEx(white.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8)) > 0
    begun = solid & (rows >= lip_above + _INSET)
    first = np.where(begun.any(0), begun.argmax(0), height)
    ended = ~solid & (rows > first)
    last = np.where(ended.any(0), ended.argmax(0) - 1, height - 1)
    last = np.minimum(last, _between_rows(rgb, first, last))
    tall = (last - first >= LEAST_MM * _MM) & (first - lip_above < GUMMY_MM * _MM)
    seen = cv2.morphologyEx(tall.astype(np.uint8)[None], cv2.MORPH_CLOSE, np.ones((1, _GAP), np.uint8))
    seen = cv2.morphologyEx(seen, cv2.MORPH_OPEN, np.ones((1, _GAP), np.uint8))[0] > 0
    middle = np.abs(x) < _MIDDLE
    share = float((seen & tall)[middle].mean())
    cut = lip_below - last < 1.0 * _MM
    known = seen & tall
    if not known.any():
        return OwnTeeth(rgb, top, first.astype(np.float32), last.astype(np.float32), known, cut, 0.0)
    edge = _smooth(last, known)
    curve = np.polyval(np.polyfit(x[known], edge[known], 2 if known.sum() > 40 else 0), x)
    even = np.abs(edge - curve)[known] < UNEVEN_MM * _MM
    if even.mean() < LEAST_EVEN:
        share = 0.0
    edge = np.clip(edge, curve - UNEVEN_MM * _MM, curve + 0.6 * UNEVEN_MM * _MM).astype(np.float32)
    return OwnTeeth(rgb, top, _smooth(first, known), edge, seen, cut, share)


def _between_rows(rgb: Array, first: NDArray[np.int_], last: NDArray[np.int_]) -> int:
    """The row of the dark line between both rows of teeth where they are shut and in sight, else below all rows."""
    height, width = len(rgb), WIDTH
    columns = np.flatnonzero((np.abs(np.arange(width) - width / 2) < 5 * _MM) & (last - first > 2 * LEAST_MM * _MM))
    if len(columns) < 5 * _MM:
        return height
    luma = cv2.GaussianBlur(rgb[:, columns] @ LUMA, (0, 0), 1)
    found = []
    for column, (start, end) in enumerate(zip(first[columns], last[columns], strict=True)):
        line = luma[start : end + 1, column]
        tooth, rest = round(LEAST_MM * _MM), round(1.2 * _MM)
        if len(line) <= tooth + rest:
            continue
        lowest = tooth + int(line[tooth:-rest].argmin())
        if line[lowest] < ROWS_MEET * min(line[:lowest].max(), line[lowest:].max()):
            found.append(start + lowest)
    if len(found) < 0.6 * len(columns):
        return height
    return round(float(np.median(found)) + 0.5 * _MM)


def _smooth(edge: NDArray[np.int_], known: NDArray[np.bool_]) -> Array:
    """(W,) without what juts out by itself; where it is not known, what is known beside it."""
    columns = np.arange(len(edge))
    steady = np.interp(columns, columns[known], edge[known]).astype(np.float32)
    steady = cv2.medianBlur(np.pad(steady, 5, mode="edge")[None], 5)[0]
    return np.asarray(cv2.GaussianBlur(steady[None], (0, 0), 0.5 * _MM)[0][5:-5], np.float32)
