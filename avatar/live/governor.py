"""Lowers the work of the stage that is short of time, and raises it again when all is calm.

A stage is short where frames are dropped before it: each hop is a mailbox of size one. Which one it is says what helps.
Where the tracker is late, every second frame is tracked; where the avatar is, it is drawn smaller, the last resort;
and where the whole computer has nothing to spare, the tracker gives its time first, whoever is late.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import astuple, dataclass
from typing import Literal

import psutil

from avatar.live.dial import Dial

WINDOW_NS = 400_000_000  # after which the load is judged
LOST = 0.1  # share of the frames that may be dropped before a stage
ENOUGH_FPS = 27.0  # pictures, of a camera that gives more: what is dropped then is no loss
SHORT_WINDOWS = 4  # in a row, before work is lowered: a spike is shorter
SPARE = 0.1  # share of all cores' time; where less is left, the whole computer is short
EASY_TRACKER, EASY_AVATAR = 0.45, 0.75  # share of its time that a thread may work, for more to be tried

Short = Literal["", "tracker", "drawing", "publishing", "computer"]  # of time
WHY: dict[Short, str] = {
    "tracker": "the face tracker is behind",
    "drawing": "drawing is behind",
    "publishing": "pictures are taken too slowly",
    "computer": "the computer is busy",
}
TRACKED = {1: "", 2: "every 2nd frame tracked"}
DRAWN = {1.0: "", 0.75: "drawn at 3/4 of the size", 0.5: "drawn at half the size"}


@dataclass(frozen=True, slots=True)
class Level:
    """How much work a frame may be."""

    render_share: float = 1.0  # of the picture's side at which the avatar is drawn, then enlarged
    track_every: int = 1  # of so many camera frames one is tracked; motion between them is extrapolated

    @property
    def name(self) -> str:
        return ", ".join(filter(None, (TRACKED[self.track_every], DRAWN[self.render_share]))) or "full"


FULL = Level()


@dataclass(frozen=True, slots=True)
class Work:
    """Totals since the start of the run: frames dropped before each stage, and how long two threads have worked."""

    tracker_lost: int = 0
    avatar_lost: int = 0
    publishers_lost: int = 0
    tracker_ns: int = 0
    avatar_ns: int = 0


def spare_cores() -> float:
    """The share of all cores' time that nobody used since it was asked last, by the same thread."""
    try:
        return 1 - float(psutil.cpu_percent()) / 100
    except OSError:  # a confined program may not be told
        return 1.0


class Governor:
    """Told of every frame, it answers with the level for the next one. It knows no clock but the frames' own."""

    def __init__(self, spare: Callable[[], float] = spare_cores) -> None:
        """`spare`: the share of all cores' time that nobody used since it was asked last."""
        self.spare = spare
        self.seconds = defaultdict[str, float](float)  # spent at each level, by its name
        self.lowest_level = FULL  # the least work that a frame has been
        self.short: Short = ""  # now, or when what is still lowered was
        self._tracking, self._drawing = Dial(len(TRACKED), EASY_TRACKER), Dial(len(DRAWN), EASY_AVATAR)
        self._start_ns: int | None = None
        self._frames, self._before = 0, Work()
        self._short_windows = Counter[Short]()
        self._cause: Short = ""  # of what is lowered

    @property
    def level(self) -> Level:
        return Level(list(DRAWN)[self._drawing.at], list(TRACKED)[self._tracking.at])

    @property
    def words(self) -> str:
        """The level and what is short: "every 2nd frame tracked (the face tracker is behind)"."""
        return in_words(self.level.name, self.short)

    def frame(self, now_ns: int, work: Work) -> Level:
        """One more frame was painted; `work` is what all of them were."""
        if self._start_ns is None or now_ns < self._start_ns:
            self._start_ns, self._before = now_ns, work
        self._frames += 1
        if now_ns - self._start_ns >= WINDOW_NS:
            self._judge(now_ns - self._start_ns, work)
            self._start_ns, self._before, self._frames = now_ns, work, 0
        return self.level

    def _judge(self, window_ns: int, work: Work) -> None:
        full = self.spare() < SPARE  # asked each time: it is of the time since the last one
        if window_ns > 4 * WINDOW_NS:  # the computer slept, or nobody was there
            self._short_windows.clear()
            return
        self.seconds[self.level.name] += window_ns / 1e9
        spent = [now - before for now, before in zip(astuple(work), astuple(self._before), strict=True)]
        lost, (tracker_ns, avatar_ns) = spent[:3], spent[3:]
        if self._frames >= ENOUGH_FPS * window_ns / 1e9:
            lost[:2] = 0, 0
        shares = [count / (self._frames + sum(lost)) for count in lost]
        stages: tuple[Short, ...] = ("tracker", "drawing", "publishing")
        for stage, share in zip(stages, shares, strict=True):
            self._short_windows[stage] = self._short_windows[stage] + 1 if share > LOST else 0
        behind = [stage for stage in stages if self._short_windows[stage] >= SHORT_WINDOWS]
        # what is lowered helps slow publishers only where they wait for a core
        calm = max(shares if full else shares[:2]) <= LOST / 2
        easy = [
            dial
            for dial, busy_ns in ((self._drawing, avatar_ns), (self._tracking, tracker_ns))
            if dial.easy_for_long(calm, busy_ns / window_ns)
        ]
        if behind:
            self.short = "computer" if full else behind[0]
            self._lower(tracking=full or "tracker" in behind, drawing=full or "drawing" in behind)
        else:
            if easy:
                easy[0].raise_()
            self.short = "" if self.level == FULL else self._cause

    def _lower(self, *, tracking: bool, drawing: bool) -> None:
        """What may be lowered, of that the first that can be."""
        if (tracking and self._tracking.lower()) or (drawing and self._drawing.lower()):
            self._cause = self.short
            self._short_windows.clear()
            levels = self.lowest_level, self.level
            self.lowest_level = min(levels, key=lambda level: (level.render_share, -level.track_every))


def in_words(level: str, short: Short) -> str:
    """The level of that name, and what was short of time."""
    return f"{level} ({WHY[short]})" if short else level
