"""What came out of `avatar.evaluation.driving`, as a table and as plain types."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from avatar.evaluation.driving import Contacts, Driven, SignalRow, Timing, contacts, signal_rows, timing
from avatar.evaluation.first_seconds import AFTER_S

HEADS = ("", "pairs", "slope", "worst fifth", "r", "worst fifth")
CONTACTS = {
    "lips_shut": "lips that touch, touch",
    "lips_parted": "lips that are apart, are apart",
    "blinks_shut": "eyes that shut, shut",
    "narrow_open": "eyes that narrow stay open",
    "opening_at_rest": "eyes at rest, of the portrait's",
}


@dataclass(frozen=True)
class Section:
    """Of the clips as they begin, or of those with the smile first."""

    title: str
    rows: list[SignalRow]
    contacts: Contacts
    timing: Timing

    def notes(self) -> list[tuple[str, str]]:
        """What is no signal: a title and a figure for each."""
        values = asdict(self.contacts)
        found = [(title, "–" if values[key] is None else f"{values[key]:.1%}") for key, title in CONTACTS.items()]
        if self.timing.lag_ms is not None:
            found.append(("lag of the mouth", f"{self.timing.lag_ms:.0f} ms"))
        for after_s, (median, worst) in zip(AFTER_S, self.timing.left_mm, strict=False):
            label = f"lips off {after_s:.0f} s after the smile, and in the worst fifth"
            found.append((label, f"{median:.1f}, {worst:.1f} mm"))
        return found


def sections(driven: Sequence[Driven]) -> list[Section]:
    """Of the clips as they begin, and with the smile first where somebody smiles."""
    titles = {False: "Driving", True: "Driving, 5 s after a smiling first second"}
    by_start = {smiled: [one for one in driven if one.smiled_first is smiled] for smiled in titles}
    return [
        Section(titles[smiled], signal_rows(found), contacts(found), timing(found))
        for smiled, found in by_start.items()
        if found
    ]


def cells(row: SignalRow) -> tuple[str, ...]:
    """Of one line of the table."""
    figures = (row.slope, row.worst_slope, row.r, row.worst_r)
    return (row.name, str(row.pairs), *(f"{figure:.2f}" for figure in figures))


def as_markdown(driven: Sequence[Driven]) -> str:
    parts = []
    for one in sections(driven):
        lines = [HEADS, ("---", *["--:"] * (len(HEADS) - 1)), *map(cells, one.rows)]
        lines += [(label, "", value, "", "", "") for label, value in one.notes()]
        parts.append(f"## {one.title}\n\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines))
    return "\n".join(parts)


def as_json(driven: Sequence[Driven]) -> dict[str, Any]:
    """The totals, and each pair's figures."""
    return {
        "totals": [
            {
                "title": one.title,
                "signals": [asdict(row) for row in one.rows],
                "contacts": asdict(one.contacts),
                "timing": asdict(one.timing),
            }
            for one in sections(driven)
        ],
        "pairs": [
            {
                "portrait": one.portrait,
                "driver": one.driver,
                "smiled_first": one.smiled_first,
                "frames": len(one.wanted),
                "lost": sum(signs is None for signs in one.drawn),
                "lag_ms": one.lag_ms,
                "left_mm": dict(zip((f"{after_s:g} s" for after_s in AFTER_S), one.left_mm, strict=False)),
                "signals": {name: asdict(found) for name, found in one.following().items()},
            }
            for one in driven
        ],
    }
