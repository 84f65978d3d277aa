"""The engines' folder: what is kept there, which can all be made again, and its files, which are read only where they
are this user's own, written whole or not at all, and locked."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from engines.backends import Say

LOCK_POLL_S = 0.2
LOCK_PATIENCE_S = 300.0  # whoever holds a lock for longer has been stopped
# No links, no waiting for the other end of a named pipe, and no bytes changed on Windows.
CAREFULLY = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)

# Names in full, so that a file which somebody else put here is not mistaken for one of these.
KINDS = {
    r"choice\.json": "which engine is the fastest",
    r"sm\d+-[0-9a-f]{64}\.engine": "a TensorRT engine",
    r"sm\d+-[0-9a-f]{64}\.[0-9a-f]{8}\.kernels": "what TensorRT compiled for this GPU",
    r"sm\d+-[0-9a-f]{64}\.timing": "what TensorRT timed on this GPU",
    r"(choice|sm\d+-[0-9a-f]{64})\.lock": "a lock",
    r"(choice\.json|sm\d+-[0-9a-f]{64}(\.[0-9a-f]{8})?\.(engine|kernels|timing))\.part": "left by a stopped process",
}
FOLDERS = {
    "openvino": {r".+\.(blob|cl_cache)": "what OpenVINO compiled"},
    "onnxruntime": {r".+\.(engine|profile|timing)": "what ONNX Runtime compiled"},
}


class Unfit(Exception):  # noqa: N818
    """Why a file is not used."""


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """A plain file to which nobody else can write. Raises OSError, and Unfit with what is wrong with it."""
    descriptor = os.open(path, os.O_RDONLY | CAREFULLY)
    with os.fdopen(descriptor, "rb") as file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode):
            raise Unfit("it is no plain file")
        if sys.platform != "win32" and (about.st_uid != os.geteuid() or about.st_mode & 0o022):
            raise Unfit("somebody else can write to it")
        yield file


def write_beside(path: Path, *parts: bytes) -> None:
    """Write a file whole or not at all. Raises OSError, and leaves nothing behind then."""
    beside = path.with_name(path.name + ".part")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | CAREFULLY, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        with suppress(OSError):
            beside.unlink()
        raise
    if sys.platform != "win32":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


@contextmanager
def locked(path: Path, doing: str, otherwise: str, say: Say) -> Iterator[bool]:
    """Hold the lock file `path`, waiting for whoever does. False: nothing can be written there, which is said.

    doing: what the other process is busy with then. otherwise: what happens where nothing can be written.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | CAREFULLY, 0o600), "r+b")
    except OSError as error:
        say(f"{path.parent} cannot be written to ({error.strerror}): {otherwise}")
        yield False
        return
    with file:
        waiting_since: float | None = None
        while True:
            try:
                try_lock(file)
                break
            except (BlockingIOError, PermissionError):
                if waiting_since is None:
                    say(f"another process is {doing}: waiting for it")
                    waiting_since = time.monotonic()
                elif time.monotonic() - waiting_since > LOCK_PATIENCE_S:
                    say(f"another process holds {path} for too long: going on without")
                    break
                time.sleep(LOCK_POLL_S)
            except OSError as error:
                say(f"{path} cannot be locked ({error.strerror}): going on without")
                break
        yield True  # closing the file gives the lock back, and so does the end of the process


def try_lock(file: IO[bytes]) -> None:
    if sys.platform == "win32":
        import msvcrt

        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def sound_or_none(path: Path) -> bytes | None:
    """The bytes of a file written by `write_checked`, or None when it is missing or not what was written."""
    with suppress(Unfit, OSError, ValueError):
        with opened(path) as file:
            recorded, data = file.read(32), file.read()
        if hashlib.sha256(data).digest() == recorded:
            return data
    return None


def write_checked(path: Path, data: bytes) -> None:
    """Write `data` with its SHA-256 before it. Raises OSError."""
    write_beside(path, hashlib.sha256(data).digest(), data)


@dataclass(frozen=True, slots=True)
class KeptFile:
    path: Path
    size_bytes: int
    what: str


def kept_files(folder: Path) -> list[KeptFile]:
    """The engines' own files in `folder`; anything else there is somebody else's. Links are not followed."""
    if folder.is_symlink():
        return []
    found = _of_kinds(folder, KINDS)
    for name, kinds in FOLDERS.items():
        if not (folder / name).is_symlink():
            found += _of_kinds(folder / name, kinds)
    return found


def remove_kept(folder: Path) -> list[KeptFile]:
    """Remove them, and the folders that are empty then. Raises OSError at the first that cannot be removed."""
    files = kept_files(folder)
    for file in files:
        file.path.unlink(missing_ok=True)
    for name in FOLDERS:
        below = folder / name
        if below.is_dir() and not below.is_symlink() and not any(below.iterdir()):
            below.rmdir()
    return files


def _of_kinds(folder: Path, kinds: dict[str, str]) -> list[KeptFile]:
    try:
        with os.scandir(folder) as entries:
            plain = sorted((entry for entry in entries if entry.is_file(follow_symlinks=False)), key=lambda e: e.name)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [
        KeptFile(Path(entry.path), entry.stat(follow_symlinks=False).st_size, what)
        for entry in plain
        for pattern, what in kinds.items()
        if re.fullmatch(pattern, entry.name)
    ]
