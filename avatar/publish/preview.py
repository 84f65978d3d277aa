"""A window that shows the avatar."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import cv2

from avatar.errors import DeviceError
from avatar.frame import Frame
from avatar.publish.publisher import Publisher

TITLE = "visavis (q closes)"
ESCAPE = 27


class Preview(Publisher):
    """An OpenCV window. `q`, Escape or closing it ends the run, as Ctrl-C in the terminal does."""

    def __init__(self) -> None:
        self._shown = False

    def open(self, width: int, height: int, fps: float) -> None:
        problem = why_no_window()
        if problem:
            raise DeviceError(f"{problem} Record instead: --to FILE.mp4")
        try:
            cv2.namedWindow(TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
            cv2.resizeWindow(TITLE, width, height)
        except cv2.error as error:
            raise DeviceError(f"No window can be opened ({error.err}). Record instead: --to FILE.mp4") from error

    def send(self, frame: Frame) -> None:
        cv2.imshow(TITLE, frame.rgb[:, :, ::-1])
        key = cv2.waitKey(1) & 0xFF
        closed = self._shown and cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) < 1
        self._shown = True
        if closed or key in (ord("q"), ESCAPE):
            raise KeyboardInterrupt

    def close(self) -> None:
        if self._shown:
            cv2.destroyAllWindows()


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
