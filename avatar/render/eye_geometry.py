"""Where one eye is in a face: its plane, the curves of its lids, and the disc of its iris.

An eye's own places are (u, v): u runs from the outer corner, 0, to the inner one, 1, and v down the face, in the same
unit. Lids move in them and the head's turn does not show, so that what was seen of one face can be drawn on another.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avatar.core.arrays import Array
from avatar.face import regions as at
from avatar.face.head_pose import HeadPose

LID_FROM, LID_TO = -0.2, 1.2  # u of the first and the last sample of a lid's curve
LID_SAMPLES = 281
# In widths of the eye: the eyeball's middle from the one between the corners, towards the nose, down and into the head,
# where it explains best the irises of 58 people who look into the camera; and how far from it an iris is, 11 of 29 mm
EYEBALL = (-0.056, -0.07, 0.14)
IRIS_ORBIT = 0.38
MOST_SIDEWAYS = 0.8  # sine beyond which an iris would be a line

_SAMPLES = np.linspace(LID_FROM, LID_TO, LID_SAMPLES)
_BEYOND = np.maximum(np.maximum(-_SAMPLES, _SAMPLES - 1), 0)
_RINGS = (at.RIGHT_EYE, at.LEFT_EYE)
_UPPER = np.array([ring[:9] for ring in _RINGS])  # both from the outer to the inner corner
_LOWER = np.array([(ring[0], *ring[:7:-1]) for ring in _RINGS])
_NOSE = np.array([[at.NOSE_BRIDGE[:4], flank] for flank in ((193, 122, 196, 3), (417, 351, 419, 248))])
_IRIS = np.array([at.RIGHT_IRIS_CENTRE, at.LEFT_IRIS_CENTRE])
_IRIS_RING = np.array([at.RIGHT_IRIS, at.LEFT_IRIS])


@dataclass(frozen=True, slots=True)
class EyePlace:
    """One eye of one face, in [0, 1] of its crop."""

    to_crop: Array  # (2, 3) from (u, v)
    upper: Array  # (LID_SAMPLES,) v of the lids; outside of the corners they cross
    lower: Array
    opening: float  # mean distance of the lids, in v
    iris: Array  # (2,) its centre, (u, v)
    disc: Array  # (2, 2) from the unit disc to the crop: the iris as it is seen, without its centre
    nose: Array  # (2, 4, 2) lines down its bridge and its flank: what is beyond both is hidden by it
    facing: float  # cosine between the eye's plane and the picture's; negative where it is seen from behind

    @property
    def width(self) -> float:
        """Distance of the corners in the crop."""
        return float(np.hypot(self.to_crop[0, 0], self.to_crop[1, 0]))

    @property
    def iris_centre(self) -> Array:
        """(2,) in the crop."""
        return np.asarray(self.to_crop[:, :2] @ self.iris + self.to_crop[:, 2], np.float32)


@dataclass(frozen=True, slots=True)
class EyeSize:
    """What stays of an eye when the head turns, in scales of `HeadPose`."""

    width: float
    iris_radius: float

    @classmethod
    def of(cls, landmarks: Array, pose: HeadPose, eye: int) -> EyeSize:
        outer, inner = landmarks[_UPPER[eye, 0]], landmarks[_UPPER[eye, -1]]
        ring = landmarks[_IRIS_RING[eye], :2] - landmarks[_IRIS[eye], :2]
        radius = float(np.sqrt((ring**2).sum(1)).mean())
        return cls(float(np.linalg.norm(inner - outer)) / pose.scale, radius / pose.scale)


def eye_place(landmarks: Array, pose: HeadPose, eye: int, size: EyeSize) -> EyePlace | None:
    """`eye` 0 is the subject's right one. None where its corners fall together."""
    outer = landmarks[_UPPER[eye, 0], :2]
    across = landmarks[_UPPER[eye, -1], :2] - outer
    unit = size.width * pose.scale
    down = unit * pose.rotation[:2, 1]
    area = float(across[0] * down[1] - across[1] * down[0])
    facing = area / max(unit * unit, 1e-12) * (1 if eye == 0 else -1)
    if abs(facing) < 1e-3 or not np.isfinite(area):
        return None
    linear = np.stack([across, down], axis=1)
    inverse = np.array([[down[1], -down[0]], [-across[1], across[0]]]) / area
    upper, lower, iris = ((landmarks[i, :2] - outer) @ inverse.T for i in (_UPPER[eye], _LOWER[eye], _IRIS[eye]))
    return EyePlace(
        np.concatenate([linear, outer[:, None]], axis=1).astype(np.float32),
        _curve(upper) + _BEYOND.astype(np.float32),
        _curve(lower) - _BEYOND.astype(np.float32),
        float((lower[1:-1, 1] - upper[1:-1, 1]).mean()),
        iris.astype(np.float32),
        _iris_disc(linear @ iris + outer - _eyeball(outer, across, pose, unit), pose, size),
        ((landmarks[_NOSE[eye], :2] - outer) @ inverse.T).astype(np.float32),
        facing,
    )


def _eyeball(outer: Array, across: Array, pose: HeadPose, unit: float) -> Array:
    """(2,) its middle in the crop."""
    inwards, down, back = EYEBALL
    return np.asarray(
        outer + (0.5 + inwards) * across + unit * (down * pose.rotation[:2, 1] + back * pose.rotation[:2, 2])
    )


def _iris_disc(off_middle: Array, pose: HeadPose, size: EyeSize) -> Array:
    """(2, 2) from the unit disc to the crop, of an iris that is seen so far from the eyeball's middle: a round one there,
    an ellipse beside it, turned with the head."""
    sideways = off_middle / (IRIS_ORBIT * size.width * pose.scale)
    length = float(np.hypot(*sideways))
    leaning = sideways / max(length, 1e-6)
    seen = np.eye(2) - (1 - np.sqrt(1 - min(length, MOST_SIDEWAYS) ** 2)) * np.outer(leaning, leaning)
    right = pose.rotation[:2, 0] / max(float(np.hypot(*pose.rotation[:2, 0])), 1e-6)
    roll = np.array([[right[0], -right[1]], [right[1], right[0]]])
    return np.asarray(size.iris_radius * pose.scale * seen @ roll, np.float32)


def lid_index(u: Array) -> NDArray[np.int_]:
    """Which sample of a lid's curve is at u."""
    step = (LID_SAMPLES - 1) / (LID_TO - LID_FROM)
    return np.clip((u - LID_FROM) * step + 0.5, 0, LID_SAMPLES - 1).astype(np.intp)


def nose_edge(nose: Array, v: Array) -> Array:
    """u from which a nose, of `EyePlace`, hides what is at v."""
    order = np.argsort(nose[..., 1], axis=1)
    lines = np.take_along_axis(nose, order[..., None], axis=1)
    edges = [np.interp(v, line[:, 1], line[:, 0]) for line in lines]
    return np.minimum(*edges).astype(np.float32)


def _curve(lid: Array) -> Array:
    """(LID_SAMPLES,) v of a lid through (9, 2) places."""
    order = np.argsort(lid[:, 0], kind="stable")
    return np.interp(_SAMPLES, lid[order, 0], lid[order, 1]).astype(np.float32)
