"""Files that have their names only when they are whole."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def part_of(path: Path) -> Path:
    """Where the file at `path` is written until it is whole."""
    return path.with_name(path.name + ".part")


@contextmanager
def whole_file(path: Path, *, durable: bool = False) -> Iterator[Path]:
    """The place to write to; after the block it gets the name `path`, and after an error nothing of it stays.

    durable: even a power cut leaves the older file or all of the new one. Raises OSError. For files about a person, or
    with secrets: `write_private`.
    """
    part = part_of(path)
    try:
        yield part
        if durable:
            with part.open("rb+") as file:
                os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise
