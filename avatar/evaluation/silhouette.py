"""The person's outline: is it where the real one is, and as sharp?

Mattes are of `person_mattes` for drawn and real pictures alike, (S, S) uint8 with 255 where the person is.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.core.arrays import Picture
from avatar.evaluation.face_masks import Mask

RING_PX = 8  # to each side of the outline, in pictures of 256: what "silhouette" means in distances of features
EDGE_PX = 4  # where the edge of the picture is looked for: a matte may miss it by so much
LEAST_ENERGY = 4.0  # below, the person cannot be told from the background, and a ratio would be noise

Matte = NDArray[np.uint8]


def matte_iou(real: Matte, drawn: Matte) -> float:
    """Intersection over union, soft: Σ min / Σ max, in [0, 1]. NaN where neither shows anybody."""
    union = float(np.maximum(real, drawn).sum(dtype=np.int64))
    return float(np.minimum(real, drawn).sum(dtype=np.int64)) / union if union else float("nan")


def silhouette_ring(matte: Matte, width_px: int = RING_PX) -> Mask:
    """(S, S): within `width_px` of the outline. The picture's own edge is no outline."""
    inside = (matte > 127).astype(np.uint8)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * width_px + 1, 2 * width_px + 1))
    return cv2.dilate(inside, disc) > cv2.erode(inside, disc)


def edge_energy(picture: Picture, matte: Matte) -> float:
    """Squared slope of the brightness across the outline of an (S, S, 3) picture, mean within EDGE_PX of it.

    A step of height h that is blurred by a Gaussian of σ has Σ = h² / (2 σ √π) across it, so blur shows. Only the slope
    along the outline's normal counts: hair and a patterned background do not. NaN without an outline.
    """
    ring = silhouette_ring(matte, EDGE_PX)
    if not ring.any():
        return float("nan")
    brightness = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    smooth = cv2.GaussianBlur(matte.astype(np.float32), (0, 0), EDGE_PX)
    outward = _slope(np.asarray(smooth, np.float32))[ring]
    outward /= np.linalg.norm(outward, axis=1, keepdims=True) + 1e-6
    return float(((_slope(brightness)[ring] * outward).sum(1) ** 2).mean())


def sharpness(real_energy: float, drawn_energy: float) -> float:
    """Ratio of two `edge_energy`: 1 as sharp as the real one, less: blurred. NaN where that hardly shows."""
    return drawn_energy / real_energy if real_energy >= LEAST_ENERGY else float("nan")


def _slope(field: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.stack([np.gradient(field, axis=1), np.gradient(field, axis=0)], axis=-1)
