"""The parts of a live run, opened in order and closed together."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from avatar.core.avatar import Avatar
from avatar.core.errors import VisavisError
from avatar.identity.clip_turn import turn_upright_by
from avatar.identity.mattes import with_mattes
from avatar.live.animator import Animator, Rig
from avatar.live.avatar_file import unlock_file
from avatar.live.canvas import Canvas
from avatar.live.driver_memory import DriverMemory
from avatar.live.governor import Governor, Level
from avatar.live.latency import LatencyRecorder
from avatar.live.live_report import STAGES
from avatar.live.loop import LiveLoop
from avatar.live.options import LiveOptions
from avatar.live.signing import sign_videos
from avatar.publish.publisher import Publisher
from avatar.publish.recorder import Recorder
from avatar.retarget.retargeter import Retargeter
from avatar.sources.camera import CameraOrMotion, PlayedFile
from avatar.tracking.caged_tracker import CagedTracker
from avatar.trust.label import Label, LabelStyle
from avatar.trust.left_out import about, record_left_out
from avatar.trust.mark_message import MarkMessage
from engines import Engine, EngineDescription, Say, explain, on_stderr


@dataclass(frozen=True, slots=True)
class Session:
    """A loop that is ready to run."""

    camera: CameraOrMotion
    loop: LiveLoop
    animator: Animator
    tracker: CagedTracker
    latency: LatencyRecorder
    start_up_ms: dict[str, float]
    options: LiveOptions
    open_rig: Callable[[Avatar, Engine | None], Rig]
    memory: DriverMemory
    say: Say

    @property
    def avatar(self) -> Avatar:
        """Shown now."""
        return self.animator.rig.avatar

    @property
    def retargeter(self) -> Retargeter:
        """Of the avatar that is shown now."""
        return self.animator.rig.retargeter

    @property
    def engine(self) -> EngineDescription:
        """Of the engine that runs now: the next one takes over when one fails."""
        return self.animator.rig.engine.describe()

    @property
    def engine_line(self) -> str:
        """Which engine runs now, and why the others do not."""
        return explain(self.animator.rig.engine)

    @property
    def level(self) -> Level:
        """How much work a frame may be now."""
        return self.animator.governor.level

    def show(self, avatar: Avatar) -> None:
        """Let another avatar take over, with the same settings.

        Slow where it has a network of its own, so not for the thread that paints. Raises EngineFailure when that
        network does not load. An avatar that then cannot be drawn gives way to the one before.
        """
        now, avatar = self.animator.rig, self.options.engine.person(avatar)
        rig = self.open_rig(avatar, now.engine if now.shares_engine and not avatar.fine_tuned else None)
        before, retargeter = now.retargeter, rig.retargeter
        retargeter.mode, retargeter.gains, retargeter.mirror = before.mode, before.gains, before.mirror
        retargeter.idle_only, retargeter.frozen = before.idle_only, before.frozen
        retargeter.expression, retargeter.follow = before.expression, before.follow
        if (driver := before.driver) is not None:
            retargeter.recognise(driver)
        if (neutral := before.neutral) is not None:
            retargeter.recall(neutral)
        rig.label = now.label
        self.animator.show(rig)

    def unlock(self, path: Path, reason: str) -> None:
        """Let anybody drive the avatar that is shown, and keep the reason in its file, `path`.

        Raises UsageError where its person has agreed to nobody else, and for no reason; InputError, VisavisError.
        """
        unlock_file(path, reason)
        self.retargeter.unlock()

    def label_as(self, style: LabelStyle) -> None:
        """From the next picture on. Raises VisavisError where a reason cannot be recorded; then all stays."""
        if unlabelled := record_left_out(self.avatar.name, style):
            self.say(unlabelled)
        self.animator.rig.label.style = style


@contextmanager
def open_session(
    avatar: Avatar,
    tracker_model: Path,
    camera: CameraOrMotion,
    publishers: Sequence[Publisher],
    options: LiveOptions | None = None,
    say: Say = on_stderr,
) -> Iterator[Session]:
    """Open tracker, engine and renderer for `avatar`, and join them: the only place where a live run is put together.
    Closes them, and the camera, at the end. `say` is also called from the loop's own threads.
    """
    options = options or LiveOptions()
    start_up_ms: dict[str, float] = {}
    latency = LatencyRecorder(STAGES)

    def open_engine(shown: Avatar) -> Engine:
        return options.engine.open(shown, say)

    def rig_of(shown: Avatar, engine: Engine | None) -> Rig:
        opened = engine or open_engine(shown)
        try:
            return open_rig(shown, opened, options, latency)
        except BaseException:
            if engine is None:
                opened.close()
            raise

    def start_tracker() -> CagedTracker:
        with _timed("tracker", start_up_ms):
            return CagedTracker(tracker_model, "video", say=say, describes=True)

    with ExitStack() as parts:
        parts.callback(camera.close)
        with ThreadPoolExecutor(1) as aside:  # each waits for a library to load
            starting = aside.submit(start_tracker)
            try:
                with _timed("engine", start_up_ms):
                    avatar = options.engine.person(avatar)
                    engine = open_engine(avatar)
                parts.callback(engine.close)
            finally:
                tracker = parts.enter_context(starting.result())
        if isinstance(camera, PlayedFile) and (turned := turn_upright_by(camera.video, tracker.image_mode)):
            say(turned)
        with _timed("framing and renderer", start_up_ms):
            rig = rig_of(avatar, engine)
        memory = DriverMemory(options.remember)
        animator = Animator(rig, Governor(), open_engine, latency, say, memory.follow)
        parts.callback(animator.close)
        parts.callback(_keep, memory, say)
        loop = LiveLoop(camera, tracker, animator, publishers, latency, say)
        recorders = [publisher for publisher in publishers if isinstance(publisher, Recorder)]
        for recorder in recorders:
            recorder.comment = about(options.label)
        parts.callback(_sign, recorders, avatar, rig.marker.message, options.sign_with, say)
        if unlabelled := record_left_out(avatar.name, options.label):
            say(unlabelled)
        yield Session(camera, loop, animator, tracker, latency, start_up_ms, options, rig_of, memory, say)


def open_rig(avatar: Avatar, engine: Engine, options: LiveOptions, latency: LatencyRecorder) -> Rig:
    """`avatar` with all that draws it, on `engine`, which stays open where this raises."""
    avatar = with_mattes(avatar)
    canvas = Canvas(avatar.portraits[0], *options.size, options.background, avatar.mattes[0])
    retargeter = Retargeter(avatar)
    retargeter.mode, retargeter.expression = options.mode, options.expression
    retargeter.mirror, retargeter.follow = options.mirror, options.follow
    if options.unlocked == avatar.name:
        retargeter.unlock()
    rig = Rig(avatar, canvas, retargeter, engine, latency, Label(options.label))
    rig.renderer(canvas.square_px)  # made now, not when the first frame waits for it
    return rig


def _sign(recorders: list[Recorder], avatar: Avatar, mark: MarkMessage, key_file: Path | None, say: Say) -> None:
    written = (path for recorder in recorders for path in recorder.written)
    for line in sign_videos(written, avatar, mark, key_file):
        say(line)


def _keep(memory: DriverMemory, say: Say) -> None:
    try:
        memory.keep()
    except VisavisError as error:
        say(str(error))


@contextmanager
def _timed(part: str, durations_ms: dict[str, float]) -> Iterator[None]:
    start_ns = time.monotonic_ns()
    yield
    durations_ms[part] = (time.monotonic_ns() - start_ns) / 1e6
