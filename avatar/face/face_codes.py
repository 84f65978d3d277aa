"""How far faces are apart: in pose, in the whole expression, in mouth and eyes alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avatar.core.arrays import Array
from avatar.face import regions as at
from avatar.face.face_model import face_model
from avatar.face.head_pose import head_pose

_MOUTH = np.array(at.LIPS_OUTER + at.LIPS_INNER)
_EYES = np.array(at.RIGHT_EYE + at.LEFT_EYE + at.RIGHT_IRIS + at.LEFT_IRIS)
_FACE = np.array(at.FACE_OVAL[12:25] + at.RIGHT_BROW + at.LEFT_BROW + at.LIPS_OUTER[::2])  # jaw, brows, lips
TURN_WEIGHT = {"face": 0.3, "mouth": 0.15, "eyes": 0.15}  # of the turn (radians, about) against distances on the face
REGIONS = tuple(TURN_WEIGHT)


@dataclass(frozen=True)
class FaceCodes:
    """What distances of N faces go by, in distances of the outer eye corners.

    Mouth and eyes: pose-free points. Face: points where they stand in the picture.
    """

    points: dict[str, Array]  # by region, (N, n, 2)
    facing: Array  # (N, 3) unit vectors out of the face

    def distances(self, other: FaceCodes, region: str) -> Array:
        """(N,) distances to the one face of `other`."""
        apart = np.linalg.norm(self.points[region] - other.points[region], axis=2).mean(1)
        turned = np.linalg.norm(self.facing - other.facing, axis=1)
        return np.asarray(apart + TURN_WEIGHT[region] * turned, np.float32)

    def rows(self, index: NDArray[np.int_]) -> FaceCodes:
        return FaceCodes({name: values[index] for name, values in self.points.items()}, self.facing[index])


def face_codes(landmarks: Array) -> FaceCodes:
    """Of (N, 478, 3) landmarks."""
    mean = face_model().mean_shape
    poses = [head_pose(face, mean) for face in landmarks]
    shapes = np.stack([pose.remove(face)[:, :2] for pose, face in zip(poses, landmarks, strict=True)])
    scale = np.array([pose.scale for pose in poses], np.float32)[:, None, None]
    points = {"face": landmarks[:, _FACE, :2] / scale, "mouth": shapes[:, _MOUTH], "eyes": shapes[:, _EYES]}
    return FaceCodes(points, np.stack([pose.rotation[:, 2] for pose in poses]))
