"""What a run takes of the computer, second by second: processor time, memory, files, threads; and its latency."""

from __future__ import annotations

import math
import time

import numpy as np
import psutil
from numpy.typing import NDArray

from avatar.profiling.soak import Slope, slope, warm_up_s

SPARE_S = 60  # a loop that is stalled ends late
TIME_S, CPU_S, MEMORY_MB, FILES, THREADS, LATENCY_MS = range(6)  # the columns
MINUTE_S = 60


class Usage:
    """One row a second. The first second is settling, and counts for memory alone."""

    def __init__(self, seconds: float) -> None:
        """`seconds`: how long the run is to last."""
        self._process = psutil.Process()
        # written to now, so that it is no growth later
        self._rows = np.full((math.ceil(seconds) + SPARE_S, 6), np.nan)
        self._count = 0

    def add(self, latency_ms: float) -> None:
        """A second has passed. `latency_ms`: the median of its frames, NaN where there were none."""
        row = min(self._count, len(self._rows) - 1)
        members = _tree(self._process)
        self._rows[row] = (time.monotonic(), *_used(members), *_held(members), latency_ms)
        self._count = row + 1

    @property
    def cpu_percent(self) -> float:
        """Of one core, whole process tree."""
        settled = self._settled
        if len(settled) < 2:
            return 0.0
        passed = settled[-1] - settled[0]
        return float(100 * passed[CPU_S] / passed[TIME_S])

    @property
    def memory_mb(self) -> float:
        """The highest resident size of the process tree. At the end of a run of less than a second, that of now."""
        if self._count == 0:
            self.add(math.nan)
        return float(self._rows[: self._count, MEMORY_MB].max())

    @property
    def minutes(self) -> tuple[tuple[float, float], ...]:
        """Of each minute: the median latency in ms, and of the resident megabytes."""
        timed, elapsed_s = self._timed()
        return tuple(
            (float(np.median(part[:, LATENCY_MS])), float(np.median(part[:, MEMORY_MB])))
            for minute in range(int(elapsed_s[-1] // MINUTE_S) + 1 if len(timed) else 0)
            if len(part := timed[elapsed_s // MINUTE_S == minute])
        )

    @property
    def slopes(self) -> tuple[Slope, ...]:
        """Whether anything grows after a warm-up. None of a run that is too short to tell."""
        timed, elapsed_s = self._timed()
        if len(timed) < 3:
            return ()
        warm = timed[elapsed_s >= warm_up_s(elapsed_s[-1])]
        times_s = warm[:, TIME_S]
        return (
            slope("capture → published, median of a second", "ms", times_s, warm[:, LATENCY_MS]),
            slope("memory of the process tree", "MB", times_s, warm[:, MEMORY_MB]),
            slope("open files of the process tree", "files", times_s, warm[:, FILES]),
            slope("threads of the process tree", "threads", times_s, warm[:, THREADS]),
        )

    @property
    def _settled(self) -> NDArray[np.float64]:
        return self._rows[1 if self._count > 2 else 0 : self._count]

    def _timed(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The settled rows of seconds with a frame, and how long after the first of them each is, in seconds."""
        timed = self._settled[np.isfinite(self._settled).all(1)]
        return timed, timed[:, TIME_S] - timed[:1, TIME_S]


def tree_usage(process: psutil.Process) -> tuple[float, float]:
    """(CPU seconds, resident megabytes) of a process and its children."""
    return _used(_tree(process))


def _tree(process: psutil.Process) -> list[psutil.Process]:
    """It and its children, for which all processes of the computer are looked through."""
    return [process, *process.children(recursive=True)]


def _used(members: list[psutil.Process]) -> tuple[float, float]:
    """CPU seconds and resident megabytes."""
    cpu_s = resident = 0.0
    for member in members:
        try:
            times = member.cpu_times()
            cpu_s += times.user + times.system
            resident += member.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return cpu_s, resident / 1e6


def _held(members: list[psutil.Process]) -> tuple[int, int]:
    """Open files (on Windows, handles) and threads."""
    files = threads = 0
    for member in members:
        try:
            files += member.num_handles() if psutil.WINDOWS else member.num_fds()
            threads += member.num_threads()
        except psutil.Error:  # it has ended meanwhile, or belongs to somebody else
            continue
    return files, threads
