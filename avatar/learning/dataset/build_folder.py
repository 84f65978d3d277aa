"""The folder of a build: whose it is, what it was begun with, and what is said where it cannot be written."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from avatar.core.errors import InputError, UsageError, VisavisError
from avatar.core.whole_file import part_of
from avatar.learning.dataset.built_dataset import FORMAT, write_json
from avatar.learning.dataset.plan import Plan

BUILD_FILE = "build.json"
LOCK_FILE = ".lock"
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def writing(out: Path) -> Iterator[None]:
    """Make the folder; say plainly when the disk is full or may not be written."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        place = error.filename or out
        if error.errno in _NO_ROOM:
            free_mb = shutil.disk_usage(out).free / 1e6 if out.is_dir() else 0.0
            raise VisavisError(
                f"{out}: no room is left to write ({error.strerror}; {free_mb:.0f} MB free). What is done is kept: "
                "make room and run the same command again to go on."
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise VisavisError(
                f"{place} may not be written ({error.strerror}). Change its permissions or --out."
            ) from error
        if isinstance(error, FileExistsError | NotADirectoryError):
            raise UsageError(f"{out} is a file, or lies below one. Give a folder as --out.") from error
        raise


@contextmanager
def alone_in(out: Path) -> Iterator[None]:
    """Keep a second build out of the folder. The lock goes with the process, however that ends."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    handle = os.open(out / LOCK_FILE, os.O_CREAT | os.O_RDWR, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"Another build is at work in {out}. Wait for it, or give another --out.") from None
        yield
    finally:
        os.close(handle)


def begin(out: Path, source: Path, options: dict[str, Any], plan: Plan) -> None:
    """Write down what is being built, or check that it is the same as before."""
    path = out / BUILD_FILE
    sources = {"files": len(plan.sources.files), "sha256": plan.fingerprint}
    if not path.is_file():
        if strangers := sorted(p.name for p in out.iterdir() if p.name not in (LOCK_FILE, part_of(path).name)):
            raise UsageError(
                f"{out} is not empty (it holds {strangers[0]}) and no data set. Give an empty or new folder."
            )
        write_json(path, {"format": FORMAT, "options": options, "sources": sources})
        return
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
        other = {name: value for name, value in before["options"].items() if options.get(name) != value}
        sources_before, made_by = before["sources"], before["format"]
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise InputError(f"{path} is damaged ({error}). Delete {out} and build again.") from error
    again = f"or build into another folder, or delete {out} to start again"
    if made_by != FORMAT:
        raise UsageError(f"{out} was begun by a version with another format. Finish it with that one, {again}.")
    if other:
        said = ", ".join(f"{name} {value} (now {options.get(name)})" for name, value in sorted(other.items()))
        raise UsageError(f"{out} was begun with other options: {said}. Give the same ones to go on, {again}.")
    if sources_before != sources:
        raise UsageError(
            f"{source} is not what {out} was begun from: files or sizes have changed ({sources_before['files']} files "
            f"then, {sources['files']} now). Bring it back as it was to go on, {again}."
        )
