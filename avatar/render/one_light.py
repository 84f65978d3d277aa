"""One light for all portraits: each gets the colours that the reference's skin has in the same places of the face.

Cameras change exposure and white balance while they film, and photos are taken in different rooms; a sheet that fades
into another must not show it. Only what is slow over the face changes: pores, lashes and wrinkles stay a portrait's.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.core.arrays import Array, Picture
from avatar.face import regions as at
from avatar.face.face_model import face_model
from avatar.face.head_pose import head_pose
from avatar.render.relief_mesh import FACE_POINTS, face_triangles

AVERAGED = 0.1  # how far around a point its colour is averaged, in distances of the outer eye corners
SLOW = 0.25  # over which the change of light varies, likewise
LEAST_FACING, FULL_FACING = 0.2, 0.6  # cosines between which a place of the face is trusted
MOST, MOST_LOCAL = 1.6, 1.3  # a larger ratio, of the whole and of a part, is no light but a shadow, a hand or a beard
DARKEST = 4.0  # of 255: below, a colour's ratio to another tells nothing
PRIOR = 4.0  # points' worth of trust that a place of the face is lit as its whole is
GRID = 64  # places along each side at which the change of light is found

_NO_SKIN = {
    *at.LIPS_OUTER, *at.LIPS_INNER, *at.RIGHT_EYE, *at.LEFT_EYE, *at.RIGHT_BROW, *at.LEFT_BROW, *at.FACE_OVAL,
    *at.INNER_LIP_PAIRS.ravel().tolist(),
}  # fmt: skip
_SKIN = np.array([point for point in range(FACE_POINTS) if point not in _NO_SKIN])


class OneLight:
    """The light of one portrait (S, S, 3) with (478, 3) landmarks in [0, 1], for others of the same person."""

    def __init__(self, portrait: Picture, landmarks: Array) -> None:
        self._tones = np.log(_tones(portrait, landmarks))
        self._facing = _facing(landmarks)

    def on(self, portrait: Picture, landmarks: Array) -> Picture:
        """Another portrait (S, S, 3) in this light."""
        size = len(portrait)
        change = self._tones - np.log(_tones(portrait, landmarks))
        trust = _trust(np.minimum(self._facing, _facing(landmarks)))
        if not trust.any():
            return portrait
        whole = _weighted_median(change, trust)
        local = np.clip(change - whole, -np.log(MOST_LOCAL), np.log(MOST_LOCAL))
        whole = np.clip(whole, -np.log(MOST), np.log(MOST))
        scale = head_pose(landmarks, face_model().mean_shape).scale
        along = (np.arange(GRID, dtype=np.float32) + 0.5) / GRID
        near = [np.exp(-(((along[:, None] - landmarks[_SKIN, axis]) / (SLOW * scale)) ** 2)) for axis in (0, 1)]
        weight = np.einsum("xp,yp,p->yxp", *near, trust, optimize=True)
        slow = (weight @ local) / (weight.sum(2, keepdims=True) + PRIOR)
        factors = cv2.resize(np.exp(slow + whole).astype(np.float32), (size, size), interpolation=cv2.INTER_LINEAR)
        return np.asarray(cv2.multiply(portrait, factors, dtype=cv2.CV_8U), np.uint8)


def _tones(portrait: Picture, landmarks: Array) -> Array:
    """(n, 3) colours of the skin about its points."""
    size = len(portrait)
    reach = max(int(AVERAGED * head_pose(landmarks, face_model().mean_shape).scale * size) | 1, 3)
    smooth = cv2.blur(portrait, (reach, reach))
    x, y = np.clip((landmarks[_SKIN, :2] * size).astype(int), 0, size - 1).T
    return np.asarray(np.maximum(smooth[y, x], DARKEST), np.float32)


def _facing(landmarks: Array) -> Array:
    """(n,) cosine between the skin's normal at each point and the way to the viewer."""
    triangles = face_triangles()
    corners = landmarks[triangles]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    at_points = np.zeros((FACE_POINTS, 3), np.float32)
    for corner in range(3):
        np.add.at(at_points, triangles[:, corner], normals)
    return np.asarray(at_points[_SKIN, 2] / np.maximum(np.linalg.norm(at_points[_SKIN], axis=1), 1e-12), np.float32)


def _trust(facing: Array) -> Array:
    return np.asarray(np.clip((facing - LEAST_FACING) / (FULL_FACING - LEAST_FACING), 0, 1), np.float32)


def _weighted_median(values: Array, weights: Array) -> NDArray[np.float32]:
    """(3,) of (n, 3)."""
    order = values.argsort(axis=0)
    passed = np.cumsum(weights[order], axis=0)
    middle = (passed < passed[-1] / 2).sum(0)
    return np.asarray(np.take_along_axis(values, order, axis=0)[middle, np.arange(values.shape[1])], np.float32)
