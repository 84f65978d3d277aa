"""A camera for an avatar that nobody drives."""

from __future__ import annotations

import threading
import time

from avatar.core.frame import NoPicture

BETWEEN_S = 0.1


class Nobody:
    """A `Camera` without pictures: the avatar idles by its own clock until `close`."""

    name, fps, dropped = "nobody", 30.0, 0

    def __init__(self) -> None:
        self._closed = threading.Event()

    def read(self) -> NoPicture | None:
        return None if self._closed.wait(BETWEEN_S) else NoPicture(time.monotonic_ns())

    def close(self) -> None:
        """Ends a waiting `read`. Safe to call twice."""
        self._closed.set()
