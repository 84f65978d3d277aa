"""Publishing at a steady pace: viewers notice uneven intervals sooner than a few milliseconds of delay."""

from __future__ import annotations

import time

STEP_NS = 500_000  # by which the estimate moves with each frame
QUANTILE = 0.8  # of the frames that are ready in time


class SteadyPace:
    """Holds frames back until most others would have been ready too, counted from their capture.

    The delay that is aimed at follows the QUANTILE of the frames' own delays, and no frame waits longer than
    `most_ns`: a tenth of a frame's time is enough where the computer is not busy, and little where it is.
    """

    def __init__(self, most_ns: int) -> None:
        self._most_ns = most_ns
        self._delay_ns: int | None = None

    def hold_ns(self, capture_ns: int, now_ns: int) -> int:
        """How long a frame that is ready now should wait."""
        delay_ns = now_ns - capture_ns
        if self._delay_ns is None or abs(delay_ns - self._delay_ns) > 20 * self._most_ns:  # the first, or after a pause
            self._delay_ns = delay_ns
        self._delay_ns += round(STEP_NS * (QUANTILE if delay_ns > self._delay_ns else QUANTILE - 1))
        return min(max(self._delay_ns - delay_ns, 0), self._most_ns)

    def wait(self, capture_ns: int) -> None:
        hold_ns = self.hold_ns(capture_ns, time.monotonic_ns())
        if hold_ns > STEP_NS:  # less is not worth giving up the processor for
            time.sleep(hold_ns / 1e9)
