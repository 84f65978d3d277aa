"""The live session that the page starts and stops: one at a time, in a thread of its own."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from avatar.core.errors import UsageError, VisavisError
from avatar.dashboard.avatars import existing
from avatar.dashboard.live_choices import VIRTUAL_CAMERA, CameraChoice, Given, LiveChoices, Wish
from avatar.dashboard.live_figures import LiveFigures
from avatar.dashboard.live_hints import hint
from avatar.dashboard.live_parts import PARTS, LiveParts
from avatar.dashboard.live_settings import LiveSettings
from avatar.dashboard.preview import PagePreview
from avatar.dashboard.recordings import Recordings
from avatar.identity.mattes import open_avatar
from avatar.live.camera_switch import let_go
from avatar.live.driver_memory import forget_drivers
from avatar.live.driver_points import Points, driver_points
from avatar.live.live_report import LiveReport
from avatar.live.outputs import open_publisher
from avatar.live.session import Session, open_session
from avatar.live.whose_face import lock_words
from avatar.sources.camera import CameraOrMotion
from engines import EngineDescription, EngineFailure

LINES_KEPT = 20
STOP_S = 25.0
QUIET_S = 15.0  # without an avatar, before the engines are measured

State = Literal["off", "starting", "running", "stopping"]
Figures = dict[str, Any]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Listener:
    """Who is told: of a new report, of the figures of a second, and of each picture. From any thread."""

    changed: Callable[[], None]
    each_second: Callable[[Figures], None]
    on_frame: Callable[[], None]
    watching: Callable[[], bool] = lambda: True  # whether a page is open


@dataclass(slots=True)
class Running:
    """What is open while a session runs, as far as it has come."""

    camera: CameraOrMotion | None = None
    session: Session | None = None
    settings: LiveSettings | None = None
    parts: LiveParts | None = None


class LiveRun:
    """Starts and stops; `change` sets what may change meanwhile. From any thread."""

    def __init__(self, tracker_model: Callable[[], Path], listener: Listener, given: Given) -> None:
        self.choices = LiveChoices(given)
        self.preview = PagePreview(listener.on_frame, listener.watching)
        self.figures = LiveFigures(self.preview)  # of the last run, or of the one that is on
        self._tracker_model, self._listener, self._given = tracker_model, listener, given
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._state: State = "off"
        self._wish: Wish | None = None  # with which the last session started
        self._recordings = Recordings()
        self._running = Running()
        self._files: dict[str, Path] = {}  # by the name of the avatar that the run began with
        self._said: deque[str] = deque(maxlen=LINES_KEPT)
        self._problem: str | None = None
        self._shown: str | None = None  # in the second before
        self._hint: Figures | None = None
        self.engine: EngineDescription | None = None  # that ran last
        self.failure: Exception | None = None  # that ended the last session
        self.ended_by_itself = False  # the last session: its camera ended, or it failed
        self.starts = 0  # sessions so far
        self._off_since_s, self._measured = time.monotonic(), False

    @property
    def shows(self) -> str | None:
        """The avatar that is shown, or about to be the first. One wished for later takes a moment, or fails."""
        session, wish = self._running.session, self._wish
        if session is not None:
            return session.avatar.name
        return None if wish is None or self._state == "off" else wish.avatar

    @property
    def idle(self) -> bool:
        """Whether nobody moves the avatar that is shown: no face was seen in the last second, or it is held."""
        session, seconds = self._running.session, self.figures.seconds
        if session is None:
            return False
        held = session.retargeter.idle_only or session.retargeter.frozen
        return held or (bool(seconds) and (seconds[-1]["idle"] or seconds[-1]["faceless"]))

    @property
    def engine_line(self) -> str:
        """Which engine runs, and why the others do not; "" while none does."""
        session = self._running.session
        return "" if session is None else session.engine_line

    @property
    def points(self) -> Points:
        """Of whoever drives now, as the tracker sees them; none while nobody does."""
        session = self._running.session
        return [] if session is None else driver_points(session.loop.tracked)

    def report(self) -> Figures:
        session, settings, wish = self._running.session, self._running.settings, self._holds()
        return {
            "state": self._state,
            "problem": self._problem,
            "hint": None if session is None else self._hint,
            "said": list(self._said),
            "wish": None if wish is None else wish.as_json(),
            "controls": None if settings is None else settings.report(),
            "locked": None if session is None else lock_words(session.avatar.name, session.retargeter),
            "engine": None if session is None else asdict(session.engine),
            "engine_line": self.engine_line,
            "seconds": list(self.figures.seconds),
            **self._recordings.report(),
        }

    def _holds(self) -> Wish | None:
        """What was wished for at the start, as it is now."""
        parts, settings = self._running.parts, self._running.settings
        return self._wish if parts is None or settings is None else settings.in_wish(parts.wish)

    def start(self, wish: Wish, bundle: Path | None = None) -> None:
        """Start in a thread. `bundle`: of a command's own run, which ends with its camera; else the avatar idles then.

        Raises UsageError while one is running, and without that camera; NotThereError without that avatar.
        """
        file = bundle or existing(wish.avatar)
        self.choices.allow_size(wish.size)
        camera = self.choices.camera(wish)
        with self._lock:
            if self._state != "off":
                raise UsageError("The avatar is live already. Stop it first.")
            self._state, self._wish, self._problem, self.failure = "starting", wish, None, None
            self.figures = LiveFigures(self.preview)
            self.ended_by_itself = False
            self.starts += 1
            self._said.clear()
            self._stopping.clear()
            self._files = {wish.avatar: file}
            self._thread = threading.Thread(
                target=self._run, args=(wish, camera, bundle is None), name="visavis-live", daemon=True
            )
            self._thread.start()
        self._listener.changed()

    def stop(self) -> None:
        """Ask it to end; `report` tells when it has."""
        with self._lock:
            if self._state in ("off", "stopping"):
                return
            self._state = "stopping"
            self._stopping.set()
            session, camera = self._running.session, self._running.camera
        if session is not None:
            session.loop.stop()
            session.camera.close()
        if camera is not None:
            let_go(camera)  # ends a read that waits for a picture
        self._listener.changed()

    def close(self) -> None:
        self.stop()
        if self._thread is not None:
            self._thread.join(STOP_S)

    def change(self, wanted: Figures) -> None:
        """Of the PARTS, the SWITCHES and {expression, gains: {mouth: 1.2}, calibrate: true, remember: true,
        unlock: REASON, label: {corner, size, left_out}}. What is wrong is refused before anything is changed.

        Returns once it is done. Raises UsageError, InputError; DeviceError where a camera or a virtual one cannot be
        opened, and VisavisError where an avatar cannot be drawn: then that part is as it was.
        """
        settings, parts = self._running.settings, self._running.parts
        if settings is None or parts is None:
            raise UsageError("The avatar is not live. Start it first.")
        exchanged = {name: value for name, value in wanted.items() if name in PARTS}
        acts = [settings.change(name, value) for name, value in wanted.items() if name not in PARTS]
        if exchanged:
            acts.insert(0, parts.changes(exchanged))
        try:
            for act in acts:
                act()
        finally:
            self._listener.changed()

    def tick(self) -> None:
        """Every few seconds: once nothing was shown for a while, the engines are measured, if they never were."""
        if self._measured or self._state != "off" or time.monotonic() - self._off_since_s < QUIET_S:
            return
        self._measured = True
        try:
            self._given.engine.measure(self._given.say)
        except EngineFailure as failure:  # the next start says more
            logger.info("%s", failure)

    def forget_drivers(self) -> None:
        """Delete what is remembered of drivers, and remember nothing of this one. Raises VisavisError."""
        if (session := self._running.session) is not None:
            session.memory.forget()
        else:
            forget_drivers()
        self._listener.changed()

    def _run(self, wish: Wish, camera: CameraChoice, from_page: bool) -> None:
        try:
            self._play(wish, camera, from_page)
        except (VisavisError, EngineFailure) as error:
            self._problem, self.failure = str(error), error
        except Exception as error:
            logger.exception("the live session failed")
            self._problem, self.failure = "Something unexpected went wrong. The terminal says what.", error
        finally:
            self._recordings.ended()
            with self._lock:
                if (holds := self._holds()) is not None:
                    self._wish = replace(holds, recording=False)
                self._running = Running()
                self.ended_by_itself = not self._stopping.is_set()
                self._state, self._off_since_s = "off", time.monotonic()
            self._listener.changed()

    def _play(self, wish: Wish, choice: CameraChoice, from_page: bool) -> None:
        avatar = open_avatar(self._files[wish.avatar])
        virtual_camera = open_publisher(VIRTUAL_CAMERA, self._say) if wish.virtual_camera else None
        with ExitStack() as opened:
            camera = self._running.camera = choice.open(self._say)
            opened.callback(let_go, camera)  # also where what comes before the session fails
            options = self.choices.options(wish)
            publishers = [self.preview, *self._given.publishers()]
            session = opened.enter_context(
                open_session(avatar, self._tracker_model(), camera, publishers, options, self._say)
            )
            parts = LiveParts(session, self.choices, self._recordings, wish, self._say)
            if from_page:
                parts.go_on_without_camera()
            if virtual_camera is not None:
                parts.publish_virtually(virtual_camera)
            if wish.recording:
                parts.record()
            with self._lock:
                self._running.session, self._running.parts = session, parts
                self._running.settings = LiveSettings(session, self._files, self._say)
                if self._stopping.is_set():
                    return
                self._state = "running"
            self._listener.changed()
            try:
                self.figures.report = session.loop.run(each_second=lambda now: self._second(session, now))
            finally:
                self.engine = session.engine
        if not self._stopping.is_set():
            self._say(f"{session.camera.name} has ended.")

    def _second(self, session: Session, now: LiveReport) -> None:
        figures = self.figures.add(session, now)
        parts = self._running.parts
        amiss = None if parts is None else hint(self.figures.seconds, parts.wish, session.camera.name)
        if (self._shown, self._hint) != (self.shows, amiss):
            self._shown, self._hint = self.shows, amiss
            self._listener.changed()
        self._listener.each_second(figures)

    def _say(self, line: str) -> None:
        self._said.append(line)
        self._given.say(line)
        self._listener.changed()
