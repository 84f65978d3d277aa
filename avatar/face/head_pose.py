"""Head pose and pose-free faces: landmarks = scale · rotation · shape + translation (weak perspective)."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.core.arrays import Array
from avatar.face.regions import RIGID

_RIGID = np.array(RIGID)


@dataclass(frozen=True, slots=True)
class HeadPose:
    """A similarity from the pose-free face to a picture. Units are the picture's (pixels, or [0, 1] of a crop)."""

    rotation: Array  # (3, 3)
    scale: float  # the distance of the outer eye corners of the mean face, about
    translation: Array  # (3,)

    def apply(self, shape: Array) -> Array:
        """(478, 3) pose-free shape to landmarks."""
        return np.asarray(self.scale * shape @ self.rotation.T + self.translation, np.float32)

    def remove(self, landmarks: Array) -> Array:
        """(478, 3) landmarks to the pose-free shape."""
        return np.asarray((landmarks - self.translation) @ self.rotation / self.scale, np.float32)


def head_pose(landmarks: Array, mean_shape: Array) -> HeadPose:
    """The pose that brings the rigid points of the mean face closest to the landmarks (Umeyama, PAMI 1991)."""
    reference, seen = mean_shape[_RIGID].astype(np.float64), landmarks[_RIGID].astype(np.float64)
    reference_centre, seen_centre = reference.sum(0) / len(_RIGID), seen.sum(0) / len(_RIGID)
    reference -= reference_centre
    seen -= seen_centre
    spread, u, vt = cv2.SVDecomp(seen.T @ reference)  # half the time of numpy's, at nine numbers
    rotation, least = u @ vt, float(spread[2, 0])
    if _determinant(rotation) < 0:  # a mirror image
        u[:, 2] *= -1
        rotation, least = u @ vt, -least
    scale = (float(spread[0, 0]) + float(spread[1, 0]) + least) / float(np.vdot(reference, reference))
    translation = seen_centre - scale * rotation @ reference_centre
    return HeadPose(rotation.astype(np.float32), scale, translation.astype(np.float32))


def _determinant(matrix: NDArray[np.float64]) -> float:
    (a, b, c), (d, e, f), (g, h, i) = matrix.tolist()
    return float(a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g))


def to_vector(pose: HeadPose) -> Array:
    """(7,) rotation vector (radians about x, y, z), logarithm of the scale, translation: what can be averaged."""
    turn = cv2.Rodrigues(pose.rotation.astype(np.float64))[0].reshape(3)
    return np.array([*turn, np.log(pose.scale), *pose.translation], np.float32)


def from_vector(vector: Array) -> HeadPose:
    """The pose of a `to_vector`."""
    return HeadPose(turned_by(vector[:3]), float(np.exp(vector[3])), np.asarray(vector[4:], np.float32))


def turned_by(rotation_vector: Array) -> Array:
    """(3, 3) of a rotation vector in radians."""
    return np.asarray(cv2.Rodrigues(np.asarray(rotation_vector, np.float64))[0], np.float32)


def turn_between(to: Array, base: Array) -> Array:
    """(3,) rotation vector, in the picture's axes, that brings the rotation `base` to the rotation `to`."""
    return np.asarray(cv2.Rodrigues((to @ base.T).astype(np.float64))[0].reshape(3), np.float32)
