"""Which process and thread takes how much of the processor for a frame, whatever else the computer does."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field

import psutil

TRACKER = "face tracker"
_TRACKER_MODULE = "avatar.tracking.child"
_LIBRARIES = "threads of libraries"
_OURS = "visavis-"


@dataclass
class CoreTime:
    """Adds up from the first `add` to the last one. Of threads the kernel counts in hundredths of a second."""

    _first: tuple[Counter[str], int] | None = None
    _last: tuple[Counter[str], int] = field(default_factory=lambda: (Counter(), 0))

    def add(self, published: int) -> None:
        """`published`: how many frames were, so far."""
        seconds = _seconds()
        if self._first is None:
            self._first = self._last = seconds, published
        elif set(self._first[0]) <= set(seconds):  # what has ended meanwhile can be asked no more
            self._last = seconds, published

    def ms_a_frame(self) -> dict[str, float]:
        """By process, and by thread of this one, the largest first. Nothing where no frame was published."""
        if self._first is None or self._last[1] <= self._first[1]:
            return {}
        (before, first), (after, last) = self._first, self._last
        each = {who: 1e3 * (after[who] - before[who]) / (last - first) for who in after}
        return dict(sorted(each.items(), key=lambda one: -one[1]))


def _seconds() -> Counter[str]:
    """Of this process' threads by their names, and of the processes that it has started."""
    process, seconds = psutil.Process(), Counter[str]()
    names = {thread.native_id: thread.name.removeprefix(_OURS) for thread in threading.enumerate()}
    for thread in process.threads():
        seconds[names.get(thread.id, _LIBRARIES)] += thread.user_time + thread.system_time
    for child in process.children(recursive=True):
        try:
            name = TRACKER if _TRACKER_MODULE in child.cmdline() else child.name()
            seconds[name] += sum(child.cpu_times()[:2])
        except psutil.Error:  # it has ended meanwhile
            continue
    return seconds
