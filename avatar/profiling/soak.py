"""Whether latency or memory creeps up over a long run: a slope, and how sure it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

WARM_UP_S, WARM_UP_SHARE = 300.0, 0.2  # of a soak: caches fill, MediaPipe wakes up once more after a minute
CONFIDENCE = 0.95
MOST_RELATED = 0.98  # of one block to the next; more would leave no information at all
Floats = NDArray[np.float64]

BLOCKS = 30  # samples are averaged into so many, so that what lasts a while does not count as many


@dataclass(frozen=True, slots=True)
class Slope:
    """How much a figure grows in an hour, robustly: Theil–Sen over block medians, with its interval of confidence.

    What else a computer does comes and goes over minutes, and memory is taken in steps: one block is then much like
    the next, and the interval is widened for it, by the effective number of samples of a first-order autoregression
    (Santer et al., J. Geophys. Res. 105, 2000).
    """

    what: str
    unit: str
    per_hour: float
    low: float
    high: float

    @property
    def flat(self) -> bool:
        """Whether no growth at all is as likely as anything in the interval."""
        return self.low <= 0 <= self.high


def warm_up_s(seconds: float) -> float:
    """How much of a run of so many seconds has no part in its slopes."""
    return min(WARM_UP_S, WARM_UP_SHARE * seconds)


def slope(what: str, unit: str, seconds: Floats, values: Floats) -> Slope:
    """The slope of `values` at the times `seconds`, two of them at least."""
    # only now: it takes a third of a second, and 32 MB that would be counted as the live loop's
    from scipy.stats import norm, theilslopes

    at = np.asarray(seconds, np.float64) / 3600
    found = np.asarray(values, np.float64)
    blocks = np.array_split(np.arange(len(at)), min(BLOCKS, len(at)))
    times = [float(at[block].mean()) for block in blocks]
    medians = [float(np.median(found[block])) for block in blocks]
    middle, start, *_ = theilslopes(medians, times)
    related = _related(np.asarray(medians) - middle * np.asarray(times) - start)
    wider = np.sqrt((1 + related) / (1 - related))
    confidence = 2 * norm.cdf(norm.ppf((1 + CONFIDENCE) / 2) * wider) - 1
    _, _, low, high = theilslopes(medians, times, min(float(confidence), 1 - 1e-9))
    return Slope(what, unit, float(middle), float(low), float(high))


def _related(residuals: Floats) -> float:
    """The correlation of one residual with the next, 0 when they alternate."""
    around = residuals - residuals.mean()
    power = float(around @ around)
    return min(max(float(around[1:] @ around[:-1]) / power, 0.0), MOST_RELATED) if power > 0 else 0.0
