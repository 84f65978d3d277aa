"""What the benchmarks' reports have in common."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table


def machine() -> str:
    """The processor, how many of its cores this process may use, and the system."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    name = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").is_file():
        named = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
        name = named[0].split(":")[1].strip() if named else name
    return f"{name}, {cores} cores, {platform.system()} {platform.machine()}"


def print_table(columns: Sequence[str], rows: Iterable[tuple[Sequence[str], str | None]], *, markdown: bool) -> None:
    """Each row with its style in the terminal, or None."""
    if markdown:
        print("| " + " | ".join(columns) + " |\n" + "|---" * len(columns) + "|")
        print("\n".join("| " + " | ".join(cells) + " |" for cells, _ in rows))
        return
    table = Table(*columns)
    for cells, style in rows:
        table.add_row(*cells, style=style)
    Console().print(table)
