"""Does the neck keep its length, and the head its width? Measured in drawn pictures, by marks on the portrait.

Coloured discs on chin, cheeks, brow and the neck's base ride along with whatever the renderer moves, and are found
again by their colour: no tracker has to be believed, and none finds a collar.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.core.arrays import Array, Picture
from avatar.face.body import neck_joint
from avatar.face.face_model import face_model
from avatar.face.head_pose import head_pose

BROW, CHIN, CHEEKS = 9, 199, (50, 280)
ON_FACE = (BROW, CHIN, *CHEEKS)
NECK_BASE = np.array([0.0, 1.4], np.float32)  # from the neck's joint, in distances of the outer eye corners
RADIUS = 0.06  # of the marks, in the same
SEARCH = 0.3  # around where a mark of the face shall be
COLOURS = ((0, 255, 0), (255, 0, 255), (0, 255, 255))
STRONG = 50  # of 255: how much a mark's colour must stand out
LEAST_SHARE = 0.3  # of a mark's area: the middle of a remnant, where a network has painted, is not the mark's


@dataclass(frozen=True)
class Marked:
    """A portrait with marks, and their colour."""

    picture: Picture  # (S, S, 3)
    colour: tuple[int, int, int]


@dataclass(frozen=True)
class Lengths:
    """Of one picture; each is constant where the person is moved as a whole."""

    neck: float  # from the joint between the ears to the neck's base, in distances of the outer eye corners
    width: float  # between the cheeks over the height from brow to chin, against the same where the head was sent


def mark(portrait: Picture, landmarks: Array) -> Marked | None:
    """The (S, S, 3) portrait with marks, by landmarks in [0, 1]. None where it ends above the neck's base."""
    size, pose = len(portrait), head_pose(landmarks, face_model().mean_shape)
    base = neck_joint(pose)[:2] + pose.scale * NECK_BASE
    radius = RADIUS * pose.scale
    reach = radius + 2 / size  # a mark that touches the picture's edge is taken for one that it cuts
    if not (reach < base).all() or not (base < 1 - reach).all():
        return None
    colour = min(COLOURS, key=lambda one: float(np.quantile(_likeness(portrait, one), 0.999)))
    picture = portrait.copy()
    for place in (*landmarks[list(ON_FACE), :2], base):
        centre = np.rint((place * size - 0.5) * 16).astype(int).tolist()
        cv2.circle(picture, centre, round(radius * size * 16), colour, -1, cv2.LINE_AA, 4)
    return Marked(picture, colour)


def measure(picture: Picture, colour: tuple[int, int, int], goal: Array) -> Lengths | None:
    """Of an (S, S, 3) picture whose head was sent to the landmarks `goal`, in [0, 1]. None where a mark is lost."""
    pose = head_pose(goal, face_model().mean_shape)
    likeness = _likeness(picture, colour)
    sent = goal[list(ON_FACE), :2]
    least_px = LEAST_SHARE * np.pi * (RADIUS * pose.scale * len(picture)) ** 2
    found = [_centre(likeness, place, SEARCH * pose.scale, least_px) for place in sent]
    seen = np.array([place for place in found if place is not None])
    if len(seen) < len(sent):
        return None
    below = likeness.copy()
    below[: int((seen[1, 1] + 2 * RADIUS * pose.scale) * len(picture))] = 0
    base = _largest(below, least_px)
    if base is None:
        return None
    # the head may be drawn elsewhere than it was sent: its joint goes with the marks
    scale, turn, shift = _similarity(sent, seen)
    joint = scale * turn @ neck_joint(pose)[:2] + shift
    return Lengths(float(np.linalg.norm(base - joint)) / (scale * pose.scale), _width(seen) / _width(sent))


def spread(lengths: Sequence[float]) -> float:
    """Standard deviation over mean."""
    return float(np.std(lengths) / np.mean(lengths))


def farthest(lengths: Sequence[float], at_rest: float) -> float:
    """The greatest change from rest, as a share."""
    return float(np.abs(np.array(lengths) / at_rest - 1).max())


def _width(marks: NDArray[np.floating]) -> float:
    return float(np.linalg.norm(marks[2] - marks[3]) / np.linalg.norm(marks[0] - marks[1]))


def _likeness(picture: Picture, colour: tuple[int, int, int]) -> NDArray[np.float32]:
    """(S, S): by how much the colour's channels outshine the others; 0 below STRONG."""
    with_it = np.array(colour) > 0
    values = picture.astype(np.float32)
    stands_out = values[..., with_it].min(-1) - values[..., ~with_it].max(-1)
    return np.where(stands_out > STRONG, stands_out, 0)


def _centre(likeness: NDArray[np.float32], near: Array, reach: float, least_px: float) -> NDArray[np.float64] | None:
    """Of the mark within `reach` of a place, all in [0, 1]. None where it is too small."""
    size = len(likeness)
    rows, columns = np.nonzero(likeness)
    places = np.stack([columns + 0.5, rows + 0.5], 1) / size
    inside = np.linalg.norm(places - near, axis=1) < reach
    if inside.sum() < least_px:
        return None
    weights = likeness[rows[inside], columns[inside]]
    return np.asarray(np.average(places[inside], axis=0, weights=weights), np.float64)


def _largest(likeness: NDArray[np.float32], least_px: float) -> NDArray[np.float64] | None:
    """The centre of the largest mark, in [0, 1]. None where it is too small, or cut by the picture's edge."""
    _, _, about, centres = cv2.connectedComponentsWithStats((likeness > 0).astype(np.uint8))
    if len(about) < 2:
        return None
    number = 1 + int(about[1:, cv2.CC_STAT_AREA].argmax())
    left, top, width, height, area = about[number]
    if area < least_px or min(left, top) == 0 or max(left + width, top + height) >= len(likeness):
        return None
    return np.asarray((centres[number] + 0.5) / len(likeness), np.float64)


def _similarity(before: Array, after: NDArray[np.float64]) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """(scale, rotation (2, 2), shift (2,)) that brings the places before nearest to those after (Umeyama, 1991)."""
    a, b = before - before.mean(0), after - after.mean(0)
    u, spread_, vt = np.linalg.svd(b.T @ a)
    sign = np.array([1.0, np.sign(np.linalg.det(u @ vt))])
    turn = (u * sign) @ vt
    scale = float((spread_ * sign).sum() / (a**2).sum())
    return scale, turn, after.mean(0) - scale * turn @ before.mean(0)
