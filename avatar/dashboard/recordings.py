"""Recordings that a page starts: files in one folder of the user's own, told of once they are whole."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from shutil import which
from typing import Any

from avatar.core.avatar_name import file_stem
from avatar.core.errors import DeviceError
from avatar.core.file_name import numbered
from avatar.core.paths import home
from avatar.dashboard.refusals import NotThereError
from avatar.publish.recorder import Recorder

FOLDER, SUFFIX, UNFINISHED = "recordings", ".mp4", ".part.mp4"


def recordings_folder() -> Path:
    """Readable by its owner alone."""
    folder = home() / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def recording(name: str) -> Path:
    """The file of that name, if it is a whole recording. Raises NotThereError."""
    for path in recordings_folder().iterdir():
        if path.name == name and path.suffix == SUFFIX and not name.endswith(UNFINISHED):
            if path.is_file() and not path.is_symlink():
                return path
            break
    raise NotThereError("There is no such recording. It may have been moved or deleted.")


@dataclass(frozen=True, slots=True)
class Recording:
    """One that goes on."""

    recorder: Recorder
    since_s: float  # time.time()


class Recordings:
    """The one that goes on now, and the last that has ended, over all runs of one program."""

    def __init__(self) -> None:
        self.now: Recording | None = None
        self._last: dict[str, Any] | None = None

    def report(self) -> dict[str, Any]:
        now = self.now
        return {
            "recording": None if now is None else {"name": now.recorder.path.name, "since_s": round(now.since_s, 1)},
            "recorded": self._last,
        }

    def begin(self, avatar: str) -> Recorder:
        named = recordings_folder() / f"{file_stem(avatar)} {datetime.now():%Y-%m-%d %H.%M.%S}{SUFFIX}"
        path = next(name for name in numbered(named) if not name.exists())  # where the clock was set back
        self.now = Recording(Recorder(path), time.time())
        return self.now.recorder

    def ended(self) -> None:
        """Once the recorder is closed, and what it wrote is signed. Where it wrote nothing, nothing is told."""
        now, self.now = self.now, None
        if now is not None and now.recorder.written:
            path = now.recorder.written[-1]
            path.chmod(0o600)
            self._last = {"name": path.name, "seconds": round(now.recorder.seconds, 1), "bytes": path.stat().st_size}


def show_in_folder(path: Path) -> None:
    """Open the desktop's file manager there. Raises DeviceError where there is none."""
    if sys.platform == "win32":
        command = ["explorer", f"/select,{path}"]
    elif sys.platform == "darwin":
        command = ["open", "-R", str(path)]
    else:
        command = ["xdg-open", str(path.parent)]
    desktop = sys.platform != "linux" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if not desktop or which(command[0]) is None:
        raise DeviceError(f"No file manager can be opened here. The recording is {path}")
    subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
