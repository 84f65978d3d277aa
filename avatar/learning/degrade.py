"""Stills made to look like what people also have: scans, old photos, paintings, bad recordings, a hand in the way."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.core.arrays import Array, Picture


def degrade(picture: Picture, rng: np.random.Generator) -> Picture:
    """One of the treatments at random, for an (H, W, 3) RGB picture."""
    treatments = (black_and_white, painting, compressed, blurred, covered)
    return treatments[rng.integers(len(treatments))](picture, rng)


def black_and_white(picture: Picture, rng: np.random.Generator) -> Picture:
    """Grey or sepia, with film grain and a contrast of its own."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    grey = (grey - 128) * rng.uniform(0.7, 1.3) + 128 + rng.uniform(-15, 15)
    grain = cv2.GaussianBlur(rng.normal(0, 1, grey.shape).astype(np.float32), (0, 0), rng.uniform(0.5, 1.0))
    tint = 1.0 + rng.choice([0.0, 1.0]) * np.array([0.08, 0.0, -0.12])
    return _bytes((grey + rng.uniform(2, 12) * grain)[..., None] * tint)


def painting(picture: Picture, rng: np.random.Generator) -> Picture:
    """Brush strokes (edge-keeping smoothing) on woven canvas, under yellowed varnish."""
    smooth = cv2.edgePreservingFilter(picture, flags=cv2.RECURS_FILTER, sigma_s=rng.uniform(8, 25), sigma_r=0.25)
    weave = canvas(picture.shape[0], rng)
    return _bytes(smooth * weave[..., None] * np.array([1.04, 1.0, rng.uniform(0.75, 0.95)]))


def canvas(size_px: int, rng: np.random.Generator) -> Array:
    """(size, size) factors around 1: the weave of a cloth with uneven threads."""
    period, depth = rng.uniform(2.5, 5.0), rng.uniform(0.02, 0.07)
    along = np.arange(size_px, dtype=np.float32)
    weft, warp = (np.sin(2 * np.pi * along / period + rng.normal(0, 0.4, size_px)) for _ in range(2))
    return np.asarray(1 + depth * (weft[:, None] * warp[None]), np.float32)


def compressed(picture: Picture, rng: np.random.Generator) -> Picture:
    """JPEG of low quality."""
    _, coded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(15, 60))])
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)


def blurred(picture: Picture, rng: np.random.Generator) -> Picture:
    """Out of focus, with sensor noise."""
    soft = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.6, 1.8)).astype(np.float32)
    return _bytes(soft + rng.normal(0, rng.uniform(1, 6), picture.shape))


def covered(picture: Picture, rng: np.random.Generator) -> Picture:
    """A soft-edged patch of one colour over a part: what covers a face in its photo moves with it."""
    height, width = picture.shape[:2]
    mask = np.zeros((height, width), np.float32)
    centre = tuple(int(v) for v in rng.uniform(0.15, 0.85, 2) * (width, height))
    axes = tuple(int(v) for v in rng.uniform(0.05, 0.2, 2) * width)
    cv2.ellipse(mask, centre, axes, rng.uniform(0, 180), 0, 360, 1.0, -1)
    soft = np.asarray(cv2.GaussianBlur(mask, (0, 0), 2), np.float32)[..., None]
    return _bytes(picture * (1 - soft) + soft * rng.uniform(20, 235, 3))


def _bytes(picture: NDArray[np.floating]) -> Picture:
    return np.asarray(np.clip(picture, 0, 255), np.uint8)
