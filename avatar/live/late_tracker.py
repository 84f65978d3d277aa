"""A face tracker that is started once there is something to track: an avatar that nobody drives needs none."""

from __future__ import annotations

import threading
from collections.abc import Callable

from avatar.core.arrays import Picture
from avatar.core.closing import Closing
from avatar.core.errors import VisavisError
from avatar.face.state import FaceState
from avatar.tracking.caged_tracker import CagedTracker


class LateTracker(Closing):
    """Starts with `started`, or with the first `track`. From any thread."""

    def __init__(self, start: Callable[[], CagedTracker]) -> None:
        self._start = start
        self._lock = threading.Lock()
        self._tracker: CagedTracker | None = None
        self._closed = False

    def started(self) -> CagedTracker:
        """Waits until it can track. Raises VisavisError when it cannot start, or was closed."""
        with self._lock:
            if self._closed:
                raise VisavisError("The avatar is not live any more.")
            if self._tracker is None:
                self._tracker = self._start()
            return self._tracker

    def track(self, rgb: Picture, capture_ns: int) -> FaceState:
        """As of `CagedTracker`."""
        return (self._tracker or self.started()).track(rgb, capture_ns)

    def forget(self) -> None:
        """As of `CagedTracker`."""
        if self._tracker is not None:
            self._tracker.forget()

    @property
    def pid(self) -> int | None:
        """Of the process that tracks; None while there is none."""
        return None if self._tracker is None else self._tracker.pid

    def close(self) -> None:
        with self._lock:
            self._closed = True
            if self._tracker is not None:
                self._tracker.close()
