"""How far lips and lids stand apart, and how to set it: what makes mouths and eyes that really shut."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from avatar.core.arrays import Array
from avatar.face.face_model import face_model
from avatar.face.regions import INNER_LIP_PAIRS, LEFT_LID_PAIRS, OUTER_LIP_PAIRS, RIGHT_LID_PAIRS
from avatar.face.state import BLENDSHAPE_INDEX

# Openness, in shares of an eye's own, of lids that the generator draws as shut: where MediaPipe puts those of shut
# eyes, from which it learnt. Nearer to 0 the warp folds, and the open eye of the portrait shines through.
DRAWN_SHUT = 0.14

# A lip's height, in shares of its own at rest: where there is less, the warp folds, and chin and nose are torn open
THINNEST_LIP, THICKEST_LIP = 0.5, 1.6
_LIPS = (  # outer and inner edge of the upper and the lower lip
    np.stack([OUTER_LIP_PAIRS[:, 0], INNER_LIP_PAIRS[:, 0]], 1),
    np.stack([OUTER_LIP_PAIRS[:, 1], INNER_LIP_PAIRS[:, 1]], 1),
)


def gaps(shape: Array, pairs: NDArray[np.int_]) -> Array:
    """(n,) signed vertical distances lower − upper in a pose-free face (y down): negative where they cross."""
    return np.asarray(shape[pairs[:, 1], 1] - shape[pairs[:, 0], 1], np.float32)


def mouth_width(shape: Array) -> float:
    return float(np.linalg.norm(shape[61] - shape[291]))


def mouth_size(shape: Array) -> Array:
    """(3,) across, down and deep: its width, from the nose to the chin, and as wide as deep."""
    width = mouth_width(shape)
    return np.array([width, float(shape[152, 1] - shape[2, 1]), width], np.float32)


def eye_width(shape: Array, pairs: NDArray[np.int_]) -> float:
    corners = (33, 133) if pairs is RIGHT_LID_PAIRS else (263, 362)
    return float(np.linalg.norm(shape[corners[0]] - shape[corners[1]]))


def set_mouth_gaps(shape: Array, wanted: Array, upper: float = 0.5) -> Array:
    """A copy of a pose-free (478, 3) face whose inner-lip gaps are `wanted` (9,); the outer lips move along.

    `upper`: the upper lip's share of it.
    """
    result = shape.copy()
    change = np.maximum(wanted, 0.0) - gaps(shape, INNER_LIP_PAIRS)
    for pairs in (INNER_LIP_PAIRS, OUTER_LIP_PAIRS):
        result[pairs[:, 0], 1] -= upper * change
        result[pairs[:, 1], 1] += (1 - upper) * change
    return result


def shut_mouth(shape: Array) -> Array:
    """A copy of a pose-free (478, 3) face whose jaw is closed, or opened, until its lips touch.

    What blendshapes do not explain of a face still has its lips apart, one 2 mm and the other 7 (the mean face 7).
    Against the median of frames in which they touch, of 11 people, in mm: upper lip 0.6 low, chin 1.4 high.
    """
    jaw = face_model().expression_basis[BLENDSHAPE_INDEX["jawOpen"]]
    fall = gaps(jaw, INNER_LIP_PAIRS)
    opened = float(gaps(shape, INNER_LIP_PAIRS) @ fall / (fall @ fall))
    return set_mouth_gaps(shape - opened * jaw, np.zeros(len(fall), np.float32))


def lip_heights(shape: Array) -> Array:
    """(2, 9) of the upper and the lower lip in a pose-free face: negative where their edges cross."""
    upper, lower = (gaps(shape, lip) for lip in _LIPS)
    return np.stack([upper, -lower])


def set_lip_heights(shape: Array, wanted: Array) -> Array:
    """A copy of a pose-free (478, 3) face whose lips are `wanted` (2, 9) high. Their inner edges stay."""
    result = shape.copy()
    for lip, height, down in zip(_LIPS, wanted, (-1, 1), strict=True):
        result[lip[:, 0], 1] = result[lip[:, 1], 1] + down * height
    return result


def set_lid_gaps(shape: Array, pairs: NDArray[np.int_], wanted: Array) -> Array:
    """A copy of a pose-free (478, 3) face with one eye's lids `wanted` (7,) apart; the upper lid moves most."""
    result = shape.copy()
    change = np.maximum(wanted, 0.0) - gaps(shape, pairs)
    result[pairs[:, 0], 1] -= 0.75 * change
    result[pairs[:, 1], 1] += 0.25 * change
    return result


def uncross(shape: Array) -> Array:
    """A copy in which no lip or lid has passed its partner."""
    result = set_mouth_gaps(shape, gaps(shape, INNER_LIP_PAIRS))
    for pairs in (RIGHT_LID_PAIRS, LEFT_LID_PAIRS):
        result = set_lid_gaps(result, pairs, gaps(result, pairs))
    return result
