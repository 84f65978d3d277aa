"""The report as one HTML file: tables, pictures and curves inside it, nothing fetched, no script.

`report.html.jinja` holds the page and its style; here is what it is filled with.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from avatar.evaluation import frechet, paper_table, score_table
from avatar.evaluation.bootstrap import LEVEL, Interval
from avatar.evaluation.contact_sheet import WORST_BY
from avatar.evaluation.evaluation import ClipResult, CrossResult, Report
from avatar.evaluation.metrics import CROSS_METRICS, FRECHET, METRICS, STEADY_METRICS, Metric
from avatar.evaluation.motion import SIGNALS
from avatar.evaluation.optional import need
from avatar.evaluation.person import BASELINES, LAYERS, UNMOVED
from avatar.evaluation.score_table import (
    ARROWS,
    SIGNAL_TITLES,
    UNKNOWN,
    ScoreRow,
    number,
    score_rows,
    steady_rows,
    verdict,
    yaw_lines,
)
from avatar.evaluation.scores import CROSS_ASIDE, REAL, Scores, TotalScores
from avatar.evaluation.signal_curves import curves
from avatar.evaluation.yaw_bins import YawBin

TEMPLATE = Path(__file__).with_name("report.html.jinja")
TITLES = score_table.TITLES | {LAYERS: "layers"}
CURVES = ("jaw_open", "blink", "smile", "yaw", "pitch")
DEGREES = ("yaw", "pitch")
VERDICTS = {"+": ("better", "better"), "−": ("worse", "worse"), "·": ("open", "may be chance"), "": ("", "")}


@dataclass(frozen=True)
class _Column:
    """The systems of one number of shots."""

    shots: int
    systems: tuple[str, ...]


@dataclass(frozen=True)
class _Difference:
    """Of two systems in one metric."""

    found: Interval | None
    style: str
    word: str


@dataclass(frozen=True)
class _Intervals:
    """The differences by one number of shots."""

    shots: int
    titles: list[str]
    lines: list[tuple[str, list[_Difference]]]


@dataclass(frozen=True)
class _Values:
    """Metrics down; across, for each T its systems."""

    what: str  # the means are taken over
    columns: list[_Column]
    lines: list[tuple[str, str, str, list[ScoreRow]]]  # label, unit, arrow, and a row for each column
    intervals: list[_Intervals]


@dataclass(frozen=True)
class _ByYaw:
    """Metrics and systems down, bins across."""

    shots: int
    bins: list[YawBin]
    lines: list[tuple[str, list[tuple[str, list[str]]]]]


@dataclass(frozen=True)
class _Paper:
    """The paper's table."""

    headings: tuple[str, ...]
    lines: list[list[tuple[str, bool]]]  # cells: text, whether it is the best
    notes: list[str]


@dataclass(frozen=True)
class _Figure:
    """One signal's curves."""

    svg: str
    caption: str


@dataclass(frozen=True)
class _Folded:
    """A clip or a pair, which the reader opens."""

    shots: int
    found: ClipResult | CrossResult
    lead: str  # beside its name
    figures: list[_Figure] = field(default_factory=list)
    about: str = ""


def as_html(report: Report) -> str:
    """The whole page. Raises VisavisError without jinja2."""
    jinja2 = need("jinja2")
    page = jinja2.Environment(
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    page.filters["base64"] = lambda data: b64encode(data).decode()
    totals, cross_totals = report.totals(), report.cross_totals()
    ours = {system: TITLES[system] for system in report.systems if system not in BASELINES}
    text: str = page.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        report=report,
        title=TITLES.__getitem__,
        level=f"{LEVEL:.0%}",
        clip_count=max((len(found) for found in report.clips.values()), default=0),
        paper=_paper(report),
        self_table=_values(METRICS, totals, "clips", (REAL,)) if totals else None,
        clips=[_clip(found, shots) for shots in totals for found in report.clips[shots]],
        cross_table=_values(CROSS_METRICS, cross_totals, "pairs", CROSS_ASIDE) if cross_totals else None,
        pairs=[_pair(found, shots) for shots in cross_totals for found in report.cross[shots]],
        curve_names={"driver": "driver", LAYERS: "layers alone"} | ours,
        yaw_tables=[_yaw(report, shots) for shots in totals],
        steady_rows=steady_rows(report.steadiness),
        steady_metrics=STEADY_METRICS,
        metrics=[*METRICS, FRECHET],
        cross_metrics=CROSS_METRICS,
        frechet_name=frechet.NAME,
    )
    return text


