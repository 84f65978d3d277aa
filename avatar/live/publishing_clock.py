"""When frames were published: the rates of a live run, and what it does once a second."""

from __future__ import annotations


class PublishingClock:
    """Told of each published frame. Rates count from the end of the settling time."""

    def __init__(self, start_ns: int, settle_s: float) -> None:
        self._start_ns, self._settle_ns = start_ns, round(settle_s * 1e9)
        self._settled = settle_s <= 0
        self._first_ns = self._from_ns = self._last_ns = self._second_ns = 0
        self._intervals = 0

    def published(self, now_ns: int) -> float:
        """The milliseconds since the frame before; 0 for the first."""
        interval_ns = now_ns - self._last_ns if self._first_ns else 0
        if self._first_ns:
            self._intervals += 1
        else:
            self._first_ns = self._from_ns = self._second_ns = now_ns
        self._last_ns = now_ns
        return interval_ns / 1e6

    def settled_now(self) -> bool:
        """True once: when the settling time, counted from the first published frame, is over."""
        if self._settled or self._last_ns - self._first_ns < self._settle_ns:
            return False
        self._settled, self._from_ns, self._intervals = True, self._last_ns, 0
        return True

    def second_over(self) -> bool:
        if self._last_ns - self._second_ns < 1_000_000_000:
            return False
        self._second_ns = self._last_ns
        return True

    def seconds(self) -> float:
        return (self._last_ns - self._from_ns) / 1e9

    def fps(self) -> float:
        return self._intervals / self.seconds() if self._intervals else 0.0

    def first_frame_ms(self) -> float:
        return (self._first_ns - self._start_ns) / 1e6 if self._first_ns else 0.0
