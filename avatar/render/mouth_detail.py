"""Between the lips the network decides tones, the layers detail: a net that cannot know where a tongue is paints haze.

As for every region: its own high frequencies on the low ones of what lies around it.
"""

from __future__ import annotations

import cv2
import numpy as np

from avatar.core.arrays import Array, Picture
from avatar.face.regions import LIPS_INNER

DETAIL = 0.9  # share of the layers' detail: with all of it, tongue and teeth look cut out
FINER = 8 / 512  # standard deviation, of the picture's side: finer is detail, a tooth and its gaps but no row
SOFT = 1.5 / 512  # the same of the border at the lips


def keep_detail(picture: Picture, before: Picture, driving: Array) -> None:
    """Give the (S, S, 3) picture, in place, the detail that it had `before` the network, between the driven lips.

    driving: (478, 3) landmarks in [0, 1].
    """
    size = len(picture)
    lips = np.rint(driving[list(LIPS_INNER), :2] * size).astype(np.int32)
    rim = round(2 * FINER * size)
    low, high = np.clip([lips.min(0) - rim, lips.max(0) + rim + 1], 0, size)
    if (high <= low).any():
        return  # wholly outside of the picture
    box = np.s_[low[1] : high[1], low[0] : high[0]]
    between = np.zeros((high[1] - low[1], high[0] - low[0]), np.float32)
    cv2.fillPoly(between, [lips - low], DETAIL)
    share = np.asarray(cv2.GaussianBlur(between, (0, 0), SOFT * size), np.float32)[..., None]
    # what the layers' detail has more than the picture's own
    more = np.asarray(before[box], np.float32) - picture[box]
    finer = more - cv2.GaussianBlur(more, (0, 0), FINER * size)
    picture[box] = np.clip(np.rint(picture[box] + share * finer), 0, 255)
