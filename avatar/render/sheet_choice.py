"""Which portrait's sheet draws the face: the one that has seen most of what a turned head shows.

Layers make the expression, so a portrait is chosen by its pose. Of portraits whose pose is alike, few are ever needed:
the calm ones, whose mouth is shut and whose eyes are open.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from avatar.core.arrays import Array
from avatar.face import regions as at
from avatar.face.face_model import face_model
from avatar.face.head_pose import HeadPose, head_pose, turn_between

ROLL_WEIGHT = 0.6  # of a turn in the picture's plane, which hides nothing but bends the neck
# What a portrait's looks cost, in degrees that another one may be turned further
OPEN_MOUTH = 20.0  # for lips that are one distance of the outer eye corners apart (the mouth itself is drawn apart)
SHUT_EYES = 14.0
SMALL_FACE = 8.0  # for half the size of the largest
REFERENCE = 1.5  # gained by the first portrait, which the user chose
APART = 3.0  # degrees that a further sheet must win somewhere
STAY = 4.0  # degrees by which another sheet must be better: while one comes through, two outlines show
MOST_SHEETS = 8

_LIPS = at.INNER_LIP_PAIRS[2:7]  # about the middle
_EYES = ((at.RIGHT_LID_PAIRS[1:-1], at.RIGHT_EYE), (at.LEFT_LID_PAIRS[1:-1], at.LEFT_EYE))


class SheetChoice:
    """Chooses for each frame, and stays with a choice until another is clearly better, so that nothing flickers."""

    def __init__(self, portraits: Array, usable: Collection[int]) -> None:
        """`portraits`: (T, 478, 3) landmarks. `usable`: numbers of those that may be chosen; 0 always is."""
        self._mean = face_model().mean_shape
        self._poses = [head_pose(face, self._mean) for face in portraits]
        self._costs = _costs(portraits, self._poses)
        self.sheets = self._needed(sorted({0, *usable}))
        self._current = 0

    def choose(self, driving: Array, ready: Collection[int]) -> int:
        """The portrait's number for (478, 3) driving landmarks, one of those that are `ready` (0 always is)."""
        distances = self._distances(head_pose(driving, self._mean))
        nearest = min((number for number in self.sheets if number in ready), key=lambda number: distances[number])
        if distances[nearest] < distances[self._current] - STAY:
            self._current = nearest
        return self._current

    def _distances(self, pose: HeadPose) -> Array:
        """(T,) degrees, with what each portrait's looks cost."""
        turns = np.stack([turn_between(pose.rotation, own.rotation) for own in self._poses])
        degrees = np.rad2deg(np.linalg.norm(turns * (1, 1, ROLL_WEIGHT), axis=1))
        return np.asarray(degrees + self._costs, np.float32)

    def _needed(self, usable: list[int]) -> tuple[int, ...]:
        """Numbers of the portraits that are worth a sheet: the first, then what helps the worst served pose most."""
        apart = np.stack([self._distances(self._poses[number])[usable] for number in usable])  # (pose, sheet)
        least, present, needed = apart.min(1), apart[:, 0], [0]
        while len(needed) < MOST_SHEETS:
            worst = int((present - least).argmax())
            if present[worst] - least[worst] < APART:
                break
            helper = int(apart[worst].argmin())
            needed.append(usable[helper])
            present = np.minimum(present, apart[:, helper])
        return tuple(needed)


def _costs(portraits: Array, poses: list[HeadPose]) -> Array:
    """(T,) degrees: 0 for a large, calm face."""
    shapes = np.stack([pose.remove(face) for pose, face in zip(poses, portraits, strict=True)])
    mouths = np.linalg.norm(shapes[:, _LIPS[:, 0]] - shapes[:, _LIPS[:, 1]], axis=2).mean(1)
    eyes = np.stack([_openings(shapes, pairs, ring) for pairs, ring in _EYES], axis=1)
    shut = 1 - np.clip(eyes / np.maximum(np.median(eyes, axis=0), 1e-6), 0, 1).min(1)
    sizes = np.array([pose.scale for pose in poses])
    small = np.log2(sizes.max() / sizes)
    costs = OPEN_MOUTH * mouths + SHUT_EYES * shut + SMALL_FACE * small
    costs[0] -= REFERENCE
    return np.asarray(costs, np.float32)


def _openings(shapes: Array, lids: Array, ring: tuple[int, ...]) -> Array:
    """(T,) mean distance of an eye's lids, in its width."""
    apart = np.linalg.norm(shapes[:, lids[:, 0]] - shapes[:, lids[:, 1]], axis=2).mean(1)
    width = np.linalg.norm(shapes[:, ring[0]] - shapes[:, ring[8]], axis=1)
    return np.asarray(apart / np.maximum(width, 1e-6), np.float32)
