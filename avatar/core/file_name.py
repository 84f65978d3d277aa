"""Whether a name can be a file's, and who gets it: what was made replaces only what its maker knows of."""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal

from avatar.core.errors import UsageError

Version = tuple[int, int, int]  # of the file under a name: its inode, the time of its change, its bytes
Expected = Version | Literal["any"] | None  # what may be under a name: one file, whatever there is, nothing


def check_writable(path: Path) -> None:
    """Raises UsageError, before any work is done, where no file of this name could be written."""
    if path.is_dir():
        raise UsageError(f"{path} is a folder. Give a file's name.")
    if not path.parent.is_dir():
        raise UsageError(f"{path}: the folder {path.parent} does not exist. Create it: mkdir -p {path.parent}")
    if not os.access(path.parent, os.W_OK):
        raise UsageError(f"{path}: you may not write in {path.parent}. Choose another folder.")


def version(path: Path) -> Version | None:
    """Which file is under the name now; None when there is none. Raises OSError."""
    try:
        about = path.stat()
    except FileNotFoundError:
        return None
    return about.st_ino, about.st_mtime_ns, about.st_size


def give_name(part: Path, path: Path, expected: Expected = "any") -> None:
    """Rename `part`. Two who want one new name at the same time: one gets it, the other a FileExistsError."""
    if expected is not None:
        if expected != "any" and version(path) != expected:
            raise FileExistsError(errno.EEXIST, "changed meanwhile", str(path))
        part.replace(path)
        return
    try:
        os.link(part, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links: the name is taken first
        path.touch(mode=0o600, exist_ok=False)
        part.replace(path)
    else:
        part.unlink()


def under_a_free_name(path: Path, expected: Expected, write: Callable[[Path, Expected], None]) -> Path:
    """`write` under `path`, or where something unexpected is there, under the first of NAME-2, NAME-3 … that is free.

    For what took long to make and cannot be made again. Returns the name that it has.
    """
    for name in numbered(path):
        with suppress(FileExistsError):
            write(name, expected)
            return name
        expected = None
    raise AssertionError("there is no last number")


def numbered(path: Path) -> Iterator[Path]:
    """NAME, NAME-2, NAME-3 …"""
    yield path
    yield from (path.with_stem(f"{path.stem}-{number}") for number in itertools.count(2))
