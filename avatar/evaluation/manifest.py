"""Which files of a training pack nobody learnt from: those that its manifest.csv puts into the split `val`."""

from __future__ import annotations

import csv
from collections.abc import Collection
from pathlib import Path
from zlib import crc32

from avatar.core.errors import UsageError

NAME = "manifest.csv"
VAL = "val"
STILLS = "stills"  # the pack's folder of photos


def val_files(folder: Path, suffixes: Collection[str]) -> list[Path]:
    """Those with one of the suffixes, in the manifest's order. Raises UsageError for a manifest without a split."""
    return [folder / row["file"] for row in _rows(folder) if row["split"] == VAL and _is_one(row["file"], suffixes)]


def stills(folder: Path, suffixes: Collection[str]) -> list[Path]:
    """The photos of `val`, then the others in an order that mixes them: val alone has few that smile."""
    rows = [row for row in _rows(folder) if row["file"].startswith(f"{STILLS}/") and _is_one(row["file"], suffixes)]
    rows.sort(key=lambda row: (row["split"] != VAL, crc32(row["file"].encode())))
    return [folder / row["file"] for row in rows]


def photo_groups(folder: Path, suffixes: Collection[str]) -> list[list[Path]]:
    """The photos of `val`, those of one person together. None where the manifest has no column `identity`."""
    groups: dict[str, list[Path]] = {}
    for row in _rows(folder):
        if row["split"] == VAL and row.get("identity") and _is_one(row["file"], suffixes):
            groups.setdefault(row["identity"], []).append(folder / row["file"])
    return [paths for paths in groups.values() if len(paths) > 1]


def _rows(folder: Path) -> list[dict[str, str]]:
    with (folder / NAME).open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    if not rows or not {"file", "split"} <= rows[0].keys():
        raise UsageError(f"{folder / NAME} has no columns `file` and `split`. Give a folder of videos instead.")
    return rows


def _is_one(name: str, suffixes: Collection[str]) -> bool:
    return Path(name).suffix.lower() in suffixes
