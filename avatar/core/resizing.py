"""Pictures made larger or smaller, the same way for training, export and use: networks see what they learned from."""

from __future__ import annotations

import cv2
import numpy as np

from avatar.core.arrays import Picture


def resized(picture: Picture, size_px: int) -> Picture:
    """(H, H) or (H, H, 3) to `size_px` on a side: whole pixels averaged, or new ones by cubic interpolation."""
    if len(picture) == size_px:
        return picture
    method = cv2.INTER_AREA if len(picture) > size_px else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, (size_px, size_px), interpolation=method), np.uint8)
