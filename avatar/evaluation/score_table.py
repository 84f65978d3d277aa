"""The rows in which all clips' figures are shown, the same on the terminal and on the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from avatar.evaluation.bootstrap import Interval
from avatar.evaluation.metrics import FRECHET, METRICS, STEADY_METRICS, YAW_METRICS, Better, Metric
from avatar.evaluation.motion import SIGNALS
from avatar.evaluation.person import FF, FT, FULL, LAYERS, UNMOVED
from avatar.evaluation.scores import REAL, TotalScores, best
from avatar.evaluation.steadiness import Steadiness
from avatar.evaluation.yaw_bins import YawBin

TITLES = {UNMOVED: "unmoved", LAYERS: "layers alone", FF: "FF", FT: "FT", FULL: "full", REAL: "real"}
ARROWS: dict[Better, str] = {"lower": "↓", "higher": "↑", "one": "→1"}
SIGNAL_TITLES = {
    "jaw_open": "jawOpen", "blink": "blink", "smile": "smile", "yaw": "yaw", "pitch": "pitch",
    "mouth_opening": "lips apart", "eye_opening": "lids apart",
}  # fmt: skip
UNKNOWN = "–"


@dataclass(frozen=True)
class ScoreRow:
    """One metric of every system."""

    label: str
    unit: str
    arrow: str
    cells: dict[str, str]  # by system
    best: str | None  # the system of the best value
    key: str | None = None  # of the metric, where it has differences


def score_rows(metrics: Sequence[Metric], total: TotalScores, aside: Sequence[str]) -> list[ScoreRow]:
    """The metrics, the Fréchet distance, the frames in which the face was lost, and the correlations of motion.

    aside: systems that are not compared, as of `best`.
    """
    systems = tuple(total.values)

    def row(metric: Metric, values: Mapping[str, float | None], unit: str, key: str | None = None) -> ScoreRow:
        known = {system: values.get(system) for system in systems}
        cells = {system: number(value) for system, value in known.items()}
        return ScoreRow(metric.label, unit, ARROWS[metric.better], cells, best(known, metric.better, aside), key)

    rows = [
        row(metric, {system: found.get(metric.key) for system, found in total.values.items()}, metric.unit, metric.key)
        for metric in metrics
    ]
    rows.append(row(FRECHET, total.frechet, f"n={total.samples[0]}"))
    lost = {system: str(total.lost.get(system, UNKNOWN)) for system in systems}
    rows.append(ScoreRow("Face lost", "frames", ARROWS["lower"], lost, None))
    for signal in SIGNALS:
        motion = Metric("r", f"r {SIGNAL_TITLES[signal]}", "", "higher", "")
        rows.append(row(motion, {system: found[signal].r for system, found in total.pooled.items()}, ""))
    return rows


def steady_rows(steadiness: Steadiness) -> list[ScoreRow]:
    """What was measured of teeth and necks, by system."""
    values = steadiness.values()
    rows = []
    for metric in STEADY_METRICS:
        known = {system: found[metric.key] for system, found in values.items()}
        if any(value is not None for value in known.values()):
            cells = {system: number(value) for system, value in known.items()}
            rows.append(ScoreRow(metric.label, metric.unit, ARROWS[metric.better], cells, best(known, metric.better)))
    return rows


def yaw_lines(bins: Sequence[YawBin]) -> list[tuple[str, list[tuple[str, list[str]]]]]:
    """(label, [(system, a cell for each bin)]) of each metric by yaw; what was not measured is left out."""
    labels = {metric.key: f"{metric.label} {ARROWS[metric.better]}" for metric in METRICS}
    lines = []
    for key in YAW_METRICS:
        cells = {system: [one.values[system][key] for one in bins] for system in bins[0].values}
        known = {s: values for s, values in cells.items() if any(value is not None for value in values)}
        if known:
            lines.append((labels[key], [(system, [number(v) for v in values]) for system, values in known.items()]))
    return lines


def number(value: float | None) -> str:
    """With the digits that mean something."""
    return UNKNOWN if value is None else f"{value:.2f}" if abs(value) >= 10 else f"{value:.4f}"


def verdict(found: Interval | None, better: Better) -> str:
    """ "+" surely better, "−" surely worse, "·" may be chance; empty where not known."""
    if found is None or better == "one":
        return ""
    return "·" if not found.sure else "+" if (found.mean > 0) == (better == "higher") else "−"
