"""The live session that the page starts and stops: one at a time, in a thread of its own."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from avatar.core.errors import UsageError, VisavisError
from avatar.core.file_name import numbered
from avatar.core.paths import home
from avatar.core.plain_text import plain_text
from avatar.dashboard.avatars import existing
from avatar.dashboard.preview import PagePreview
from avatar.identity.bundle import avatar_names, load_avatar
from avatar.live.background import Background, parse_background
from avatar.live.canvas import parse_size
from avatar.live.control import REGIONS, Control
from avatar.live.loop import CAPTURE_TO_PUBLISHED, LiveReport
from avatar.live.outputs import open_publisher
from avatar.live.session import Session, open_session
from avatar.publish.publisher import Publisher
from avatar.publish.recorder import Recorder
from avatar.sources.camera import Driver, open_driver
from avatar.sources.video_devices import video_devices
from engines import EngineDescription, EngineFailure, Say, available_backends
from engines.backends import LABELS

SIZES = ("512x512", "640x480", "1280x720", "1920x1080")
SECONDS_KEPT = 120
LINES_KEPT = 20
STOP_S = 25.0
VIRTUAL_CAMERA = "virtual-camera"
PICTURE = "picture"  # the background that a page has sent

State = Literal["off", "starting", "running", "stopping"]
Figures = dict[str, Any]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CameraChoice:
    """A camera that the page may choose by `id`. Its path, if it has one, never comes from the page."""

    id: str
    name: str
    open: Callable[[Say], Driver]


@dataclass(frozen=True, slots=True)
class Wish:
    """What the page asks to run. Everything is an id or a number that is checked against what there is."""

    avatar: str
    camera: str
    engine: str = "auto"
    virtual_camera: bool = False
    size: str = "512x512"
    background: str = "portrait"  # or "blur", "#rrggbb", or PICTURE
    mirror: bool = False
    recording: bool = False  # into the folder of recordings


def _silent(line: str) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Given:
    """What the program gives its page beside what this computer has."""

    cameras: Sequence[CameraChoice] = ()  # before the webcams that there are
    publishers: Callable[[], Sequence[Publisher]] = tuple  # that always get the avatar, such as a call; for each run
    threads: int | None = None
    precision: str = "auto"
    say: Say = _silent  # is told what the page is told


class LiveRun:
    """Starts and stops; `change` sets what may change meanwhile. From any thread.

    `changed` is called when `report` is new, `each_second` with the figures of a second, `on_frame` for each picture.
    """

    def __init__(
        self,
        tracker_model: Callable[[], Path],
        changed: Callable[[], None],
        each_second: Callable[[Figures], None],
        on_frame: Callable[[], None],
        given: Given,
    ) -> None:
        self.preview = PagePreview(on_frame)
        self._tracker_model, self._changed, self._each_second = tracker_model, changed, each_second
        self._given = given
        self._lock = threading.Lock()
        self._state: State = "off"
        self._wish: Wish | None = None
        self._problem: str | None = None
        self._said: deque[str] = deque(maxlen=LINES_KEPT)
        self._seconds: deque[Figures] = deque(maxlen=SECONDS_KEPT)
        self._session: Session | None = None
        self._control: Control | None = None
        self._driver: Driver | None = None
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._sizes = list(SIZES)
        self.picture: NDArray[np.uint8] | None = None  # (H, W, 3), of the background PICTURE
        self._before: LiveReport | None = None  # of the second before
        self._shown: str | None = None  # in the second before
        self.latency_ms: float | None = None  # capture → published, of the last second
        self.last: LiveReport | None = None  # of the session that ended last, or as it stands now
        self.engine: EngineDescription | None = None  # that runs, or ran last
        self.failure: Exception | None = None  # that ended the last session
        self.ended_by_itself = False  # the last session: its camera ended, or it failed
        self.starts = 0  # sessions so far

    @property
    def shows(self) -> str | None:
        """The avatar that is on the stage, or about to be the first. One wished for later takes a moment, or fails."""
        session, wish = self._session, self._wish
        if session is not None:
            return session.stage.cast.avatar.name
        return None if wish is None or self._state == "off" else wish.avatar

    @property
    def engine_line(self) -> str:
        """Which engine runs, and why the others do not; "" while none does."""
        session = self._session
        return "" if session is None else session.engine_line

    def report(self) -> Figures:
        session, wish, shows = self._session, self._wish, self.shows
        if wish is not None and shows is not None:
            wish = replace(wish, avatar=shows)
        return {
            "state": self._state,
            "problem": self._problem,
            "said": list(self._said),
            "wish": None if wish is None else asdict(wish),
            "controls": None if session is None else _controls(session),
            "engine": None if session is None else asdict(session.engine),
            "engine_line": self.engine_line,
            "seconds": list(self._seconds),
        }

    def choices(self) -> Figures:
        """What can be chosen on this computer, now. Looks at the devices: not for an event loop."""
        return {
            "cameras": [{"id": choice.id, "name": choice.name} for choice in self._all_cameras()],
            "virtual_camera": _virtual_camera(),
            "engines": [{"id": "auto", "name": "The fastest", "problem": None}]
            + [
                {"id": name, "name": LABELS[name], "problem": problem} for name, problem in available_backends().items()
            ],
            "sizes": list(self._sizes),
            "picture": self.picture is not None,
            "recordings": str(_recordings()),
        }

    def check(self, wish: Wish) -> None:
        """Raises UsageError for what a page cannot choose, NotThereError without that avatar."""
        existing(wish.avatar)
        if wish.size not in self._sizes:
            raise UsageError(f"The size {wish.size} is not one of {', '.join(self._sizes)}.")
        if wish.engine != "auto" and wish.engine not in LABELS:
            raise UsageError(f"There is no engine {wish.engine}.")
        self._background(wish.background)

    def start(self, wish: Wish, bundle: Path | None = None) -> None:
        """Start in a thread. `bundle`: a file that is not among the enrolled ones.

        Raises UsageError while one is running, and without that camera; NotThereError without that avatar.
        """
        bundle = bundle or existing(wish.avatar)
        if wish.size not in self._sizes:
            self._sizes.append(wish.size)
        camera = next((choice for choice in self._all_cameras() if choice.id == wish.camera), None)
        if camera is None:
            raise UsageError("That camera is not there. Plug it in, then look for cameras again.")
        with self._lock:
            if self._state != "off":
                raise UsageError("The avatar is live already. Stop it first.")
            self._state, self._wish, self._problem, self.failure = "starting", wish, None, None
            self.ended_by_itself = False
            self.starts += 1
            self._said.clear()
            self._seconds.clear()
            self._stopping.clear()
            self._thread = threading.Thread(
                target=self._run, args=(wish, camera, bundle), name="visavis-live", daemon=True
            )
            self._thread.start()
        self._changed()

    def stop(self) -> None:
        """Ask it to end; `report` tells when it has."""
        with self._lock:
            if self._state in ("off", "stopping"):
                return
            self._state = "stopping"
            self._stopping.set()
            session, driver = self._session, self._driver
        if session is not None:
            session.loop.stop()
        if driver is not None:
            driver.close()  # ends a read that waits for a picture
        self._changed()

    def close(self) -> None:
        self.stop()
        if self._thread is not None:
            self._thread.join(STOP_S)

    def change(self, wanted: Figures) -> None:
        """Of {avatar, mirror, paused, frozen, gains: {mouth: 1.2}, calibrate: true}: all of it, or nothing.

        Raises UsageError, InputError.
        """
        session, control = self._session, self._control
        if session is None or control is None:
            raise UsageError("The avatar is not live. Start it first.")
        for act in [self._wanted(session, control, name, value) for name, value in wanted.items()]:
            act()
        self._changed()

    def _wanted(self, session: Session, control: Control, name: str, value: object) -> Callable[[], None]:
        """What does it, once all is known to be right. Raises UsageError, InputError."""
        retargeter = session.stage.cast.retargeter
        if name == "avatar":
            # what is wrong with it is an answer, where `show` could only say it later
            load_avatar(existing(str(value)))
            return lambda: self._show(control, str(value))
        if name in ("mirror", "paused", "frozen") and isinstance(value, bool):
            attribute = {"mirror": "mirror", "paused": "idle_only", "frozen": "frozen"}[name]
            return lambda: setattr(retargeter, attribute, value)
        if name == "gains" and isinstance(value, dict):
            for region, gain in value.items():
                if region not in REGIONS or isinstance(gain, bool) or not isinstance(gain, int | float):
                    raise UsageError(f"gains are numbers for {', '.join(REGIONS)}.")
            return lambda: control.set_gains({region: float(gain) for region, gain in value.items()})
        if name == "calibrate" and value is True:
            return control.recalibrate
        raise UsageError(f"{plain_text(name, 40)} cannot be changed to {plain_text(repr(value), 80)}.")

    def _show(self, control: Control, name: str) -> None:
        if self._wish is not None:
            self._wish = replace(self._wish, avatar=name)
        control.show(name)

    def _background(self, text: str) -> Background:
        """Never a path. Raises UsageError."""
        if text == PICTURE and self.picture is not None:
            return Background("picture", self.picture)
        if text not in ("portrait", "blur") and not (text.startswith("#") and len(text) == 7):
            raise UsageError("The background is portrait, blur, a colour such as #203040, or a picture that was sent.")
        return parse_background(text)

    def _all_cameras(self) -> list[CameraChoice]:
        webcams = [
            CameraChoice(device.path, f"{device.card} ({device.path})", _opener(device.path))
            for device in video_devices()
            if device.captures and not device.loopback
        ]
        return [*self._given.cameras, *webcams]

    def _run(self, wish: Wish, camera: CameraChoice, bundle: Path) -> None:
        try:
            self._play(wish, camera, bundle)
        except (VisavisError, EngineFailure) as error:
            self._problem, self.failure = str(error), error
        except Exception as error:
            logger.exception("the live session failed")
            self._problem, self.failure = "Something unexpected went wrong. The terminal says what.", error
        finally:
            with self._lock:
                self._session = self._control = self._driver = None
                self.ended_by_itself = not self._stopping.is_set()
                self._state = "off"
            self._changed()

    def _play(self, wish: Wish, camera: CameraChoice, bundle: Path) -> None:
        avatar = load_avatar(bundle)
        publishers: list[Publisher] = [self.preview, *self._given.publishers()]
        if wish.virtual_camera:
            publishers.append(open_publisher(VIRTUAL_CAMERA, self._say))
        if wish.recording:
            named = _recordings() / f"{wish.avatar} {datetime.now():%Y-%m-%d %H.%M.%S}.mp4"
            named.parent.mkdir(mode=0o700, exist_ok=True)
            file = next(name for name in numbered(named) if not name.exists())  # where the clock was set back
            publishers.append(Recorder(file))
            self._say(f"Recording into {file}")
        with ExitStack() as parts:
            driver = self._driver = camera.open(self._say)
            parts.callback(driver.close)  # also where what comes before the session fails
            session = parts.enter_context(
                open_session(
                    avatar,
                    self._tracker_model(),
                    driver,
                    publishers,
                    size=parse_size(wish.size),
                    background=self._background(wish.background),
                    backend=wish.engine,
                    threads=self._given.threads,
                    precision=self._given.precision,
                    say=self._say,
                )
            )
            session.stage.cast.retargeter.mirror = wish.mirror
            with self._lock:
                self._session, self._control = session, Control(session, avatar_names(), self._say)
                if self._stopping.is_set():
                    return
                self._state = "running"
            self._before = None
            self._changed()
            try:
                self.last = session.loop.run(each_second=self._second)
            finally:
                self.engine = session.engine
        if not self._stopping.is_set():
            self._say(f"{camera.name} has ended.")

    def _second(self, now: LiveReport) -> None:
        session = self._session
        if session is not None:
            newest = session.latency.newest(CAPTURE_TO_PUBLISHED, max(1, round(now.fps)))
            self.latency_ms = float(np.median(newest)) if newest.size else None
        if self._shown != self.shows:
            self._shown = self.shows
            self._changed()
        second = self.preview.second()
        before, self._before, self.last = self._before, now, now
        tracked = now.tracked - (before.tracked if before else 0)
        faceless = now.faceless - (before.faceless if before else 0)
        figures = {
            "fps": second.fps,
            "p50_ms": second.p50_ms,
            "p99_ms": second.p99_ms,
            "drops": sum(now.drops.values()) - (sum(before.drops.values()) if before else 0),
            "dropped": now.drops,
            "faceless": 0 < tracked == faceless,
            "idle": tracked == 0,
            "level": now.level,
            "backend": session.engine.backend if session else "",
            "calibrated": round(session.stage.cast.retargeter.calibrated, 2) if session else 0.0,
            "at_s": round(time.time(), 1),
        }
        self._seconds.append(figures)
        self._each_second(figures)

    def _say(self, line: str) -> None:
        self._said.append(line)
        self._given.say(line)
        self._changed()


def _controls(session: Session) -> Figures:
    retargeter = session.stage.cast.retargeter
    return {
        "mirror": retargeter.mirror,
        "paused": retargeter.idle_only,
        "frozen": retargeter.frozen,
        "gains": {region: float(getattr(retargeter.gains, region)) for region in REGIONS},
    }


def _opener(path: str) -> Callable[[Say], Driver]:
    return lambda say: open_driver(path, say=say)


def _virtual_camera() -> Figures:
    """`problem`: why there is none, and how to have one; `name`: which it will be."""
    lines: list[str] = []
    try:
        open_publisher(VIRTUAL_CAMERA, lines.append)
    except VisavisError as error:
        return {"name": "", "problem": str(error)}
    return {"name": " ".join(lines), "problem": None}


def _recordings() -> Path:
    return home() / "recordings"
