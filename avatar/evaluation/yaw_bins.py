"""How good are turned heads? The same measures, by how far the head is turned away from the source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from avatar.evaluation.metrics import YAW_METRICS
from avatar.evaluation.scores import Scores, Values, mean_known, mean_of

EDGES_DEG: tuple[tuple[int, int | None], ...] = ((0, 8), (8, 16), (16, 25), (25, 35), (35, None))


@dataclass(frozen=True)
class YawBin:
    """The targets whose yaw differs by `low_deg` to `high_deg` (exclusive) from the first source's."""

    low_deg: int
    high_deg: int | None
    frames: int
    clips: int
    values: Values  # system -> metric of YAW_METRICS -> mean of the clips' means

    @property
    def label(self) -> str:
        return f"> {self.low_deg}°" if self.high_deg is None else f"{self.low_deg}–{self.high_deg}°"


def by_yaw(scores: Sequence[Scores]) -> list[YawBin]:
    """One for each pair of EDGES_DEG, those without a frame too. Each clip that has frames there counts alike."""
    turned = [(one, one.yaw_change) for one in scores if one.yaw_change is not None]
    systems = {system: None for one in scores for system, found in one.frames.items() if YAW_METRICS[0] in found}
    bins = []
    for low, high in EDGES_DEG:
        places = [(one, (yaw >= low) & (yaw < (np.inf if high is None else high))) for one, yaw in turned]
        inside = [(one.frames, where) for one, where in places if where.any()]
        values: Values = {
            system: {
                key: mean_of([mean_known(found[system][key][where]) for found, where in inside if key in found[system]])
                for key in YAW_METRICS
            }
            for system in systems
        }
        bins.append(YawBin(low, high, sum(int(where.sum()) for _, where in inside), len(inside), values))
    return bins
