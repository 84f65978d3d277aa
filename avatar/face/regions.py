"""The regions of the face: index lists into MediaPipe's 478 landmarks, and the part that each landmark moves with.

"Right" is the subject's right.

Source: mediapipe/modules/face_geometry/data/canonical_face_model_uv_visualization.png and face_mesh_connections.py.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from avatar.core.arrays import Array
from avatar.face.face_model import face_model

FACE_OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150,
    136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
LIPS_OUTER = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146)
LIPS_INNER = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95)
RIGHT_EYE = (33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7)
LEFT_EYE = (263, 466, 388, 387, 386, 385, 384, 398, 362, 382, 381, 380, 374, 373, 390, 249)
RIGHT_IRIS = (469, 470, 471, 472)
LEFT_IRIS = (474, 475, 476, 477)
RIGHT_IRIS_CENTRE, LEFT_IRIS_CENTRE = 468, 473
RIGHT_BROW = (70, 63, 105, 66, 107)
LEFT_BROW = (300, 293, 334, 296, 336)
NOSE_BRIDGE = (168, 6, 197, 195, 5, 4)
NOSE_BASE = (129, 98, 97, 2, 326, 327, 358)
CHEEKS = (50, 280, 205, 425, 123, 352, 187, 411, 117, 346, 207, 427)
EYE_CORNERS_OUTER = (33, 263)

# (upper, lower) points that touch when the mouth or an eye is shut
INNER_LIP_PAIRS = np.array(
    [(191, 95), (80, 88), (81, 178), (82, 87), (13, 14), (312, 317), (311, 402), (310, 318), (415, 324)]
)
OUTER_LIP_PAIRS = np.array(
    [(185, 146), (40, 91), (39, 181), (37, 84), (0, 17), (267, 314), (269, 405), (270, 321), (409, 375)]
)
RIGHT_LID_PAIRS = np.array([(246, 7), (161, 163), (160, 144), (159, 145), (158, 153), (157, 154), (173, 155)])
LEFT_LID_PAIRS = np.array([(466, 249), (388, 390), (387, 373), (386, 374), (385, 380), (384, 381), (398, 382)])

# Points that hardly move with the expression: they define the head's pose
RIGID = (
    10, 151, 9, 8, 168, 6, 197, 195, 5, 4, 33, 133, 362, 263, 127, 356, 234, 454, 93, 323, 21, 251, 54, 284, 103, 332,
    67, 297, 109, 338, 98, 327, 2,
)  # fmt: skip

_IRISES = (RIGHT_IRIS_CENTRE, *RIGHT_IRIS), (LEFT_IRIS_CENTRE, *LEFT_IRIS)
# A landmark moves with the part whose points are nearest on the mean face.
_SEEDS: dict[str, tuple[int, ...]] = {
    "mouth": (*LIPS_OUTER, *LIPS_INNER, *FACE_OVAL[13:24], *CHEEKS[2:4], *CHEEKS[6:8], *CHEEKS[10:]),
    "right eye": RIGHT_EYE,
    "left eye": LEFT_EYE,
    "brows": RIGHT_BROW + LEFT_BROW,
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
