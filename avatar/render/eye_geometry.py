"""Where one eye is in a face: its plane, the curves of its lids, and the disc of its iris.

An eye's own places are (u, v): u runs from the outer corner, 0, to the inner one, 1, and v down the face, in the same
unit. Lids move in them and the head's turn does not show, so that what was seen of one face can be drawn on another.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import hypot, sqrt

import numpy as np
from numpy.typing import NDArray

from avatar.core.arrays import Array
from avatar.face import regions as at
from avatar.face.gaze import IRIS_ORBIT
from avatar.face.head_pose import HeadPose

LID_FROM, LID_TO = -0.2, 1.2  # u of the first and the last sample of a lid's curve
LID_SAMPLES = 281
# In widths of the eye: the eyeball's middle from the one between the corners, towards the nose, down and into the head,
# where it explains best the irises of 58 people who look into the camera
EYEBALL = (-0.056, -0.07, 0.14)
FLAT = 1e-3  # cosine of the turn beyond which an eye has no plane
MOST_SIDEWAYS = 0.8  # sine beyond which an iris would be a line

_SAMPLES = np.linspace(LID_FROM, LID_TO, LID_SAMPLES)
_BEYOND = np.maximum(np.maximum(-_SAMPLES, _SAMPLES - 1), 0).astype(np.float32)
_RINGS = (at.RIGHT_EYE, at.LEFT_EYE)
_UPPER = np.array([ring[:9] for ring in _RINGS])  # both from the outer to the inner corner
_LOWER = np.array([(ring[0], *ring[:7:-1]) for ring in _RINGS])
_NOSE = np.array([[at.NOSE_BRIDGE[:4], flank] for flank in ((193, 122, 196, 3), (417, 351, 419, 248))])
_IRIS = np.array([at.RIGHT_IRIS_CENTRE, at.LEFT_IRIS_CENTRE])
_PLACES = np.concatenate([_UPPER, _LOWER, _NOSE.reshape(2, -1), _IRIS[:, None]], axis=1)
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
    across_x, across_y = (float(way) for way in landmarks[_UPPER[eye, -1], :2] - outer)
    unit = size.width * pose.scale
    down_x, down_y = (unit * float(way) for way in pose.rotation[:2, 1])
    area = across_x * down_y - across_y * down_x
    facing = area / max(unit * unit, 1e-12) * (1 if eye == 0 else -1)
    if not abs(facing) > FLAT:
        return None
    to_crop = np.array([[across_x, down_x, outer[0]], [across_y, down_y, outer[1]]], np.float32)
    inverse = np.array([[down_y, -across_y], [-down_x, across_x]]) / area  # transposed
    places = (landmarks[_PLACES[eye], :2] - outer) @ inverse
    upper, lower, nose, iris = places[:9], places[9:18], places[18:26].reshape(2, 4, 2), places[26]
    middle = to_crop[:, 2] + (0.5 + EYEBALL[0]) * to_crop[:, 0] + EYEBALL[1] * to_crop[:, 1]
    off_middle = landmarks[_IRIS[eye], :2] - middle - unit * EYEBALL[2] * pose.rotation[:2, 2]
    return EyePlace(
        to_crop,
        _curve(upper) + _BEYOND,
        _curve(lower) - _BEYOND,
        float((lower[1:-1, 1] - upper[1:-1, 1]).mean()),
        iris.astype(np.float32),
        _iris_disc(off_middle, pose, size),
        nose.astype(np.float32),
        facing,
    )


def _iris_disc(off_middle: Array, pose: HeadPose, size: EyeSize) -> Array:
    """(2, 2) from the unit disc to the crop, of an iris that is seen so far from the eyeball's middle: round there, an
    ellipse beside it, turned with the head."""
    orbit = IRIS_ORBIT * size.width * pose.scale
    x, y = (float(way) / orbit for way in off_middle)
    length = hypot(x, y)
    # what the turn takes of the disc, along the way from the middle
    taken = (1 - sqrt(1 - min(length, MOST_SIDEWAYS) ** 2)) / max(length, 1e-6) ** 2
    seen = np.array([[1 - taken * x * x, -taken * x * y], [-taken * x * y, 1 - taken * y * y]])
    right_x, right_y = (float(way) for way in pose.rotation[:2, 0])
    roll = np.array([[right_x, -right_y], [right_y, right_x]]) / max(hypot(right_x, right_y), 1e-6)
    return np.asarray(size.iris_radius * pose.scale * seen @ roll, np.float32)


def lid_index(u: NDArray[np.floating]) -> NDArray[np.intp]:
    """Which sample of a lid's curve is at u."""
    step = (LID_SAMPLES - 1) / (LID_TO - LID_FROM)
    return np.asarray(np.clip((u - LID_FROM) * step + 0.5, 0, LID_SAMPLES - 1), np.intp)


def nose_edge(nose: Array, v: Array) -> Array:
    """u from which a nose, of `EyePlace`, hides what is at v."""
    order = np.argsort(nose[..., 1], axis=1)
    lines = np.take_along_axis(nose, order[..., None], axis=1)
    edges = [np.interp(v, line[:, 1], line[:, 0]) for line in lines]
    return np.asarray(np.minimum(*edges), np.float32)


def _curve(lid: NDArray[np.floating]) -> Array:
    """(LID_SAMPLES,) v of a lid through (9, 2) places."""
    order = np.argsort(lid[:, 0], kind="stable")
    return np.asarray(np.interp(_SAMPLES, lid[order, 0], lid[order, 1]), np.float32)
