"""One thing that the governor can lower, and when it raises it again."""

from __future__ import annotations

PATIENCE, MOST_PATIENCE = 1, 128  # easy windows before work is raised; doubled each time that proves too much
EASIER = 0.75  # of the load at which a raise proved too much: below it, there is no more waiting
PROVEN_WINDOWS = 25  # calm ones after a raise, which prove it right


class Dial:
    """Told of every window of time, in which a thread worked for a share of it: the load."""

    def __init__(self, steps: int, easy: float) -> None:
        """easy: the load below which it may be raised."""
        self.at = 0  # 0: full
        self._steps, self._easy = steps, easy
        self._easy_windows, self._patience = 0, PATIENCE
        self._on_trial = 0  # calm windows until the last raise is proven right
        self._load = self._tried = self._too_much = 0.0  # now; when it was raised; when that proved too much

    def lower(self) -> bool:
        """Whether it could be."""
        if self.at == self._steps - 1:
            return False
        if self._on_trial:
            self._patience, self._too_much = min(2 * self._patience, MOST_PATIENCE), self._tried
        self.at += 1
        self._on_trial = self._easy_windows = 0
        return True

    def easy_for_long(self, calm: bool, load: float) -> bool:
        """A window has passed, in which its thread worked for the share `load` of the time. Whether to raise it."""
        if calm and self._on_trial:
            self._on_trial -= 1
            self._patience = self._patience if self._on_trial else PATIENCE
        self._load = load
        self._easy_windows = self._easy_windows + 1 if calm and load < self._easy else 0
        patience = PATIENCE if load < EASIER * self._too_much else self._patience
        return self.at > 0 and self._easy_windows >= patience

    def raise_(self) -> None:
        self.at -= 1
        self._tried, self._on_trial, self._easy_windows = self._load, PROVEN_WINDOWS, 0
