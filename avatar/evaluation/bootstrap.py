"""Is a difference more than chance? Paired bootstrap intervals of a mean difference over the frames of clips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
MIN_FRAMES = 8
LEVEL = 0.95

Differences = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean difference, and where it lies with a probability of LEVEL if only the frames had been drawn anew."""

    mean: float
    low: float
    high: float
    frames: int

    @property
    def sure(self) -> bool:
        """The interval leaves out zero."""
        return self.low > 0 or self.high < 0


def paired_interval(clips: Sequence[Differences], seed: int = 0) -> Interval | None:
    """Of the mean of the clips' means, from one (N,) array of per-frame differences a clip, NaN where not measured.

    Neighbouring frames are alike, so blocks of √N frames are drawn (circular block bootstrap, Politis and Romano,
    1992), within each clip. What other clips or people would give, it cannot say. None with fewer than MIN_FRAMES.
    """
    known = [clip[np.isfinite(clip)] for clip in clips]
    known = [clip for clip in known if len(clip)]
    if not known or sum(len(clip) for clip in known) < MIN_FRAMES:
        return None
    rng = np.random.default_rng(seed)
    means = np.mean([_resampled_means(clip, rng) for clip in known], axis=0)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    centre = float(np.mean([clip.mean() for clip in known]))
    return Interval(centre, float(low), float(high), sum(len(clip) for clip in known))


def _resampled_means(values: Differences, rng: np.random.Generator) -> Differences:
    count = len(values)
    length = max(1, round(count**0.5))
    starts = rng.integers(0, count, (RESAMPLES, -(-count // length)))
    places = (starts[..., None] + np.arange(length)).reshape(RESAMPLES, -1)[:, :count] % count
    return np.asarray(values[places].mean(1), np.float64)
