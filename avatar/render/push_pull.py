"""Colours that are known in places, continued smoothly to everywhere else.

Source: Gortler et al., The Lumigraph, SIGGRAPH 1996, section 3.3 (pull-push).
"""

from __future__ import annotations

import cv2
import numpy as np

from avatar.core.arrays import Array

_TINY = 1e-6


def push_pull(colours: Array, known: Array) -> Array:
    """(H, W, C) colours that are kept where `known` (H, W) is 1, and made up from around where it is 0."""
    height, width = known.shape
    if max(height, width) == 1:
        return colours
    weighted = np.dstack([colours * known[..., None], known]).astype(np.float32)
    coarse = cv2.resize(weighted, ((width + 1) // 2, (height + 1) // 2), interpolation=cv2.INTER_AREA)
    share = coarse[..., -1]
    average = np.asarray(coarse[..., :-1] / np.maximum(share, _TINY)[..., None], np.float32)
    filled = push_pull(average, np.minimum(share * 4, 1))
    smooth = cv2.resize(filled, (width, height), interpolation=cv2.INTER_LINEAR).reshape(colours.shape)
    return np.asarray(smooth + (colours - smooth) * known[..., None], np.float32)
