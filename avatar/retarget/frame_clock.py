"""The time from one frame of the driver to the next."""

from __future__ import annotations

PAUSE_S = 0.5  # between two frames: from here on it was a pause, and the past says nothing
AFTER_PAUSE_S = 0.04  # what a pause counts as, at most: one frame


class FrameClock:
    """Tells how far apart frames are, and when there was a pause: a laptop that slept, a clip that starts again."""

    def __init__(self) -> None:
        self._last_ns: int | None = None
        self._stopped = False

    def stop(self) -> None:
        """Whenever the next frame comes, it comes after a pause."""
        self._stopped = True

    def tick(self, capture_ns: int) -> tuple[float, bool]:
        """Seconds since the last frame, and whether there was a pause between them."""
        step_s = 0.0 if self._last_ns is None else (capture_ns - self._last_ns) / 1e9
        paused = self._stopped or not 0 <= step_s <= PAUSE_S
        self._last_ns, self._stopped = capture_ns, False
        return (min(max(step_s, 0.0), AFTER_PAUSE_S) if paused else step_s), paused
