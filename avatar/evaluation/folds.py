"""Does a flow fold or stretch the face? Read from the renderer's own backward flow, never from its picture.

A tracker cannot say: it fits a face that does not fold to whatever it sees.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from avatar.core.arrays import Array
from avatar.evaluation.face_masks import Mask

STRETCH = 3.0  # in the direction in which the portrait is stretched most


def fold_rate(flow: Array, oval: Mask) -> float:
    """Share of the oval (S, S), in [0, 1], where a backward flow (S, S, 2) in [-1, 1] has det J < 0.

    There the portrait lies on the picture mirrored: it was folded over. What is not the portrait's (NaN) does not fold.
    """
    return _share(_det(_jacobian(flow)) < 0, oval)


def stretch_rate(flow: Array, oval: Mask) -> float:
    """Share of the oval, in [0, 1], where the flow stretches the portrait more than STRETCH times in some direction:
    where the smaller singular value of J is below 1 / STRETCH."""
    jacobian = _jacobian(flow)
    # of a 2×2 matrix: (σ₁ + σ₂)² = ‖J‖² + 2 |det J| and (σ₁ − σ₂)² = ‖J‖² − 2 |det J|
    norm, twice = (jacobian**2).sum((-2, -1)), 2 * np.abs(_det(jacobian))
    smaller = (np.sqrt(norm + twice) - np.sqrt(np.maximum(norm - twice, 0))) / 2
    return _share(smaller < 1 / STRETCH, oval)


def _jacobian(flow: Array) -> NDArray[np.float64]:
    """(S, S, 2, 2): the flow's change with a step right and with a step down, in steps."""
    steps = flow.astype(np.float64) * (len(flow) / 2)
    return np.stack([np.gradient(steps, axis=1), np.gradient(steps, axis=0)], axis=-1)


def _det(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(matrix[..., 0, 0] * matrix[..., 1, 1] - matrix[..., 0, 1] * matrix[..., 1, 0])


def _share(where: NDArray[np.bool_], oval: Mask) -> float:
    """NaN for an oval that lies outside of the picture."""
    return float(where[oval].mean()) if oval.any() else float("nan")
