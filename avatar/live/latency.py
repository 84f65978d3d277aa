"""How long each stage of a frame's way takes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from avatar.core.arrays import Array
from avatar.live.trace import Trace

KEPT = 1 << 17  # newest samples per stage: an hour at 30 fps in half a megabyte


@dataclass(frozen=True, slots=True)
class StageLatency:
    """One line of the table, in milliseconds."""

    count: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float


class LatencyRecorder:
    """Collects durations by stage; memory is bounded (percentiles are over the newest KEPT samples). Thread-safe."""

    def __init__(self, stages: tuple[str, ...]) -> None:
        """`stages` are the lines of the table, in the order of a frame's way."""
        self.stages = stages
        self.trace: Trace | None = None  # what also gets every duration that `time` measures
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Forget everything, for instance after a warm-up."""
        with self._lock:
            # written to at once: memory that is touched later would look like a leak
            self._samples = {stage: np.full(KEPT, np.nan, np.float32) for stage in self.stages}
            self._counts = dict.fromkeys(self.stages, 0)
            self._maxima = dict.fromkeys(self.stages, 0.0)

    def record(self, stage: str, duration_ms: float) -> None:
        with self._lock:
            count, samples = self._counts[stage], self._samples[stage]
            samples[count % KEPT] = duration_ms
            self._counts[stage] = count + 1
            self._maxima[stage] = max(self._maxima[stage], duration_ms)

    def newest(self, stage: str, count: int) -> Array:
        """The last `count` durations of a stage in milliseconds, or as many as there are, in no order."""
        with self._lock:
            total, samples = self._counts[stage], self._samples[stage]
            at = np.arange(max(0, total - count, total - KEPT), total) % KEPT
            return np.asarray(samples[at])

    @contextmanager
    def time(self, stage: str) -> Iterator[None]:
        """Record how long the body takes. A body that raises is not recorded."""
        start_ns = time.monotonic_ns()
        yield
        end_ns = time.monotonic_ns()
        self.record(stage, (end_ns - start_ns) / 1e6)
        if self.trace is not None:
            self.trace.add(stage, start_ns, end_ns)

    def table(self) -> dict[str, StageLatency]:
        """One line per stage that was seen, in the order of a frame's way."""
        with self._lock:  # for copying alone: whoever records is in a hurry
            seen = [stage for stage in self.stages if self._counts[stage]]
            counts, maxima = dict(self._counts), dict(self._maxima)
            samples = {stage: self._samples[stage][: counts[stage]].copy() for stage in seen}
        lines = {}
        for stage in seen:
            p50, p95, p99 = np.percentile(samples[stage], [50, 95, 99])
            lines[stage] = StageLatency(counts[stage], float(p50), float(p95), float(p99), maxima[stage])
        return lines
