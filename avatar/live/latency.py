"""How long each stage of a frame's way takes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

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
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Forget everything, for instance after a warm-up."""
        with self._lock:
            self._samples = {stage: np.zeros(256, np.float32) for stage in self.stages}
            self._counts = dict.fromkeys(self.stages, 0)
            self._maxima = dict.fromkeys(self.stages, 0.0)

    def record(self, stage: str, duration_ms: float) -> None:
        with self._lock:
            count, samples = self._counts[stage], self._samples[stage]
            if count == len(samples) < KEPT:
                samples = self._samples[stage] = np.concatenate([samples, np.zeros_like(samples)])
            samples[count % KEPT] = duration_ms
            self._counts[stage] = count + 1
            self._maxima[stage] = max(self._maxima[stage], duration_ms)

    @contextmanager
    def time(self, stage: str) -> Iterator[None]:
        """Record how long the body takes. A body that raises is not recorded."""
        start_ns = time.monotonic_ns()
        yield
        self.record(stage, (time.monotonic_ns() - start_ns) / 1e6)

    def table(self) -> dict[str, StageLatency]:
        """One line per stage that was seen, in the order of a frame's way."""
        with self._lock:
            lines = {}
            for stage in self.stages:
                count = self._counts[stage]
                if count:
                    p50, p95, p99 = np.percentile(self._samples[stage][: min(count, KEPT)], [50, 95, 99])
                    lines[stage] = StageLatency(count, float(p50), float(p95), float(p99), self._maxima[stage])
            return lines
