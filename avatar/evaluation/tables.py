"""The report's tables for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from avatar.evaluation import paper_table
from avatar.evaluation.bootstrap import Interval
from avatar.evaluation.evaluation import Report
from avatar.evaluation.metrics import CROSS_METRICS, METRICS, SLOW_METRIC_FRAMES, Better, Metric
from avatar.evaluation.motion import SIGNALS
from avatar.evaluation.person import FF, LAYERS
from avatar.evaluation.score_table import SIGNAL_TITLES, TITLES, ScoreRow, score_rows, steady_rows, verdict, yaw_lines
from avatar.evaluation.scores import CROSS_ASIDE, REAL, TotalScores
from avatar.evaluation.yaw_bins import YawBin

BEST = "bold green"
LEGEND = (
    "↓ lower is better, ↑ higher is better; the best, the real pictures aside, is green. FF − layers: mean difference "
    "and its 95 % interval over the frames, + better, − worse, · may be chance. r: correlation of the driver's motion "
    "with the output's, tracked again (– without motion); lips and lids apart are measured on the mesh, beside the "
    "blendshapes. real: the true picture tracked again, the best that is possible. VGG16 on whole pictures: "
    f"{SLOW_METRIC_FRAMES} frames a clip at most."
)


def print_report(console: Console, report: Report) -> None:
    """A table for each number of shots, of self- and of cross-reenactment: all clips together."""
    for shots, total in report.totals().items():
        found = report.clips[shots]
        clips = found[0].name if len(found) == 1 else f"{len(found)} clips"
        frames = sum(len(result.target_frames) for result in found)
        console.print(_table(f"Self-reenactment, {shots}-shot, {clips}, {frames} frames", METRICS, total))
        without = sum(result.without_face for result in found)
        if without:
            console.print(f"{without} frames show no face and are left out.", style="dim", highlight=False)
        _print_by_yaw(console, report.by_yaw(shots))
        if names := report.not_kept(shots):
            console.print(f"Fine-tuning was not kept for {', '.join(names)}: FF stands for FT.", style="dim")
    _print_steadiness(console, report)
    for shots, total in report.cross_totals().items():
        pairs = report.cross[shots]
        title = f"Cross-reenactment, {shots}-shot, {len(pairs)} pairs of source and driver"
        console.print(_table(title, CROSS_METRICS, total, CROSS_ASIDE))
    console.print(LEGEND, style="dim", highlight=False)


def print_paper_table(console: Console, report: Report) -> None:
    """In the layout of Zakharov et al., table 1."""
    table = Table(*paper_table.HEADINGS)
    for column in table.columns[1:]:
        column.justify = "right"
    rows = paper_table.paper_rows(report)
    winners = paper_table.best_rows(rows)
    for i, row in enumerate(rows):
        last = i + 1 == len(rows) or rows[i + 1].shots != row.shots
        cells = (Text(c, BEST if (i, k) in winners else "") for k, c in enumerate(row.cells()))
        table.add_row(*cells, end_section=last)
    console.print(table)
    for note in paper_table.notes(report):
        console.print(note, style="dim", highlight=False)


def _table(title: str, metrics: Sequence[Metric], total: TotalScores, aside: Sequence[str] = (REAL,)) -> Table:
    systems = tuple(total.values)
    differences = {f"{TITLES[FF]} − {TITLES[LAYERS]}": total.differences[f"{FF} - {LAYERS}"]}
    table = Table("", *(TITLES[system] for system in systems), *differences, title=title, title_justify="left")
    for column in table.columns[1:]:
        column.justify = "right"
    better = {metric.key: metric.better for metric in metrics}
    rows = score_rows(metrics, total, aside)
    for row, following in zip(rows, [*rows[1:], None], strict=True):
        cells = (Text(row.cells[system], BEST if system == row.best else "") for system in systems)
        found = [
            _interval(by_metric.get(row.key), better[row.key]) if row.key else "" for by_metric in differences.values()
        ]
        # correlations, which have no unit, stand apart
        last = bool(row.unit) and (following is None or not following.unit)
        table.add_row(_label(row), *cells, *found, end_section=last)
    reasons = {signal: total.pooled[LAYERS][signal].reason for signal in SIGNALS}
    if notes := [f"{SIGNAL_TITLES[signal]}: {reason}" for signal, reason in reasons.items() if reason is not None]:
        table.caption = "No r for " + "; ".join(notes) + "."
    return table


def _print_by_yaw(console: Console, bins: Sequence[YawBin]) -> None:
    known = [one for one in bins if one.frames]
    heads = (f"{one.label} [dim]{one.frames}/{one.clips}[/dim]" for one in known)
    table = Table("", "", *heads, title="By yaw between source and target (frames/clips)", title_justify="left")
    for column in table.columns[2:]:
        column.justify = "right"
    for label, lines in yaw_lines(bins):
        for k, (system, cells) in enumerate(lines):
            shown = (cell for cell, one in zip(cells, bins, strict=True) if one.frames)
            table.add_row("" if k else label, TITLES[system], *shown, end_section=k + 1 == len(lines))
    if known:
        console.print(table)


def _print_steadiness(console: Console, report: Report) -> None:
    rows = steady_rows(report.steadiness)
    if not rows:
        return
    systems = tuple(rows[0].cells)
    stills, sweeps = len(report.steadiness.stills), len(report.steadiness.sweeps)
    title = f"Steadiness, {stills} smiling stills, {sweeps} people moved and scaled"
    table = Table("", *(TITLES[system] for system in systems), title=title, title_justify="left")
    for row in rows:
        cells = (Text(row.cells[system], BEST if system == row.best else "") for system in systems)
        table.add_row(_label(row), *cells)
    console.print(table)
    if names := report.steadiness.without_neck:
        console.print(f"Without a neck to measure: {', '.join(names)}.", style="dim", highlight=False)


def _label(row: ScoreRow) -> Text:
    return Text.assemble(row.label, (f" {row.unit}" if row.unit else "", "dim"), " ", row.arrow)


def _interval(found: Interval | None, better: Better) -> Text:
    if found is None:
        return Text()
    return Text.assemble(
        f"{found.mean:+.4f} ", (f"{found.low:+.4f} … {found.high:+.4f}", "dim"), f" {verdict(found, better)}"
    )
