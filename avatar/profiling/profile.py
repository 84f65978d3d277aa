"""Measuring the live loop as it runs, against the budgets that it was designed for."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import psutil

from avatar.core.frame import Frame
from avatar.live.latency import StageLatency
from avatar.live.live_report import CAPTURE_TO_PUBLISHED, LiveReport
from avatar.live.session import Session
from avatar.profiling.core_time import CoreTime
from avatar.profiling.glass_to_glass import GlassToGlass
from avatar.profiling.soak import Slope
from avatar.profiling.usage import Usage
from avatar.publish.publisher import Publisher

SETTLE_S = 1.0  # the first inferences, and the tracker's search for the face, are start-up and not the loop
SCHEMA = 2  # of the JSON form; grows when a reader would have to change


class Memory(Publisher):
    """Keeps the newest frame, as a camera's buffer would: publishing without a device."""

    name = "memory"

    def __init__(self) -> None:
        self.newest: Frame | None = None

    def open(self, width: int, height: int, fps: float) -> None:
        pass

    def send(self, frame: Frame) -> None:
        self.newest = frame

    def close(self) -> None:
        pass


@dataclass(frozen=True, slots=True)
class Budget:
    """One promise of the design, and what this machine makes of it."""

    what: str
    limit: float
    value: float
    unit: str
    at_least: bool = False

    @property
    def met(self) -> bool:
        return round(self.value, 1) >= self.limit if self.at_least else self.value <= self.limit


@dataclass(frozen=True, slots=True)
class ProfileReport:
    avatar: str
    camera: str
    camera_fps: float
    size: tuple[int, int]
    engine: dict[str, Any]
    engine_line: str
    start_up_ms: dict[str, float]
    loop: LiveReport
    cpu_percent: float  # of one core, whole process tree
    cpu_cores: int
    core_ms: dict[str, float]  # of one core, for a published frame: by process, and by thread of this one
    memory_mb: float  # highest resident size of the process tree
    budgets: tuple[Budget, ...] = field(default=())
    slopes: tuple[Slope, ...] = ()  # of a soak: latency, memory, files, threads
    minutes: tuple[tuple[float, float], ...] = ()  # of a soak: median latency in ms and resident megabytes
    glass_to_glass: StageLatency | None = None

    def as_json(self) -> dict[str, Any]:
        """The stable form: names and units do not change within one `schema`."""
        return {
            "schema": SCHEMA,
            "avatar": self.avatar,
            "camera": {"name": self.camera, "fps": self.camera_fps},
            "size": list(self.size),
            "engine": self.engine,
            "start_up_ms": rounded(self.start_up_ms),
            "stages": {stage: rounded(asdict(line)) for stage, line in self.loop.latency.items()},
            "fps": round(self.loop.fps, 2),
            "seconds": round(self.loop.seconds, 2),
            "frames": {
                "captured": self.loop.captured,
                "tracked": self.loop.tracked,
                "without_face": self.loop.faceless,
                "published": self.loop.published,
            },
            "idled": self.loop.idled,
            "drops": self.loop.drops,
            "governor": {
                "level": self.loop.level,
                "lowest": self.loop.lowest_level,
                "short": self.loop.short,
                "seconds": rounded(self.loop.level_seconds),
            },
            "glass_to_glass": rounded(asdict(self.glass_to_glass)) if self.glass_to_glass else None,
            "minutes": [[round(latency_ms, 2), round(held_mb, 3)] for latency_ms, held_mb in self.minutes],
            "slopes": [{**asdict(line), "flat": line.flat} for line in self.slopes],
            "cpu": {"percent_of_one_core": round(self.cpu_percent, 1), "cores": self.cpu_cores},
            "core_ms": rounded(self.core_ms),
            "memory_mb": round(self.memory_mb, 1),
            "budgets": [{**rounded(asdict(budget)), "met": budget.met} for budget in self.budgets],
        }


@dataclass(frozen=True, slots=True)
class Measurement:
    """What is measured: for `seconds`, once the loop has settled. `started_ns` is when the program's work began.

    soak: also whether latency, memory, open files or threads grow, from one figure a second after a warm-up. glass:
    reads what is published meanwhile.
    """

    seconds: float
    started_ns: int
    soak: bool = False
    glass: GlassToGlass | None = None


def profile_session(
    session: Session, wanted: Measurement, progress: Callable[[float], None] = lambda done_s: None
) -> ProfileReport:
    """Run the loop and report. `progress` gets the seconds that are done."""
    usage, core_time, glass = Usage(wanted.seconds), CoreTime(), wanted.glass

    def each_second(report: LiveReport) -> None:
        if glass is not None:
            glass.start()
        newest = session.latency.newest(CAPTURE_TO_PUBLISHED, max(1, round(report.fps)))
        usage.add(float(np.median(newest)) if newest.size else math.nan)
        core_time.add(report.published)
        progress(report.seconds)

    run_ns = time.monotonic_ns()
    try:
        loop = session.loop.run(wanted.seconds, SETTLE_S, each_second)
    finally:
        seen = glass.stop() if glass is not None else None
    first_frame_ms = loop.first_frame_ms or math.inf
    start_up_ms = {
        **session.start_up_ms,
        "first frame": first_frame_ms,
        "total": (run_ns - wanted.started_ns) / 1e6 + first_frame_ms,
    }
    camera = session.camera
    slopes = usage.slopes if wanted.soak else ()
    return ProfileReport(
        avatar=session.avatar.name,
        camera=camera.name,
        camera_fps=camera.fps,
        size=session.options.size,
        engine=asdict(session.engine),
        engine_line=session.engine_line,
        start_up_ms=start_up_ms,
        loop=loop,
        cpu_percent=usage.cpu_percent,
        cpu_cores=psutil.cpu_count() or 1,
        core_ms=core_time.ms_a_frame(),
        memory_mb=usage.memory_mb,
        budgets=budgets(loop, camera.fps, start_up_ms["total"], usage.memory_mb),
        slopes=slopes,
        minutes=usage.minutes if slopes else (),
        glass_to_glass=seen,
    )


def budgets(loop: LiveReport, camera_fps: float, start_up_ms: float, memory_mb: float) -> tuple[Budget, ...]:
    """The design's figures for two CPU cores. A slower camera than 30 fps lowers what the loop can be asked for."""
    nothing = StageLatency(0, math.inf, math.inf, math.inf, math.inf)  # what was not measured is not met
    generator = loop.latency.get("generator", nothing)
    path = loop.latency.get(CAPTURE_TO_PUBLISHED, nothing)
    return (
        Budget("generator, one frame (p50)", 12.0, generator.p50_ms, "ms"),
        # half a frame: the first and the last frame need not fall on the ends of the measured time
        Budget("whole loop, sustained", round(min(30.0, camera_fps) - 0.5, 1), loop.fps, "fps", at_least=True),
        Budget("capture → published (p50)", 40.0, path.p50_ms, "ms"),
        Budget("capture → published (p99)", 66.0, path.p99_ms, "ms"),
        Budget("start to first frame", 3.0, start_up_ms / 1e3, "s"),
        Budget("memory of the process tree", 700.0, memory_mb, "MB"),
    )


def rounded(values: dict[str, Any]) -> dict[str, Any]:
    return {name: round(value, 2) if isinstance(value, float) else value for name, value in values.items()}
