"""The table of Zakharov et al., ICCV 2019 (table 1), as far as it can be measured here."""

from __future__ import annotations

from dataclasses import dataclass

from avatar.evaluation import frechet
from avatar.evaluation.evaluation import Report
from avatar.evaluation.person import FF, FT, FULL, LAYERS, UNMOVED

HEADINGS = ("Method (T)", f"{frechet.NAME} ↓", "SSIM ↑", "CSIM ↑")
METHODS = {LAYERS: "layers alone", FF: "ours FF", FT: "ours FT", FULL: "full FF"}


@dataclass(frozen=True)
class PaperRow:
    """One method by one number of shots."""

    method: str
    shots: int
    frechet: float | None
    ssim: float | None
    csim: float | None

    def cells(self) -> tuple[str, str, str, str]:
        return f"{self.method} ({self.shots})", _number(self.frechet, 2), _number(self.ssim, 3), _number(self.csim, 3)


def paper_rows(report: Report) -> list[PaperRow]:
    """By number of shots, then method."""
    return [
        PaperRow(
            METHODS[system],
            shots,
            total.frechet[system],
            total.values[system].get("ssim"),
            total.values[system].get("csim"),
        )
        for shots, total in report.totals().items()
        for system in total.frechet
        if system != UNMOVED
    ]


def best_rows(rows: list[PaperRow]) -> set[tuple[int, int]]:
    """(row, column) of the best value of each column for each number of shots; of equal ones, all."""
    found = set()
    for shots in {row.shots for row in rows}:
        for column, sign in ((1, -1), (2, 1), (3, 1)):
            known = [
                (sign * float(row.cells()[column]), i)
                for i, row in enumerate(rows)
                if row.shots == shots and row.cells()[column] != "–"
            ]
            found |= {(i, column) for value, i in known if value == max(known)[0]}
    return found


def notes(report: Report) -> list[str]:
    """What a reader must know to read the table rightly."""
    totals = report.totals()
    samples = "; ".join(f"T = {shots}: {t.samples[0]} drawn, {t.samples[1]} real" for shots, t in totals.items())
    count = max((len(found) for found in report.clips.values()), default=0)
    clips = f"{count} clip{'s' if count != 1 else ''}"
    lines = [
        f"Self-reenactment on {clips}: sources in the first half, the same targets in the second half for every T.",
        f"{frechet.NAME} stands for the paper's FID: pooled features of EfficientNet-Lite0. Samples: {samples}.",
        "CSIM is dlib's descriptor, not ArcFace: compare within this table, not with the paper's.",
        "The paper's column USER is left out: it takes a study with people.",
    ]
    for shots in totals:
        if names := report.not_kept(shots):
            lines.append(
                f"T = {shots}: fine-tuning was not better on what it held out and was not kept for {', '.join(names)}; "
                "there, FT shows FF's pictures."
            )
    if report.ft_minutes is not None:
        lines.append(f"FT: at most {report.ft_minutes:g} minutes a clip and T.")
    if FULL in report.systems:
        lines.append("full FF: the paper's own network, feed-forward, with weights that do not come with visavis.")
    return lines


def as_markdown(report: Report) -> str:
    """The table and its notes."""
    rows = paper_rows(report)
    winners = best_rows(rows)
    lines = [f"| {' | '.join(HEADINGS)} |", "|---|--:|--:|--:|"]
    for i, row in enumerate(rows):
        cells = [f"**{cell}**" if (i, column) in winners else cell for column, cell in enumerate(row.cells())]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", *(f"- {note}" for note in notes(report))]
    lines.append(f"- Model {report.model}; {report.date}; {report.machine}.")
    return "\n".join(lines) + "\n"


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"
