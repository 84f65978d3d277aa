"""AKD: how far the face's points lie from where the driver's are."""

import numpy as np
from numpy.typing import NDArray


def landmark_distance(driver: NDArray[np.float32], output: NDArray[np.float32]) -> float:
    """Mean distance in the picture's plane, in the unit of both (478, 2 or 3) arrays."""
    return float(np.linalg.norm(driver[:, :2] - output[:, :2], axis=1).mean())
