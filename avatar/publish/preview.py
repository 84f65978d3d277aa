"""A window that shows the avatar."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import cv2

from avatar.errors import DeviceError
from avatar.frame import Frame
from avatar.publish.threaded import ThreadedPublisher

TITLE = "visavis (q closes)"
ESCAPE = 27
IN_CALLERS_THREAD = sys.platform == "darwin"  # macOS lets only a program's main thread have windows


class Preview(ThreadedPublisher):
    """An OpenCV window. `q`, Escape or closing it ends the run, as Ctrl-C in the terminal does."""

    name = "The preview"

    def __init__(self) -> None:
        super().__init__()
        self._shown = False

    def open(self, width: int, height: int, fps: float) -> None:
        if IN_CALLERS_THREAD:
            self._begin(width, height, fps)
        else:
            super().open(width, height, fps)

    def send(self, frame: Frame) -> None:
        if IN_CALLERS_THREAD:
            self._take(frame)
        else:
            super().send(frame)

    def close(self) -> None:
        if IN_CALLERS_THREAD:
            self._end()
        else:
            super().close()

    def _begin(self, width: int, height: int, fps: float) -> None:
        problem = why_no_window()
        if problem:
            raise DeviceError(f"{problem} Record instead: --to FILE.mp4")
        try:
            cv2.namedWindow(TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
            cv2.resizeWindow(TITLE, width, height)
        except cv2.error as error:
            raise DeviceError(f"No window can be opened ({error.err}). Record instead: --to FILE.mp4") from error

    def _take(self, frame: Frame) -> None:
        cv2.imshow(TITLE, frame.rgb[:, :, ::-1])
        key = cv2.waitKey(1) & 0xFF
        closed = self._shown and cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) < 1
        self._shown = True
        if closed or key in (ord("q"), ESCAPE):
            raise KeyboardInterrupt

    def _end(self) -> None:
        if self._shown:
            cv2.destroyAllWindows()
            self._shown = False


def why_no_window() -> str | None:
    """None when a desktop is there to show a window. Asked first, because Qt aborts the process where there is none."""
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
