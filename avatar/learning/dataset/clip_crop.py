"""One fixed crop for a stretch of frames, and which of them fit into it."""

from __future__ import annotations

from collections import Counter

import numpy as np

from avatar.core.arrays import Array
from avatar.face.crop import Crop, face_crop
from avatar.learning.dataset.outcome import LEAVES_CROP, NEAR_STILL, PADDED, TOO_SHORT, TrackRules
from avatar.learning.dataset.shot_cuts import SeenFace

STILL_MOVE = 0.001  # mean movement of the landmarks in the crop since the last frame taken: a quarter of a pixel of 256
STILL_CHANGE = 0.02  # of the blendshape that changes most; 3 % of frames are below both
MOST_PADDED = 90  # percentile of the bars' widths that a clip's crop keeps clear of: frames with more are dropped
OUTSIDE = 0.05  # of the crop's side that landmarks may stand out


def choose_frames(
    stretch: list[SeenFace], rules: TrackRules, dropped: Counter[str]
) -> tuple[Crop, list[SeenFace]] | None:
    """The stretch's crop and the frames to keep; why the others go is counted in `dropped`."""
    fit = [face for face in stretch if face.unfit is None]
    dropped.update(face.unfit for face in stretch if face.unfit is not None)
    if not fit:
        return None
    # the middle of where the head is, so that as few frames as possible leave it
    lows, highs = (np.stack([side(f.landmarks[:, :2], axis=0) for f in fit]) for side in (np.min, np.max))
    boxes = np.array([f.content for f in fit])
    left, top = (int(np.percentile(boxes[:, i], MOST_PADDED, method="higher")) for i in (0, 1))
    right, bottom = (int(np.percentile(boxes[:, i], 100 - MOST_PADDED, method="lower")) for i in (2, 3))
    head = np.stack([np.median(lows, axis=0), np.median(highs, axis=0)])
    crop = crop_within((left, top, right, bottom), head)
    kept: list[SeenFace] = []
    last: Array | None = None
    for face in fit:
        points = crop.normalise(face.landmarks)
        if leaves_crop(points):
            dropped[LEAVES_CROP] += 1
        elif _is_padded(crop, face.content):
            dropped[PADDED] += 1
        elif last is not None and _hardly_differs(points, last, face.blendshapes, kept[-1].blendshapes):
            dropped[NEAR_STILL] += 1
        else:
            kept.append(face)
            last = points
    if len(kept) < rules.min_frames:
        dropped[TOO_SHORT] += len(kept)
        return None
    return crop, kept


def _hardly_differs(points: Array, last: Array, shapes: Array, last_shapes: Array) -> bool:
    moved = float(np.abs(points - last)[:, :2].mean())
    return moved < STILL_MOVE and float(np.abs(shapes - last_shapes).max()) < STILL_CHANGE


def crop_within(content: tuple[int, int, int, int], points: Array) -> Crop:
    """The face's crop, wholly inside what was filmed."""
    left, top, right, bottom = content
    crop = face_crop(points[:, :2] - np.array([left, top], np.float32), right - left, bottom - top)
    return Crop(crop.x + left, crop.y + top, crop.side)


def _is_padded(crop: Crop, content: tuple[int, int, int, int]) -> bool:
    left, top, right, bottom = content
    return crop.x < left or crop.y < top or crop.x + crop.side > right or crop.y + crop.side > bottom


def leaves_crop(points: Array) -> bool:
    """Whether some of (478, 3) landmarks, in [0, 1] of the crop, stand out of it by more than OUTSIDE."""
    return bool(points[:, :2].min() < -OUTSIDE or points[:, :2].max() > 1 + OUTSIDE)
