"""AKD: how far the face's points lie from where the driver's are."""

import numpy as np

from avatar.core.arrays import Array


def landmark_distance(driver: Array, output: Array) -> float:
    """Mean distance in the picture's plane, in the unit of both (478, 2 or 3) arrays."""
    return float(np.linalg.norm(driver[:, :2] - output[:, :2], axis=1).mean())
