"""Whether latency or memory creeps up over a long run: a slope, and how sure it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import theilslopes

CONFIDENCE = 0.95
Floats = NDArray[np.float64]

BLOCKS = 30  # samples are averaged into so many, so that what lasts a while does not count as many


@dataclass(frozen=True, slots=True)
class Slope:
    """How much a figure grows in an hour, robustly: Theil–Sen over block medians, with its interval of confidence."""

    what: str
    unit: str
    per_hour: float
    low: float
    high: float

    @property
    def flat(self) -> bool:
        """Whether no growth at all is as likely as anything in the interval."""
        return self.low <= 0 <= self.high


def slope(what: str, unit: str, seconds: Floats, values: Floats) -> Slope:
    """The slope of `values` at the times `seconds`, two of them at least."""
    at = np.asarray(seconds, np.float64) / 3600
    found = np.asarray(values, np.float64)
    blocks = np.array_split(np.arange(len(at)), min(BLOCKS, len(at)))
    times = [float(at[block].mean()) for block in blocks]
    medians = [float(np.median(found[block])) for block in blocks]
    middle, _, low, high = theilslopes(medians, times, CONFIDENCE)
    return Slope(what, unit, float(middle), float(low), float(high))
