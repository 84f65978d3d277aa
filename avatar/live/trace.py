"""Every stage of every frame as a trace that Perfetto and Chrome show. https://ui.perfetto.dev

Format: https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
"""

from __future__ import annotations

import json
import os
import threading
from collections import deque
from pathlib import Path

KEPT = 500_000  # newest events: half an hour at 30 fps, 100 MB of text


class Trace:
    """Collects events; memory is bounded. Thread-safe."""

    def __init__(self) -> None:
        self._events: deque[tuple[str, str, int, int]] = deque(maxlen=KEPT)

    def add(self, stage: str, start_ns: int, end_ns: int) -> None:
        """One stage of one frame, in the thread that calls."""
        self._events.append((stage, threading.current_thread().name, start_ns, end_ns))

    def write(self, path: Path) -> int:
        """Write JSON; the number of events. Raises OSError."""
        threads = {name: number for number, name in enumerate(dict.fromkeys(event[1] for event in self._events), 1)}
        process = os.getpid()
        events: list[dict[str, object]] = [
            {"ph": "M", "name": "thread_name", "pid": process, "tid": number, "args": {"name": name}}
            for name, number in threads.items()
        ]
        events += [
            {"ph": "X", "name": stage, "pid": process, "tid": threads[thread], "ts": start_ns / 1e3,
             "dur": (end_ns - start_ns) / 1e3}
            for stage, thread, start_ns, end_ns in self._events
        ]  # fmt: skip
        path.write_text(json.dumps({"traceEvents": events, "displayTimeUnit": "ms"}))
        return len(self._events)
