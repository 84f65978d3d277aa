"""How far a prediction is from the real thing: L1, PSNR and SSIM of pictures, (H, W, 3) uint8 RGB; AKD of landmarks."""

from __future__ import annotations

import numpy as np

from avatar.core.arrays import Array, Picture
from avatar.evaluation.optional import need


def l1(target: Picture, prediction: Picture) -> float:
    """Mean absolute difference, in [0, 1]."""
    return float(np.mean(np.abs(target.astype(np.float32) - prediction)) / 255)


def psnr(target: Picture, prediction: Picture) -> float:
    """Peak signal-to-noise ratio over RGB in dB; infinite for equal pictures."""
    if np.array_equal(target, prediction):
        return float("inf")
    return float(need("skimage.metrics").peak_signal_noise_ratio(target, prediction, data_range=255))


def ssim(target: Picture, prediction: Picture) -> float:
    """Structural similarity (Wang et al., 2004) as scikit-image has it: uniform 7×7 window, mean over RGB."""
    return float(need("skimage.metrics").structural_similarity(target, prediction, channel_axis=2, data_range=255))


def landmark_distance(driver: Array, output: Array) -> float:
    """AKD: the mean distance in the picture's plane, in the unit of both (478, 2 or 3) arrays."""
    return float(np.linalg.norm(driver[:, :2] - output[:, :2], axis=1).mean())
