"""Fit the linear face model (`avatar.face.face_model`) on a training pack.

Usage: python -m avatar.learning.fit_face_model PACK_FOLDER OUT.safetensors
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file
from scipy.optimize import linear_sum_assignment
from scipy.spatial.transform import Rotation

from avatar.core.arrays import Array
from avatar.face.head_pose import head_pose
from avatar.face.regions import RIGID
from avatar.learning.dataset.pack import Pack, open_pack

ROUNDS = 6  # of aligning all faces to their own median
RIDGE = 2e-4  # of the number of frames: keeps blendshapes that hardly occur from explaining noise

# landmarks that face each other across the midline, and some on it: enough to turn the mean face to the front
_SIDES = (
    (33, 263), (133, 362), (61, 291), (234, 454), (127, 356), (93, 323), (172, 397), (70, 300), (105, 334), (107, 336),
    (159, 386), (145, 374), (98, 327), (129, 358), (50, 280), (205, 425),
)  # fmt: skip
_MIDLINE = (10, 151, 9, 8, 168, 6, 197, 195, 5, 4, 2, 0, 17, 152)
_LEFT = [a for a, _ in _SIDES] + [b for _, b in _SIDES] + list(_MIDLINE)
_RIGHT = [b for _, b in _SIDES] + [a for a, _ in _SIDES] + list(_MIDLINE)


def fit(pack: Pack) -> dict[str, NDArray[np.generic]]:
    """Mean shape from the stills, and a ridge regression from blendshapes to landmarks within each clip."""
    mean, mirror = _mean_shape(pack.landmarks[pack.clip < 0])
    return {
        "mean_shape": mean.astype(np.float32),
        "expression_basis": _expression_basis(pack, mean),
        "mirror": mirror.astype(np.int32),
    }


def _mean_shape(faces: Array) -> tuple[Array, NDArray[np.int_]]:
    mean = faces[0] - faces[0].mean(0)
    mean = mean / np.linalg.norm(mean[33, :2] - mean[263, :2])
    for _ in range(ROUNDS):
        mean = np.median(np.stack([head_pose(face, mean).remove(face) for face in faces]), axis=0)
    for _ in range(3):
        for _ in range(5):
            mean = _turn_to_front(mean)
        reflected = mean * np.array([-1, 1, 1])
        distances = ((reflected[:, None] - mean[None]) ** 2).sum(-1)
        mirror = np.asarray(linear_sum_assignment(distances)[1])
        mean = (mean + reflected[mirror]) / 2
    mean = mean - mean[list(RIGID)].mean(0) * np.array([0, 1, 1])
    return (mean / np.linalg.norm(mean[33, :2] - mean[263, :2])).astype(np.float32), mirror


def _turn_to_front(mean: Array) -> Array:
    """Turn a shape half of the way to its mirror image, and put its midline at x = 0."""
    ours, theirs = mean[_LEFT], (mean * np.array([-1, 1, 1]))[_RIGHT]
    u, _, vt = np.linalg.svd((theirs - theirs.mean(0)).T @ (ours - ours.mean(0)))
    turn = u @ np.diag([1, 1, np.sign(np.linalg.det(u @ vt))]) @ vt
    half = Rotation.from_rotvec(Rotation.from_matrix(turn).as_rotvec() / 2).as_matrix()
    mean = mean @ half.T
    return np.asarray(mean - np.array([mean[_LEFT, 0].mean(), 0, 0]), np.float32)


def _expression_basis(pack: Pack, mean: Array) -> Array:
    scores, shapes = [], []
    for clip in range(int(pack.clip.max()) + 1):
        rows = np.flatnonzero(pack.clip == clip)
        found = np.stack([head_pose(face, mean).remove(face) for face in pack.landmarks[rows]]).reshape(len(rows), -1)
        shapes.append(found - found.mean(0))
        scores.append(pack.blendshapes[rows] - pack.blendshapes[rows].mean(0))
    x, y = np.concatenate(scores), np.concatenate(shapes)
    ridge = RIDGE * len(x) * np.eye(x.shape[1])
    basis = np.linalg.solve(x.T @ x + ridge, x.T @ y)
    return np.asarray(basis.reshape(x.shape[1], *mean.shape), np.float32)


if __name__ == "__main__":
    save_file(fit(open_pack(Path(sys.argv[1]))), sys.argv[2])
