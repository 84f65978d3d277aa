"""Tables that several commands print."""

from __future__ import annotations

from collections.abc import Mapping

from rich.table import Table

from avatar.live.latency import StageLatency


def latency_table(stages: Mapping[str, StageLatency]) -> Table:
    """One line per stage, in milliseconds."""
    table = Table("stage", box=None, pad_edge=False)
    for heading in ("frames", "p50 ms", "p95 ms", "p99 ms", "max ms"):
        table.add_column(heading, justify="right")
    for stage, line in stages.items():
        durations = (line.p50_ms, line.p95_ms, line.p99_ms, line.max_ms)
        table.add_row(stage, str(line.count), *(f"{duration:.1f}" for duration in durations))
    return table


def drops_line(drops: Mapping[str, int]) -> str:
    """Where frames were lost, in one line."""
    lost = [f"{hop} {count}" for hop, count in drops.items() if count]
    return "dropped: " + (", ".join(lost) if lost else "none")
