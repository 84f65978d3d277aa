"""Do the shoulders move as the real ones do? Optical flow below the chin, in drawn and in real pictures."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.core.arrays import Array, Picture
from avatar.evaluation.face_masks import Mask
from avatar.evaluation.silhouette import Matte

CHIN = 152
BELOW = 0.15  # of the face's height under the chin, where the torso begins
CERTAIN = 230  # of 255: the matte of what is surely the person

Motion = NDArray[np.float32]  # (S, S, 2) pixels from one frame to the next


def shoulders(matte: Matte, landmarks: Array) -> Mask:
    """(S, S): the person from a little below the chin of (478, 2+) landmarks in [0, 1] on."""
    chin, height = float(landmarks[CHIN, 1]), float(landmarks[CHIN, 1] - landmarks[10, 1])
    rows = (np.arange(len(matte)) + 0.5) / len(matte) > chin + BELOW * height
    return (matte >= CERTAIN) & rows[:, None]


def motion(earlier: Picture, later: Picture) -> Motion:
    """Dense inverse search (Kroeger et al., ECCV 2016), from an (S, S, 3) picture to a later one."""
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    before, after = (cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (earlier, later))
    return np.asarray(search.calc(before, after, np.zeros((*before.shape, 2), np.float32)), np.float32)


def motion_error(real: Motion, drawn: Motion, where: Mask) -> float:
    """Mean distance of two motions over a mask, in pixels. NaN where the mask is empty."""
    return float(np.linalg.norm(real - drawn, axis=2)[where].mean()) if where.any() else float("nan")
