"""The parts of a live run, opened in order and closed together, and what may be exchanged meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from avatar.core.avatar import Avatar
from avatar.core.errors import UsageError, VisavisError
from avatar.identity.clip_turn import turn_upright_by
from avatar.identity.mattes import with_mattes
from avatar.live.animator import Animator
from avatar.live.avatar_file import unlock_file
from avatar.live.background import Background
from avatar.live.camera_switch import CameraSwitch
from avatar.live.canvas import Canvas
from avatar.live.driver_memory import DriverMemory
from avatar.live.governor import Governor, Level
from avatar.live.late_tracker import LateTracker
from avatar.live.latency import LatencyRecorder
from avatar.live.live_report import STAGES
from avatar.live.loop import LiveLoop
from avatar.live.options import LiveOptions
from avatar.live.rig import Rig
from avatar.live.signing import sign_videos
from avatar.publish.publisher import Publisher
from avatar.publish.recorder import Recorder
from avatar.retarget.retargeter import Retargeter
from avatar.sources.camera import CameraOrMotion, PlayedFile
from avatar.sources.nobody import Nobody
from avatar.tracking.caged_tracker import CagedTracker
from avatar.trust.label import Label, LabelStyle
from avatar.trust.left_out import about, record_left_out
from engines import Engine, EngineDescription, Say, explain, on_stderr


@dataclass(slots=True)
class Session:
    """A loop that is ready to run. Its methods may be called from any thread."""

    camera: CameraSwitch
    loop: LiveLoop
    animator: Animator
    tracker: LateTracker
    latency: LatencyRecorder
    start_up_ms: dict[str, float]
    options: LiveOptions  # as they are now
    open_rig: Callable[[Avatar, Engine | None, LiveOptions], Rig]
    memory: DriverMemory
    say: Say
    recorded: dict[Recorder, Rig] = field(default_factory=dict)  # what each recorder began with; till it is signed
    _changing: threading.RLock = field(default_factory=threading.RLock)

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

    def show(self, avatar: Avatar) -> Future[None]:
        """Let another avatar take over, with the same settings. The answer tells when it is shown, or why it cannot be.

        Slow where it has a network of its own, so not for the thread that paints. Raises EngineFailure when that
        network does not load; UsageError while a recording goes on, which is signed as one avatar's; VisavisError
        where the label is left out and that cannot be recorded. An avatar that then cannot be drawn gives way to the
        one before.
        """
        with self._changing:
            now, avatar = self.animator.newest, self.options.engine.person(avatar)
            if self.recorded and avatar.name != now.avatar.name:
                raise UsageError("A recording goes on, and is signed as one avatar's. End it, then show another.")
            if unlabelled := record_left_out(avatar.name, now.label.style):
                self.say(unlabelled)
            shared = now.engine if now.shares_engine and not avatar.fine_tuned else None
            rig = self.open_rig(avatar, shared, self.options)
            before, retargeter = now.retargeter, rig.retargeter
            retargeter.mode, retargeter.gains, retargeter.mirror = before.mode, before.gains, before.mirror
            retargeter.idle_only, retargeter.frozen = before.idle_only, before.frozen
            retargeter.expression, retargeter.follow = before.expression, before.follow
            if (driver := before.driver) is not None:
                retargeter.recognise(driver)
            if (neutral := before.neutral) is not None:
                retargeter.recall(neutral)
            retargeter.lock_at_first()  # or whoever goes to and fro drives for ever
            rig.label = now.label
            self.animator.show(rig)
        return rig.drawn

    def look(self, size: tuple[int, int], background: Background | None) -> Future[None]:
        """Publish pictures of another size, or with another background, as `show` does.

        Raises UsageError for a size that cannot be, and while somebody takes only pictures of the present one.
        """
        with self._changing:
            if size != self.options.size and (why := self.loop.publishers.keeps_size):
                raise UsageError(why)
            now, options = self.animator.newest, replace(self.options, size=size, background=background)
            canvas = _canvas(now.avatar, options)
            rig = now.placed(canvas, self.animator.sides_px(canvas))
            before, self.options = self.options, options
            rig.drawn.add_done_callback(lambda drawn: self._look_as(before, options, drawn))
            self.animator.show(rig)
        return rig.drawn

    def drive_by(self, camera: CameraOrMotion) -> None:
        """Let another camera drive. The one before is closed; who drove by it, and their rest pose, is forgotten.

        Raises VisavisError where the face tracker does not start; then `camera` is closed, and the one before stays.
        """
        try:
            if not isinstance(camera, Nobody):
                self.tracker.started()
            _turn_upright(camera, self.tracker, self.say)
        except BaseException:
            camera.close()
            raise
        self.tracker.forget()
        self.camera.put(camera)
        self.animator.newest.retargeter.another_driver()

    def add(self, publisher: Publisher) -> None:
        """Publish there too. Raises what it raises where it cannot be opened."""
        with self._changing:
            if isinstance(publisher, Recorder):
                publisher.comment = about(self.animator.rig.label.style)
            self.loop.publishers.add(publisher, self.options.size)
            if isinstance(publisher, Recorder):
                self.recorded[publisher] = self.animator.rig

    def remove(self, publisher: Publisher) -> None:
        """Publish there no longer. A recording is whole, and signed, when this returns."""
        try:
            self.loop.publishers.remove(publisher)
        finally:
            if isinstance(publisher, Recorder):
                self._sign(publisher)

    def unlock(self, rig: Rig, path: Path, reason: str) -> None:
        """Let anybody drive the avatar of `rig`, and keep the reason in its file, `path`.

        Another one that is shown by then stays locked. Raises UsageError where its person has agreed to nobody else,
        and for no reason; InputError, VisavisError.
        """
        unlock_file(path, reason)
        rig.retargeter.unlock()

    def label_as(self, style: LabelStyle) -> None:
        """From the next picture on. Raises VisavisError where a reason cannot be recorded; then all stays."""
        if unlabelled := record_left_out(self.avatar.name, style):
            self.say(unlabelled)
            for recorder in list(self.recorded):
                recorder.comment = about(style)  # and so it stays: a part of the recording is without a label
        self.animator.rig.label.style = style

    def _look_as(self, before: LiveOptions, after: LiveOptions, drawn: Future[None]) -> None:
        """What could not be drawn does not hold."""
        if not drawn.cancelled() and drawn.exception() is not None and self.options is after:
            self.options = before

    def finish(self) -> None:
        """After the run: what is still recorded is signed."""
        for recorder in list(self.recorded):
            self._sign(recorder)

    def _sign(self, recorder: Recorder) -> None:
        if (rig := self.recorded.pop(recorder, None)) is not None:
            for line in sign_videos(recorder.written, rig.avatar, rig.marker.message, self.options.sign_with):
                self.say(line)


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

    def rig_of(shown: Avatar, engine: Engine | None, options: LiveOptions) -> Rig:
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
        switch = CameraSwitch(camera)
        parts.callback(switch.close)
        tracker = parts.enter_context(LateTracker(start_tracker))
        with ThreadPoolExecutor(1) as aside:  # each waits for a library to load
            starting = None if isinstance(camera, Nobody) else aside.submit(tracker.started)
            try:
                with _timed("engine", start_up_ms):
                    avatar = options.engine.person(avatar)
                    engine = open_engine(avatar)
                parts.callback(engine.close)
            finally:
                if starting is not None:
                    starting.result()
        _turn_upright(camera, tracker, say)
        with _timed("framing and renderer", start_up_ms):
            rig = rig_of(avatar, engine, options)
        memory = DriverMemory(options.remember)
        animator = Animator(rig, Governor(), open_engine, latency, say, memory.follow)
        parts.callback(animator.close)
        parts.callback(_keep, memory, say)
        loop = LiveLoop(switch, tracker, animator, publishers, latency, say)
        session = Session(
            switch, loop, animator, tracker, latency, start_up_ms, options, rig_of, memory, say,
            {publisher: rig for publisher in publishers if isinstance(publisher, Recorder)},
        )  # fmt: skip
        for recorder in session.recorded:
            recorder.comment = about(options.label)
        parts.callback(session.finish)
        if unlabelled := record_left_out(avatar.name, options.label):
            say(unlabelled)
        yield session


def open_rig(avatar: Avatar, engine: Engine, options: LiveOptions, latency: LatencyRecorder) -> Rig:
    """`avatar` with all that draws it, on `engine`, which stays open where this raises."""
    avatar = with_mattes(avatar)
    canvas = _canvas(avatar, options)
    retargeter = Retargeter(avatar)
    retargeter.mode, retargeter.expression = options.mode, options.expression
    retargeter.mirror, retargeter.follow = options.mirror, options.follow
    if options.unlocked == avatar.name:
        retargeter.unlock()
    rig = Rig(avatar, canvas, retargeter, engine, latency, Label(options.label))
    rig.renderer(canvas.square_px)  # made now, not when the first frame waits for it
    return rig


def _canvas(avatar: Avatar, options: LiveOptions) -> Canvas:
    return Canvas(avatar.portraits[0], *options.size, options.background, avatar.mattes[0])


def _turn_upright(camera: CameraOrMotion, tracker: LateTracker, say: Say) -> None:
    if isinstance(camera, PlayedFile) and (turned := turn_upright_by(camera.video, tracker.started().image_mode)):
        say(turned)


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
