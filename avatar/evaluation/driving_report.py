"""What came out of `avatar.evaluation.driving`, as a table and as plain types."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from avatar.evaluation.driving import Contacts, Driven, SignalRow, contacts, signal_rows

HEADS = ("", "pairs", "slope", "worst fifth", "r", "worst fifth")
CONTACTS = {
    "lips_shut": "lips that touch, touch",
    "lips_parted": "lips that are apart, are apart",
    "blinks_shut": "eyes that shut, shut",
    "narrow_open": "eyes that narrow stay open",
    "opening_at_rest": "eyes at rest, of the portrait's",
}


def sections(driven: Sequence[Driven]) -> list[tuple[str, list[SignalRow], Contacts]]:
    """(title, rows, contacts) of the clips as they begin, and with the smile first where somebody smiles."""
    titles = {False: "Driving", True: "Driving, 5 s after a smiling first second"}
    by_start = {smiled: [one for one in driven if one.smiled_first is smiled] for smiled in titles}
    return [(titles[smiled], signal_rows(found), contacts(found)) for smiled, found in by_start.items() if found]


def cells(row: SignalRow) -> tuple[str, ...]:
    """Of one line of the table."""
    figures = (row.slope, row.worst_slope, row.r, row.worst_r)
    return (row.name, str(row.pairs), *(f"{figure:.2f}" for figure in figures))


def contact_cells(found: Contacts) -> list[tuple[str, str]]:
    """A title and a percentage for each."""
    values = asdict(found)
    return [(title, "–" if values[key] is None else f"{values[key]:.1%}") for key, title in CONTACTS.items()]


def as_markdown(driven: Sequence[Driven]) -> str:
    parts = []
    for title, rows, found in sections(driven):
        lines = [HEADS, ("---", *["--:"] * (len(HEADS) - 1)), *map(cells, rows)]
        lines += [(label, "", value, "", "", "") for label, value in contact_cells(found)]
        parts.append(f"## {title}\n\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines))
    return "\n".join(parts)


def as_json(driven: Sequence[Driven]) -> dict[str, Any]:
    """The totals, and each pair's figures."""
    return {
        "totals": [
            {"title": title, "signals": [asdict(row) for row in rows], "contacts": asdict(found)}
            for title, rows, found in sections(driven)
        ],
        "pairs": [
            {
                "portrait": one.portrait,
                "driver": one.driver,
                "smiled_first": one.smiled_first,
                "frames": len(one.wanted),
                "lost": sum(signs is None for signs in one.drawn),
                "signals": {name: asdict(found) for name, found in one.following().items()},
            }
            for one in driven
        ],
    }
