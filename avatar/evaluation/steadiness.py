"""What of a head must not change, whatever the driver does: teeth and neck. One line for each, all people together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from avatar.evaluation.contact_sheet import SHEET_FRAME_PX, TITLES, Shown
from avatar.evaluation.metrics import STEADY_METRICS
from avatar.evaluation.neck_sweep import Sweep, sweep
from avatar.evaluation.person import FF, Person
from avatar.evaluation.scores import Values, mean_of
from avatar.evaluation.tooth_stills import ToothScores, avatar_of, score_teeth, smiling, tooth_sheet
from avatar.face.state import Tracker
from engines.engine import Engine


@dataclass(frozen=True)
class StillResult:
    """One smiling photo."""

    name: str
    scores: dict[str, ToothScores]  # by system
    sheet: Shown


@dataclass
class Steadiness:
    """All that came out of them."""

    stills: list[StillResult] = field(default_factory=list)
    sweeps: dict[str, dict[str, Sweep]] = field(default_factory=dict)  # by clip, then system
    without_neck: list[str] = field(default_factory=list)  # clips whose portrait ends above the neck's base

    def sweep_neck(self, person: Person) -> None:
        """Of the person's first portrait alone: further ones would not have the marks."""
        found = sweep(person.avatars[FF])
        if found is not None:
            self.sweeps[person.clip.name] = {FF: found}
        else:
            self.without_neck.append(person.clip.name)

    def open_jaws(
        self,
        photos: Sequence[Path],
        tracker: Tracker,
        embedder: Engine,
        tell: Callable[[str], None],
    ) -> None:
        """Of those photos that show teeth."""
        tell("looking for photos that show teeth")
        found = smiling(photos, tracker)
        for number, still in enumerate(found, 1):
            tell(f"still {number} of {len(found)}: {still.name}")
            scores, mouths = score_teeth(still, avatar_of(still, embedder))
            strip = tooth_sheet(still, {TITLES[FF]: mouths})
            self.stills.append(StillResult(still.name, {FF: scores}, strip.shown(SHEET_FRAME_PX)))

    def values(self) -> Values:
        """By system, then metric of STEADY_METRICS."""
        teeth = [still.scores for still in self.stills]
        necks = list(self.sweeps.values())
        measures: dict[str, Callable[[str], float | None]] = {
            "tooth_change": lambda s: mean_of([None if (g := one[s].growth) is None else abs(g) for one in teeth]),
            "tooth_growth": lambda s: mean_of([one[s].growth for one in teeth]),
            "tooth_correlation": lambda s: mean_of([one[s].correlation for one in teeth]),
            "neck_spread": lambda s: mean_of([one[s].neck_spread for one in necks]),
            "neck_farthest": lambda s: _worst([one[s].neck_farthest for one in necks]),
            "width_spread": lambda s: mean_of([one[s].width_spread for one in necks]),
            "marks_lost": lambda s: float(sum(one[s].lost for one in necks)) if necks else None,
        }
        systems = dict.fromkeys([*(s for one in teeth for s in one), *(s for one in necks for s in one)])
        return {system: {metric.key: measures[metric.key](system) for metric in STEADY_METRICS} for system in systems}


def _worst(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.max(known)) if known else None
