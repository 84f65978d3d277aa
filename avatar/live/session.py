"""The parts of a live run, opened in order and closed together."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from avatar.identity.avatar import Avatar
from avatar.identity.generator import open_generator
from avatar.live.canvas import Canvas
from avatar.live.latency import LatencyRecorder
from avatar.live.loop import STAGES, LiveLoop
from avatar.live.renderer import Renderer
from avatar.live.timed_engine import TimedEngine
from avatar.publish.publisher import Publisher
from avatar.retarget.retargeter import Retargeter
from avatar.sources.camera import Camera
from avatar.tracking.face_landmarker import FaceTracker
from engines import Engine, EngineDescription, Say, explain, on_stderr


@dataclass(frozen=True, slots=True)
class Session:
    """A loop that is ready to run."""

    loop: LiveLoop
    start_up_ms: dict[str, float]
    generator: Engine

    @property
    def engine(self) -> EngineDescription:
        """Of the engine that runs now: the next one takes over when one fails."""
        return self.generator.describe()

    @property
    def engine_line(self) -> str:
        """Which engine runs now, and why the others do not."""
        return explain(self.generator)


@contextmanager
def open_session(
    avatar: Avatar,
    tracker_model: Path,
    camera: Camera,
    publishers: Sequence[Publisher],
    *,
    size: tuple[int, int] = (512, 512),
    backend: str = "auto",
    threads: int | None = None,
    precision: str = "auto",
    say: Say = on_stderr,
) -> Iterator[Session]:
    """Open tracker, engine and renderer for `avatar`, and join them. Closes them, and the camera, at the end.

    backend, threads, precision, say: as of `open_generator`. `say` is also called from the loop's own thread.
    """
    start_up_ms: dict[str, float] = {}
    latency = LatencyRecorder(STAGES)
    with ExitStack() as parts:
        parts.callback(camera.close)
        canvas = Canvas(avatar.portraits[0], *size)
        with _timed("tracker", start_up_ms):
            tracker = parts.enter_context(FaceTracker(tracker_model, "video"))
        with _timed("engine", start_up_ms):
            engine = open_generator(avatar, backend, threads, precision=precision, say=say)
            parts.callback(engine.close)
        with _timed("renderer", start_up_ms):
            renderer = Renderer(avatar, TimedEngine(engine, latency), canvas.square_px)
            retargeter = Retargeter(avatar)
        loop = LiveLoop(camera, tracker, retargeter, renderer, canvas, publishers, latency)
        yield Session(loop, start_up_ms, engine)


@contextmanager
def _timed(part: str, durations_ms: dict[str, float]) -> Iterator[None]:
    start_ns = time.monotonic_ns()
    yield
    durations_ms[part] = (time.monotonic_ns() - start_ns) / 1e6
