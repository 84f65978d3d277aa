"""A token bucket."""

from __future__ import annotations

import time
from collections.abc import Callable


class Allowance:
    """So much per second, and a burst before it."""

    def __init__(self, per_second: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second, self._burst, self._clock = per_second, burst, clock
        self._left, self._then_s = burst, clock()

    def take(self) -> bool:
        """One more? False when the allowance is used up for now."""
        now_s = self._clock()
        self._left = min(self._burst, self._left + (now_s - self._then_s) * self._per_second)
        self._then_s = now_s
        if self._left < 1:
            return False
        self._left -= 1
        return True
