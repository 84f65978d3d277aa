"""The figures of a clip, and of all clips together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avatar.evaluation.bootstrap import Interval, paired_interval
from avatar.evaluation.frechet import frechet_distance
from avatar.evaluation.metrics import Better, Metric
from avatar.evaluation.motion import FLOORS, SIGNALS, Correlation, correlate, correlate_pooled
from avatar.evaluation.person import FF, FT, FULL, LAYERS, UNMOVED

REAL = "real"  # the real target put through the same re-tracking: what the tracker itself loses
CROSS_ASIDE = (REAL, UNMOVED)  # in cross-reenactment the unmoved portrait is itself a source: alike, and no competitor
COMPARISONS = ((FF, LAYERS), (FT, LAYERS), (FT, FF), (FULL, LAYERS), (FULL, FF))  # whose differences get an interval

PerFrame = NDArray[np.float64]  # (N,), NaN where not measured
Values = dict[str, dict[str, float | None]]  # system -> metric -> mean over the frames; None where there is none
Correlations = dict[str, dict[str, Correlation]]  # system -> signal


@dataclass(frozen=True)
class Scores:
    """What one clip got by one number of shots."""

    name: str
    frames: dict[str, dict[str, PerFrame]]  # system -> metric; by target, or by moment, or one for the clip
    lost: dict[str, int]  # frames of each system in which no face was found again
    driver_signals: NDArray[np.float64]  # (N, len(SIGNALS))
    output_signals: dict[str, NDArray[np.float64]]  # by system, (N, len(SIGNALS)), NaN where the face was lost
    pooled: dict[str, NDArray[np.float64]]  # by system, (N, F) EfficientNet-Lite0 features
    real_pooled: NDArray[np.float64]  # (M, F) of the person's real frames
    yaw_change: PerFrame | None = None  # (N,) degrees between the first source and each target

    @property
    def values(self) -> Values:
        return {system: {key: mean_known(a) for key, a in found.items()} for system, found in self.frames.items()}

    @property
    def correlations(self) -> Correlations:
        return {
            system: {
                name: correlate(self.driver_signals[:, k], output[:, k], FLOORS[name]) for k, name in enumerate(SIGNALS)
            }
            for system, output in self.output_signals.items()
        }


@dataclass(frozen=True)
class TotalScores:
    """All clips: means of the clips' values; correlations over the pooled frames, each clip centred first."""

    values: Values
    lost: dict[str, int]
    pooled: Correlations
    clip_means: dict[str, dict[str, float | None]]  # system -> signal -> mean r of the clips that have one
    frechet: dict[str, float | None]  # by system, all frames of all clips
    samples: tuple[int, int]  # of the Fréchet distance: drawn, real
    differences: dict[str, dict[str, Interval | None]]  # "ff - layers" -> metric


def total(scores: Sequence[Scores], metrics: Sequence[Metric]) -> TotalScores:
    """Put at least one clip's scores together."""
    systems = tuple(scores[0].frames)
    values = [one.values for one in scores]
    correlations = [one.correlations for one in scores]
    drawn = {system: np.concatenate([one.pooled[system] for one in scores]) for system in scores[0].pooled}
    distinct = {id(one.real_pooled): one.real_pooled for one in scores}  # in cross-reenactment a person comes often
    real = np.concatenate(list(distinct.values()))
    return TotalScores(
        values={
            system: {metric.key: mean_of([found[system].get(metric.key) for found in values]) for metric in metrics}
            for system in systems
        },
        lost={system: sum(one.lost[system] for one in scores) for system in scores[0].lost},
        pooled={
            system: {
                name: correlate_pooled(
                    [(one.driver_signals[:, k], one.output_signals[system][:, k]) for one in scores], FLOORS[name]
                )
                for k, name in enumerate(SIGNALS)
            }
            for system in scores[0].output_signals
        },
        clip_means={
            system: {name: mean_of([found[system][name].r for found in correlations]) for name in SIGNALS}
            for system in scores[0].output_signals
        },
        frechet={system: frechet_distance(pooled, real) for system, pooled in drawn.items()},
        samples=(len(next(iter(drawn.values()))), len(real)),
        differences={
            f"{one} - {other}": {
                metric.key: paired_interval(
                    [
                        s.frames[one][metric.key] - s.frames[other][metric.key]
                        for s in scores
                        if metric.key in s.frames[one] and metric.key in s.frames[other]
                    ]
                )
                for metric in metrics
            }
            for one, other in compared(systems)
        },
    )


def compared(systems: Sequence[str]) -> list[tuple[str, str]]:
    """The pairs of COMPARISONS that are there."""
    return [pair for pair in COMPARISONS if set(pair) <= set(systems)]


def best(values: Mapping[str, float | None], better: Better, aside: Sequence[str] = (REAL,)) -> str | None:
    """Which system has the best value, leaving out those of `aside`; None where no system has one."""
    known = {system: value for system, value in values.items() if value is not None and system not in aside}
    if not known:
        return None
    if better == "one":
        return min(known, key=lambda system: abs(known[system] - 1))
    return (min if better == "lower" else max)(known, key=lambda system: known[system])


def mean_of(values: Sequence[float | None]) -> float | None:
    """The mean of what is known."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def mean_known(values: PerFrame) -> float | None:
    """The mean of what is not NaN."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else None
