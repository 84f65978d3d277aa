"""Lowers the work of the loop when the computer is busy, and raises it again when it is not."""

from __future__ import annotations

from dataclasses import dataclass

WINDOW_NS = 1_000_000_000  # after which the load is judged
BUSY = 0.9  # share of its time that the avatar's thread may work
LOST = 0.1  # share of the frames that may be dropped
EASY = 0.6  # share below which more work is tried
BUSY_WINDOWS = 2  # in a row, before work is lowered
EASY_WINDOWS, MOST_EASY_WINDOWS = 4, 64  # in a row, before it is raised; doubled each time that proves too much


@dataclass(frozen=True, slots=True)
class Level:
    """How much work a frame may be."""

    name: str
    render_share: float = 1.0  # of the picture's side at which the avatar is drawn, then enlarged
    track_every: int = 1  # of so many camera frames one is tracked; motion between them is interpolated


LEVELS = (
    Level("full"),
    Level("drawn at 3/4 of the size", 0.75),
    Level("drawn at 3/4 of the size, every 2nd frame tracked", 0.75, 2),
    Level("drawn at half the size, every 2nd frame tracked", 0.5, 2),
)


class Governor:
    """Told of every frame, it answers with the level for the next one. It knows no clock but the frames' own."""

    def __init__(self) -> None:
        self.at = 0  # in LEVELS
        self.lowest = 0  # highest index that was reached
        self._start_ns: int | None = None
        self._frames = self._lost = self._busy_ns = 0
        self._busy_windows = self._easy_windows = 0
        self._patience = EASY_WINDOWS
        self._raised = False  # the last change was upwards, and has not proved itself yet

    @property
    def level(self) -> Level:
        return LEVELS[self.at]

    @property
    def lowest_level(self) -> Level:
        """The least work that a frame has been since the start."""
        return LEVELS[self.lowest]

    def frame(self, now_ns: int, busy_ns: int, lost: int) -> Level:
        """One frame took `busy_ns` of the avatar's thread, and `lost` others were dropped before it came."""
        if self._start_ns is None or now_ns < self._start_ns:
            self._start_ns = now_ns
        self._frames += 1
        self._lost += lost
        self._busy_ns += busy_ns
        if now_ns - self._start_ns >= WINDOW_NS:
            self._judge(now_ns - self._start_ns)
            self._start_ns = now_ns
            self._frames = self._lost = self._busy_ns = 0
        return self.level

    def _judge(self, window_ns: int) -> None:
        if window_ns > 3 * WINDOW_NS:  # the computer slept, or nobody was there
            self._busy_windows = self._easy_windows = 0
            return
        busy = self._busy_ns / window_ns
        lost = self._lost / (self._frames + self._lost)
        overloaded = busy > BUSY or lost > LOST
        self._busy_windows = self._busy_windows + 1 if overloaded else 0
        self._easy_windows = self._easy_windows + 1 if busy < EASY and lost <= LOST / 2 else 0
        if self._busy_windows >= BUSY_WINDOWS and self.at < len(LEVELS) - 1:
            if self._raised:
                self._patience = min(2 * self._patience, MOST_EASY_WINDOWS)
            self._change(self.at + 1)
        elif self._easy_windows >= self._patience:
            if self.at == 0:
                self._patience = EASY_WINDOWS
                self._easy_windows = 0
            else:
                self._change(self.at - 1)

    def _change(self, at: int) -> None:
        self._raised = at < self.at
        self.at = at
        self.lowest = max(self.lowest, at)
        self._busy_windows = self._easy_windows = 0
