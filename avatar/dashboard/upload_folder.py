"""Folders for what a page sends. What a killed program left in one is removed by the next; nothing else ever is."""

from __future__ import annotations

import os
import re
import tempfile
from contextlib import suppress
from pathlib import Path

from avatar.core.errors import InputError
from avatar.core.paths import home
from engines.files import CAREFULLY, try_lock

PREFIX, LOCK = "upload-", ".lock"
_FOLDER = re.compile(rf"{PREFIX}[a-z0-9_]{{8}}")  # as tempfile names them
_FILE = re.compile(r"photo-[0-9]+|clip|made|\.made\.[a-z0-9_]{8}\.part|before|after|picture|dropped(\.[a-z0-9]{1,5})?")


class UploadFolder:
    """A new one, for this user alone. The file beside it is locked until `remove`, or until this program has ended.

    Before the folder is there its lock is held, so whoever finds a folder whose lock is free knows that it is nobody's.
    Raises InputError where uploads cannot be kept.
    """

    def __init__(self) -> None:
        parent = home() / "uploads"
        if parent.is_symlink():
            raise InputError(
                f"{parent} is a link, and what a page sends is kept in no place but visavis' own. Remove it."
            )
        parent.mkdir(mode=0o700, exist_ok=True)
        remove_stale()
        descriptor, lock = tempfile.mkstemp(prefix=PREFIX, suffix=LOCK, dir=parent)
        self._lock = os.fdopen(descriptor, "r+b")
        with suppress(OSError):  # where a file system knows no locks, nobody else can hold one either
            try_lock(self._lock)
        self.path = Path(lock.removesuffix(LOCK))
        self.path.mkdir(mode=0o700)

    def remove(self) -> None:
        with suppress(OSError):
            _remove(self.path)
        self._lock.close()
        self.path.with_name(self.path.name + LOCK).unlink(missing_ok=True)


def remove_stale() -> None:
    """The uploads of programs that have ended without removing them."""
    parent = home() / "uploads"
    if parent.is_symlink() or not parent.is_dir():
        return
    with os.scandir(parent) as entries:
        named = [Path(entry.path) for entry in entries if _FOLDER.fullmatch(entry.name)]
    for folder in named:
        if not folder.is_symlink():
            with suppress(OSError):  # its program runs, or it is no upload
                _remove_abandoned(folder)


def _remove_abandoned(folder: Path) -> None:
    lock = folder.with_name(folder.name + LOCK)
    with os.fdopen(os.open(lock, os.O_RDWR | CAREFULLY), "r+b") as file:
        try_lock(file)
        _remove(folder)
    lock.unlink(missing_ok=True)


def _remove(folder: Path) -> None:
    """Only what was stored there. Raises OSError where anything else is left."""
    with os.scandir(folder) as entries:
        stored = [
            entry.path for entry in entries if _FILE.fullmatch(entry.name) and entry.is_file(follow_symlinks=False)
        ]
    for path in stored:
        Path(path).unlink()
    folder.rmdir()
