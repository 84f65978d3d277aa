"""The report as Markdown: the paper's table, then what decides between renderers."""

from __future__ import annotations

from collections.abc import Sequence

from avatar.evaluation import paper_table
from avatar.evaluation.evaluation import Report
from avatar.evaluation.metrics import METRICS
from avatar.evaluation.score_table import TITLES, ScoreRow, score_rows, steady_rows, yaw_lines
from avatar.evaluation.scores import REAL


def as_markdown(report: Report) -> str:
    """All tables of self-reenactment, of teeth and of necks."""
    parts = [paper_table.as_markdown(report)]
    for shots, total in report.totals().items():
        parts.append(f"## All metrics, T = {shots}\n\n{_rows(score_rows(METRICS, total, (REAL,)))}")
        bins = report.by_yaw(shots)
        heads = [f"{one.label} ({one.frames} frames, {one.clips} clips)" for one in bins]
        lines = [[label, TITLES[system], *cells] for label, by_system in yaw_lines(bins) for system, cells in by_system]
        parts.append(f"## By yaw between source and target, T = {shots}\n\n{_table(['', '', *heads], lines, 2)}")
    if rows := steady_rows(report.steadiness):
        stills, people = len(report.steadiness.stills), len(report.steadiness.sweeps)
        parts.append(f"## Steadiness, {stills} smiling stills, {people} people moved and scaled\n\n{_rows(rows)}")
    return "\n".join(parts)


def _rows(rows: Sequence[ScoreRow]) -> str:
    systems = list(rows[0].cells)
    lines = [
        [
            f"{row.label} ({row.unit}) {row.arrow}" if row.unit else f"{row.label} {row.arrow}",
            *(f"**{row.cells[system]}**" if system == row.best else row.cells[system] for system in systems),
        ]
        for row in rows
    ]
    return _table(["", *(TITLES[system] for system in systems)], lines, 1)


def _table(heads: Sequence[str], lines: Sequence[Sequence[str]], labels: int) -> str:
    """`labels`: so many columns are words."""
    rule = ["---"] * labels + ["--:"] * (len(heads) - labels)
    return "".join(f"| {' | '.join(line)} |\n" for line in (heads, rule, *lines))
