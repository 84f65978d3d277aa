"""A window that shows the avatar."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np

from avatar.core.errors import DeviceError
from avatar.core.frame import Frame
from avatar.publish.threaded import ThreadedPublisher
from engines.child_process import without_secrets

END_S = 5.0
INSTEAD = "Record instead: --to FILE.mp4"


class Preview(ThreadedPublisher):
    """A window in a process of its own (`preview_window`). `q`, Escape or closing it ends the run, as Ctrl-C does."""

    name = "The preview"
    keeps_size = "A preview's window has one size. Close it first."

    def __init__(self) -> None:
        super().__init__()
        self._window: subprocess.Popen[bytes] | None = None

    def _begin(self, width: int, height: int, fps: float) -> None:
        problem = why_no_window()
        if problem:
            raise DeviceError(f"{problem} {INSTEAD}")
        command = [sys.executable, "-m", "avatar.publish.preview_window", str(width), str(height)]
        self._window = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=without_secrets(),
        )
        assert self._window.stdout is not None
        said = self._window.stdout.readline().decode(errors="replace").strip()
        if said != "ready":
            raise DeviceError(f"No window can be opened ({said or 'it crashed'}). {INSTEAD}")

    def _take(self, frame: Frame) -> None:
        assert self._window is not None and self._window.stdin is not None
        try:
            self._window.stdin.write(np.ascontiguousarray(frame.rgb).data)
            self._window.stdin.flush()
        except OSError as error:  # the window is no more
            if self._window.wait(END_S) == 0:
                raise KeyboardInterrupt from error
            raise DeviceError(f"The preview window crashed. {INSTEAD}") from error

    def _end(self) -> None:
        window, self._window = self._window, None
        if window is None:
            return
        for pipe in (window.stdin, window.stdout):
            assert pipe is not None
            with suppress(OSError):
                pipe.close()
        try:
            window.wait(END_S)
        except subprocess.TimeoutExpired:
            window.kill()
            window.wait()


def why_no_window() -> str | None:
    """None when a desktop is there to show a window. Asked first: Qt only aborts."""
    if sys.platform != "linux" or os.environ.get("WAYLAND_DISPLAY"):
        return None
    display = os.environ.get("DISPLAY", "")
    if not display:
        return "There is no desktop here to show a preview window on (neither DISPLAY nor WAYLAND_DISPLAY is set)."
    host, _, rest = display.rpartition(":")
    number = rest.split(".")[0]
    if not host and not Path(f"/tmp/.X11-unix/X{number}").exists():
        return f"The desktop named by DISPLAY={display} does not run."
    return None
