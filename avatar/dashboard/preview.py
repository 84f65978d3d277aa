"""What is published, for the owner's page: the newest picture as JPEG, and what each second was like."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from avatar.core.frame import Frame
from avatar.publish.publisher import Publisher

QUALITY = 85  # of the JPEG; one takes 2 to 4 ms at 512 x 512, and is made only for a page that looks


@dataclass(frozen=True, slots=True)
class Second:
    """The pictures published since the last call."""

    fps: float
    p50_ms: float  # camera → published
    p99_ms: float


class PagePreview(Publisher):
    """Keeps the newest frame. `on_frame` is called for each, in the loop's thread: it must not wait."""

    name = "the page's preview"

    def __init__(self, on_frame: Callable[[], None], watched: Callable[[], bool] = lambda: True) -> None:
        """watched: whether a page is open."""
        self._on_frame, self._watched = on_frame, watched
        self._lock = threading.Lock()
        self._newest: Frame | None = None
        self._ages_ms: list[float] = []
        self._since_ns = time.monotonic_ns()

    def open(self, width: int, height: int, fps: float) -> None:
        self._since_ns = time.monotonic_ns()

    def send(self, frame: Frame) -> None:
        with self._lock:
            self._newest = frame
            self._ages_ms.append((time.monotonic_ns() - frame.capture_ns) / 1e6)
        self._on_frame()

    @property
    def watched(self) -> bool:  # type: ignore[override]
        return self._watched()

    def close(self) -> None:
        with self._lock:
            self._newest = None

    @property
    def newest(self) -> Frame | None:
        with self._lock:
            return self._newest

    def second(self) -> Second:
        """Of what was published since it was asked last."""
        now_ns = time.monotonic_ns()
        with self._lock:
            ages, self._ages_ms = self._ages_ms, []
        elapsed_s, self._since_ns = (now_ns - self._since_ns) / 1e9, now_ns
        if not ages:
            return Second(0.0, 0.0, 0.0)
        p50, p99 = np.percentile(ages, (50, 99))
        return Second(round(len(ages) / max(elapsed_s, 1e-3), 1), round(float(p50), 1), round(float(p99), 1))


def as_jpeg(frame: Frame) -> bytes:
    """The picture as it is published."""
    _, data = cv2.imencode(".jpg", cv2.cvtColor(frame.rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return data.tobytes()
