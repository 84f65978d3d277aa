"""The report's tables for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from avatar.evaluation import paper_table
from avatar.evaluation.bootstrap import Interval
from avatar.evaluation.evaluation import Report
from avatar.evaluation.metrics import CROSS_METRICS, FRECHET, METRICS, SLOW_METRIC_FRAMES, Better, Metric
from avatar.evaluation.motion import SIGNALS, Correlation
from avatar.evaluation.person import FF, FT, FULL, UNMOVED, WARP
from avatar.evaluation.scores import CROSS_ASIDE, REAL, TotalScores, best

TITLES = {UNMOVED: "unmoved", WARP: "landmark warp", FF: "FF", FT: "FT", FULL: "full", REAL: "real"}
ARROWS: dict[Better, str] = {"lower": "↓", "higher": "↑"}
BEST = "bold green"
SIGNAL_TITLES = {
    "jaw_open": "jawOpen", "blink": "blink", "smile": "smile", "yaw": "yaw", "pitch": "pitch",
    "mouth_opening": "lips apart", "eye_opening": "lids apart",
}  # fmt: skip
LEGEND = (
    "↓ lower is better, ↑ higher is better; the best, the real pictures aside, is green. FF − warp: mean difference "
    "and its 95 % interval over the frames, + better, − worse, · may be chance. r: correlation of the driver's motion "
    "with the output's, tracked again (– without motion); lips and lids apart are measured on the mesh, beside the "
    "blendshapes. real: the true picture tracked again, the most that can be had. VGG16 on whole pictures: "
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
        if names := report.not_kept(shots):
            console.print(f"Fine-tuning was not kept for {', '.join(names)}: FF stands for FT.", style="dim")
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


def number(value: float | None) -> str:
    """With the digits that mean something."""
    return "–" if value is None else f"{value:.2f}" if abs(value) >= 10 else f"{value:.4f}"


def verdict(found: Interval | None, better: Better) -> str:
    """ "+" surely better, "−" surely worse, "·" may be chance; empty where not measured."""
    if found is None:
        return ""
    return "·" if not found.sure else "+" if (found.mean > 0) == (better == "higher") else "−"


def _table(title: str, metrics: Sequence[Metric], total: TotalScores, aside: Sequence[str] = (REAL,)) -> Table:
    columns = tuple(total.values)
    comparison = f"{FF} - {WARP}"
    table = Table("", *(TITLES[system] for system in columns), "FF − warp", title=title, title_justify="left")
    for column in table.columns[1:]:
        column.justify = "right"
    for metric in metrics:
        row = {system: total.values[system].get(metric.key) for system in columns}
        label = _label(metric.label, metric.unit, ARROWS[metric.better])
        interval = total.differences[comparison].get(metric.key)
        table.add_row(label, *_marked(row, metric.better, aside), _interval(interval, metric.better))
    distances = {system: total.frechet.get(system) for system in columns}
    table.add_row(_label(FRECHET.label, f"n={total.samples[0]}", "↓"), *_marked(distances, "lower", aside), "")
    lost = (str(total.lost[system]) if system in total.lost else "–" for system in columns)
    table.add_row(_label("Face lost", "frames", "↓"), *lost, "", end_section=True)
    notes = []
    for signal in SIGNALS:
        found: dict[str, Correlation | None] = {
            s: total.pooled[s][signal] if s in total.pooled else None for s in columns
        }
        cells = _marked({system: None if c is None else c.r for system, c in found.items()}, "higher", aside)
        table.add_row(f"r {SIGNAL_TITLES[signal]} ↑", *cells, "")
        if (one := found[WARP]) is not None and one.reason is not None:
            notes.append(f"{SIGNAL_TITLES[signal]}: {one.reason}")
    if notes:
        table.caption = "No r for " + "; ".join(notes) + "."
    return table


def _label(name: str, unit: str, arrow: str) -> Text:
    return Text.assemble(name, " ", (unit, "dim"), " ", arrow)


def _interval(found: Interval | None, better: Better) -> Text:
    if found is None:
        return Text()
    return Text.assemble(
        f"{found.mean:+.4f} ", (f"{found.low:+.4f} … {found.high:+.4f}", "dim"), f" {verdict(found, better)}"
    )


def _marked(values: Mapping[str, float | None], better: Better, aside: Sequence[str]) -> list[Text]:
    winner = best(values, better, aside)
    return [Text(number(value), BEST if system == winner else "") for system, value in values.items()]
