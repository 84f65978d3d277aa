"""What needs no learning and must be beaten: the unmoved source, and its plain warp by the landmarks."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.retarget.warp import landmark_flow, pixel_grid

FLOW_GRID = 128  # the spline is smooth: finer grids give the same picture, slower


def landmark_warp(
    portrait: NDArray[np.uint8], source: NDArray[np.float32], driving: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """The (S, S, 3) portrait pulled from its landmarks onto the driver's, both (478, 3) in [0, 1] of the crop."""
    size = len(portrait)
    displacement = landmark_flow(source, driving, FLOW_GRID) - pixel_grid(FLOW_GRID, FLOW_GRID)
    flow = cv2.resize(displacement, (size, size), interpolation=cv2.INTER_LINEAR) + pixel_grid(size, size)
    places = ((flow + 1) * size / 2 - 0.5).astype(np.float32)  # pixel centres: align_corners=False
    warped = cv2.remap(portrait, places[..., 0], places[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(warped, np.uint8)
