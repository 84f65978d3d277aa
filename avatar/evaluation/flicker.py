"""Does the picture flicker? Its second difference in time, which steady motion has little of, against the clip's."""

from __future__ import annotations

import cv2
import numpy as np

from avatar.evaluation.clip import Pictures
from avatar.evaluation.face_masks import Mask

LEAST = 0.25  # of 255: below, the clip stands still, and a ratio would be noise


def second_difference(moment: Pictures, oval: Mask) -> float:
    """Mean of |a − 2b + c| over the face, of 255, for three frames (3, S, S, 3) that follow each other."""
    before, now, after = (cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32) for picture in moment)
    return float(np.abs(before - 2 * now + after)[oval].mean()) if oval.any() else float("nan")


def flicker(real: float, drawn: float) -> float:
    """Ratio of two `second_difference`: above 1 more restless than the real clip. NaN where that stands still."""
    return drawn / real if real >= LEAST else float("nan")
