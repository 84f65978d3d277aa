"""FD-EffLite0-64: the Fréchet distance between two sets of pictures, sound with few of them.

As in FID (Heusel et al., NeurIPS 2017, eq. 6): ‖μ₁ − μ₂‖² + tr(Σ₁ + Σ₂ − 2 (Σ₁Σ₂)^½) over features of an image network.
Unlike FID: EfficientNet-Lite0's 1280 pooled features instead of Inception's 2048; brought down to 64 dimensions by a
fixed random projection, which favours no data set as a fitted one would; covariances shrunk towards a multiple of the
unit matrix (Ledoit and Wolf, 2004). Values compare only with values of this same metric at similar numbers of samples.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

NAME = "FD-EffLite0-64"
FEATURES, DIMENSION = 1280, 64
MIN_SAMPLES = 8

Array = NDArray[np.float64]


def frechet_distance(a: Array, b: Array) -> float | None:
    """Between the (N, 1280) and (M, 1280) pooled features of two sets; None below MIN_SAMPLES of either."""
    if min(len(a), len(b)) < MIN_SAMPLES:
        return None
    a, b = a @ projection(), b @ projection()
    cov_a, cov_b = shrunk_covariance(a), shrunk_covariance(b)
    root = _root(cov_a)
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ cov_b @ root), 0)).sum()
    squared = float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(cov_a) + np.trace(cov_b) - 2 * cross)
    return max(squared, 0.0)


@lru_cache(maxsize=1)
def projection() -> Array:
    """(1280, 64) orthogonal columns, scaled so that squared distances keep their size on average."""
    random = np.random.RandomState(64).standard_normal((FEATURES, DIMENSION))  # this generator's stream is frozen
    basis, _ = np.linalg.qr(random)
    return np.asarray(basis * np.sqrt(FEATURES / DIMENSION), np.float64)


def shrunk_covariance(samples: Array) -> Array:
    """(D, D) covariance of (N, D) samples by Ledoit and Wolf, "A well-conditioned estimator…", 2004, section 3.2."""
    count, dimension = samples.shape
    centred = samples - samples.mean(0)
    plain = centred.T @ centred / count
    target = np.trace(plain) / dimension * np.eye(dimension)
    spread = float(((plain - target) ** 2).sum())
    noise = float(((centred**2).sum(1) ** 2).sum() / count - (plain**2).sum()) / count
    share = 0.0 if spread <= 0 else min(max(noise, 0.0), spread) / spread
    return np.asarray(share * target + (1 - share) * plain, np.float64)


def _root(matrix: Array) -> Array:
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T, np.float64)