def _paper(report: Report) -> _Paper:
    rows = paper_table.paper_rows(report)
    winners = paper_table.best_rows(rows)
    lines = [[(cell, (i, column) in winners) for column, cell in enumerate(row.cells())] for i, row in enumerate(rows)]
    return _Paper(paper_table.HEADINGS, lines, paper_table.notes(report))


def _yaw(report: Report, shots: int) -> _ByYaw:
    bins = report.by_yaw(shots)
    return _ByYaw(shots, bins, yaw_lines(bins))


def _values(metrics: Sequence[Metric], totals: Mapping[int, TotalScores], what: str, aside: Sequence[str]) -> _Values:
    columns = [_Column(shots, tuple(total.values)) for shots, total in totals.items()]
    by_shots = [score_rows(metrics, total, aside) for total in totals.values()]
    lines = [(rows[0].label, rows[0].unit, rows[0].arrow, list(rows)) for rows in zip(*by_shots, strict=True)]
    return _Values(what, columns, lines, [_intervals(metrics, total, shots) for shots, total in totals.items()])


def _intervals(metrics: Sequence[Metric], total: TotalScores, shots: int) -> _Intervals:
    titles = [" − ".join(TITLES[part] for part in name.split(" - ")) for name in total.differences]
    lines = []
    for metric in metrics:
        differences = [found[metric.key] for found in total.differences.values()]
        cells = [_Difference(found, *VERDICTS[verdict(found, metric.better)]) for found in differences]
        lines.append((f"{metric.label} {ARROWS[metric.better]}", cells))
    return _Intervals(shots, titles, lines)


def _clip(result: ClipResult, shots: int) -> _Folded:
    about = f"{len(result.target_frames)} of {result.frame_count} frames predicted"
    if result.without_face:
        about += f"; {result.without_face} show no face"
    about += f". Sources: frames {', '.join(map(str, result.source_frames))}."
    if result.tuning is not None:
        tuning = result.tuning
        kept = "kept" if tuning.kept else "not kept, so FT shows FF's pictures"
        about += f" Fine-tuning: {tuning.steps} steps in {tuning.seconds:.0f} s, {kept}: {tuning.reason}."
    if result.damage:
        about += f" {result.damage}"
    lead = {s: found[WORST_BY] for s, found in result.scores.values.items() if s not in (REAL, UNMOVED)}
    return _Folded(shots, result, _listed(lead), _figures(result.target_frames, result.scores), about)


def _pair(result: CrossResult, shots: int) -> _Folded:
    lead = {system: found["csim"] for system, found in result.scores.values.items()}
    return _Folded(shots, result, _listed(lead), _figures(result.target_frames, result.scores))


def _listed(values: Mapping[str, float | None]) -> str:
    return ", ".join(f"{TITLES[system]} {number(value)}" for system, value in values.items())


def _figures(frames: tuple[int, ...], scores: Scores) -> list[_Figure]:
    systems = [s for s in scores.output_signals if s not in (UNMOVED, REAL)]
    found = scores.correlations
    figures = []
    for name in CURVES:
        k = SIGNALS.index(name)
        lines = {"driver": scores.driver_signals[:, k]} | {s: scores.output_signals[s][:, k] for s in systems}
        r = ", ".join(f"{TITLES[s]} {UNKNOWN if (v := found[s][name].r) is None else f'{v:.2f}'}" for s in systems)
        title = SIGNAL_TITLES[name]
        svg = curves(frames, lines, f"{title} over the frames", "°" if name in DEGREES else "")
        figures.append(_Figure(svg, f"{title}. r: {r}"))
    return figures
