"""Files that are given one by one, or by their folder."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from avatar.core.errors import UsageError


def files_of(path: Path, suffixes: Collection[str], takes: str) -> list[Path]:
    """The files of a folder that end so, in order; a file as it is. Raises UsageError that says what is taken."""
    if path.is_dir():
        return sorted(p for p in path.iterdir() if p.suffix.lower() in suffixes and p.is_file())
    if path.is_file():
        return [path]
    raise UsageError(f"{path}: no such file or folder. {takes}")
