"""Head pose and pose-free faces: landmarks = scale · rotation · shape + translation (weak perspective)."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from avatar.core.arrays import Array
from avatar.face.regions import RIGID


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
    index = list(RIGID)
    reference, seen = mean_shape[index].astype(np.float64), landmarks[index].astype(np.float64)
    reference_centre, seen_centre = reference.mean(0), seen.mean(0)
    reference, seen = reference - reference_centre, seen - seen_centre
    u, spread, vt = np.linalg.svd(seen.T @ reference)
    sign = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    rotation = (u * sign) @ vt
    scale = float((spread * sign).sum() / (reference**2).sum())
    translation = seen_centre - scale * rotation @ reference_centre
    return HeadPose(rotation.astype(np.float32), scale, translation.astype(np.float32))


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
