"""Recordings of a program that was killed meanwhile: they play as far as they came, and are kept or deleted."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import Any

from avatar.core.errors import InputError
from avatar.core.file_name import give_name, under_a_free_name
from avatar.dashboard.recordings import SUFFIX, recordings_folder
from avatar.dashboard.refusals import NotThereError
from avatar.publish.video_writer import playable_s

STILL_S = 10.0  # another visavis that records writes every second or so
STARTED_S = time.time()  # this process: its own may rest, while the computer sleeps or the next avatar loads

_CUT_OFF = re.compile(rf".+\.(\d+)\.part{re.escape(SUFFIX)}")  # NAME.PID, as VideoWriter names what is not whole


def cut_off_recordings() -> list[dict[str, Any]]:
    """[{name, bytes}] of those that nobody writes any more, the newest first."""
    found = []
    for path in recordings_folder().iterdir():
        named = _CUT_OFF.fullmatch(path.name)
        if named and path.is_file() and not path.is_symlink():
            about = path.stat()
            own = int(named[1]) == os.getpid() and about.st_mtime >= STARTED_S  # in a container, all have one PID
            if not own and time.time() - about.st_mtime >= STILL_S:
                found.append((about.st_mtime, {"name": path.name, "bytes": about.st_size}))
    return [told for _, told in sorted(found, key=lambda one: one[0], reverse=True)]


def keep(name: str) -> dict[str, Any]:
    """Give it the name that it should have had: {name, seconds, bytes}. Raises NotThereError, InputError."""
    path = _cut_off(name)
    seconds = playable_s(path)
    if seconds <= 0:
        raise InputError("Nothing of this recording plays: it was cut off too early. It can only be deleted.")
    path.chmod(0o600)
    wanted = path.with_name(path.name.rsplit(".", 3)[0] + SUFFIX)
    kept = under_a_free_name(wanted, None, lambda free, expected: give_name(path, free, expected))
    return {"name": kept.name, "seconds": round(seconds, 1), "bytes": kept.stat().st_size}


def delete(name: str) -> None:
    """Raises NotThereError."""
    _cut_off(name).unlink(missing_ok=True)


def _cut_off(name: str) -> Path:
    if any(told["name"] == name for told in cut_off_recordings()):
        return recordings_folder() / name
    raise NotThereError("There is no such recording. It may have been kept or deleted already.")
