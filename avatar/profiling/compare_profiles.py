"""Two saved profiles beside each other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avatar.core.errors import InputError
from avatar.core.strict_json import parse_json
from avatar.profiling.profile import SCHEMA


@dataclass(frozen=True, slots=True)
class Difference:
    what: str
    unit: str
    before: float
    after: float

    @property
    def ratio(self) -> float:
        return self.after / self.before if self.before else float("inf") if self.after else 1.0


def read_profile(path: Path) -> dict[str, Any]:
    """What `visavis profile --json` printed. Raises InputError for anything else."""
    try:
        report = parse_json(path.read_text(encoding="utf-8"))
        if report["schema"] != SCHEMA:
            raise InputError(f"{path} was saved by another version of visavis. Measure again: visavis profile --json")
        differences(report, report)  # every figure is there and is a number
        return dict(report)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}. Save one first: visavis profile NAME --json > {path}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is no saved profile. Save one: visavis profile NAME --json > FILE") from error


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[Difference]:
    """Each figure that both have, the stages' medians and 99th percentiles first."""
    found = [
        Difference(f"{stage} {name[:3]}", "ms", float(line[name]), float(after["stages"][stage][name]))
        for stage, line in before["stages"].items()
        if stage in after["stages"]
        for name in ("p50_ms", "p99_ms")
    ]
    if before.get("glass_to_glass") and after.get("glass_to_glass"):
        for name in ("p50_ms", "p99_ms"):
            pair = (float(report["glass_to_glass"][name]) for report in (before, after))
            found.append(Difference(f"glass to glass {name[:3]}", "ms", *pair))
    found.append(Difference("rate", "fps", float(before["fps"]), float(after["fps"])))
    found.append(Difference("memory", "MB", float(before["memory_mb"]), float(after["memory_mb"])))
    cpu = (float(report["cpu"]["percent_of_one_core"]) for report in (before, after))
    found.append(Difference("CPU", "% of one core", *cpu))
    if before.get("core_ms") and after.get("core_ms"):
        core_ms = (sum(map(float, report["core_ms"].values())) for report in (before, after))
        found.append(Difference("CPU", "core-ms a frame", *core_ms))
    start = (float(report["start_up_ms"]["total"]) for report in (before, after))
    return [*found, Difference("start to first frame", "ms", *start)]
