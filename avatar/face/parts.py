"""Which part of the face each of the 478 landmarks moves with."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from avatar.core.arrays import Array
from avatar.face import regions as at
from avatar.face.face_model import face_model

_IRISES = (468, *at.RIGHT_IRIS), (473, *at.LEFT_IRIS)
# A landmark moves with the part whose points are nearest on the mean face.
_SEEDS: dict[str, tuple[int, ...]] = {
    "mouth": (*at.LIPS_OUTER, *at.LIPS_INNER, *at.FACE_OVAL[13:24], *at.CHEEKS[2:4], *at.CHEEKS[6:8], *at.CHEEKS[10:]),
    "right eye": at.RIGHT_EYE,
    "left eye": at.LEFT_EYE,
    "brows": at.RIGHT_BROW + at.LEFT_BROW,
    "skull": (10, 168, 6, 197, 195, 5, 4, 127, 356, 234, 454, 21, 251, 98, 327, 50, 280, 123, 352),
}
_SOFTNESS = 0.12  # distances of the outer eye corners over which one part passes into the next


@lru_cache(maxsize=1)
def landmark_groups() -> NDArray[np.int_]:
    """(478, 3) numbers of the parts that one filter calms together: those above, and each iris by itself."""
    groups = _distances().argmin(0)
    for number, iris in enumerate(_IRISES, len(_SEEDS)):
        groups[list(iris)] = number
    return np.repeat(groups[:, None], 3, axis=1)


@lru_cache(maxsize=1)
def part_shares() -> dict[str, Array]:
    """(478, 1) shares in [0, 1] that "mouth", "eyes" and "brows" have in each landmark; the skull has the rest."""
    nearness = np.exp(-((_distances() / _SOFTNESS) ** 2)) + 1e-9 * np.exp(-_distances())
    shares = dict(zip(_SEEDS, (nearness / nearness.sum(0)).astype(np.float32)[..., None], strict=True))
    return {"mouth": shares["mouth"], "eyes": shares["right eye"] + shares["left eye"], "brows": shares["brows"]}


def _distances() -> NDArray[np.float64]:
    """(parts, 478) to the nearest point of each part."""
    mean = face_model().mean_shape.astype(np.float64)
    return np.stack([np.linalg.norm(mean[:, None] - mean[list(seeds)], axis=2).min(1) for seeds in _SEEDS.values()])
