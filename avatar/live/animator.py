"""Turns numbers into pictures: retargeting, generator and framing of the avatar that is shown now."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NewType

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.core.avatar import Avatar
from avatar.core.avatar_name import file_stem
from avatar.core.errors import VisavisError
from avatar.core.frame import Frame
from avatar.face.driving import Driving
from avatar.face.state import FaceState
from avatar.live.canvas import Canvas
from avatar.live.governor import Governor
from avatar.live.latency import LatencyRecorder
from avatar.live.rig import Rig
from avatar.live.whose_face import WhoseFace
from avatar.retarget.extrapolation import MotionExtrapolator
from avatar.retarget.retargeter import Retargeter
from avatar.trust.label import LabelStyle
from engines.engine import Engine, EngineFailure

AvatarFrame = NewType("AvatarFrame", Frame)  # a Frame painted from Driving; only Animator makes them

OpenEngine = Callable[[Avatar], Engine]
RETRY_S, MOST_RETRY_S = 1.0, 10.0  # until an engine that failed is opened again
SAY_AGAIN_S = 10.0  # that pictures still fail


class Animator:
    """Paints one frame after another. One thread paints; `show` may come from another.

    After the first picture there always is one. An avatar whose first picture fails gives way to the one before; when
    drawing fails later, the last picture is held, and an engine that has failed for good is opened again meanwhile.
    """

    def __init__(
        self,
        rig: Rig,
        governor: Governor,
        open_engine: OpenEngine,
        latency: LatencyRecorder,
        say: Callable[[str], None],
        follow: Callable[[Retargeter], None] = lambda retargeter: None,
    ) -> None:
        """`follow`: looks at the retargeter after each frame."""
        self.rig = rig
        self.governor = governor
        self.held = 0  # pictures that were shown again because none could be drawn
        self._open_engine, self._latency, self._say = open_engine, latency, say
        self._follow, self._whose_face = follow, WhoseFace(say)
        self._next: Rig | None = None
        self._before: Rig | None = None  # takes over again where the present one cannot be drawn
        self._closed = False
        self._lock = threading.Lock()
        self._extrapolator: MotionExtrapolator | None = None  # of this avatar's motion
        self._index = 0
        self._last: NDArray[np.uint8] | None = None
        self._labelled: LabelStyle | None = None  # how `_last` is
        self._broken_ns: int | None = None  # since when no engine works
        self._retry_s, self._retry_ns = RETRY_S, 0
        self._said_ns: int | None = None  # when a picture that failed was last told

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the pictures, in pixels."""
        return self.rig.canvas.width, self.rig.canvas.height

    @property
    def broken(self) -> bool:
        """Whether the picture is held, because no engine works."""
        return self._broken_ns is not None

    @property
    def newest(self) -> Rig:
        """The rig that is shown, or about to be."""
        with self._lock:
            return self._next or self.rig

    def sides_px(self, canvas: Canvas) -> set[int]:
        """At which an avatar is drawn on it: now, and with time enough."""
        return {canvas.square_px, self._side_px(canvas)}

    def show(self, rig: Rig) -> None:
        """Show another rig from the next frame on. The engine before is closed once that was drawn, unless both
        share it."""
        with self._lock:
            unused, self._next = (rig, None) if self._closed else (self._next, rig)
        if unused is not None:  # it never came on
            unused.drawn.cancel()
            _close_unused(unused.engine, self.rig, self._before, rig if unused is not rig else None)

    def extrapolate(self, capture_ns: int) -> AvatarFrame | None:
        """The picture for a camera frame that was not tracked. None before the first that was."""
        motion = self._extrapolator
        return None if motion is None else self._picture(lambda: motion.extrapolate(capture_ns), capture_ns)

    def paint(self, state: FaceState) -> AvatarFrame:
        """The picture for one tracked frame. Raises EngineFailure, VisavisError where the first cannot be."""
        self._enter_next()
        return self._picture(lambda: self._drive(state), state.capture_ns) or self.paint(state)

    def close(self) -> None:
        with self._lock:
            self._closed = True
        self._enter_next()
        for rig in (self._before, self.rig):
            if rig is not None:
                rig.drawn.cancel()
                _close(rig.engine)

    def _drive(self, state: FaceState) -> Driving:
        with self._latency.time("retarget"):
            driving = self.rig.retargeter.drive(state)
        self._follow(self.rig.retargeter)
        self._whose_face.tell(self.rig.avatar.name, self.rig.retargeter)
        self._extrapolator = self._extrapolator or MotionExtrapolator()
        self._extrapolator.feed(driving)
        return driving

    def _picture(self, driving: Callable[[], Driving], capture_ns: int) -> AvatarFrame | None:
        """Drawn, else held. None where another avatar was to be shown, and now the one before it goes on."""
        try:
            return self._paint(driving())
        except Exception as failure:  # whatever it is, a call goes on
            if self._before is not None:
                self._give_way(failure)
                return None
            if self._last is None:
                if isinstance(failure, EngineFailure | VisavisError):
                    raise
                raise VisavisError(
                    f"{self.rig.avatar.name} cannot be drawn ({reason(failure)}). Enrol the photos again: "
                    f"`visavis enroll PHOTO… --name {file_stem(self.rig.avatar.name)} --force`."
                ) from failure
            self._failed(failure)
        return self._hold(capture_ns)

    def _paint(self, driving: Driving) -> AvatarFrame:
        """The only place where a publishable frame comes into being: from numbers and a portrait; labelled, marked."""
        rig = self.rig
        if self._broken_ns is not None and not self._mended(rig):
            return self._hold(driving.capture_ns)
        try:
            with self._latency.time("render"):
                renderer = rig.renderer(self._side_px(rig.canvas))
                square = renderer.render(driving)
                matte = renderer.matte() if rig.canvas.shows_matte else None
        except EngineFailure as failure:
            if self._last is None or self._before is not None:
                raise
            self._broke(failure)
            return self._hold(driving.capture_ns)
        with self._latency.time("compose"):
            side_px = rig.canvas.square_px
            cover = None if matte is None else _enlarged(matte, side_px)
            picture = rig.canvas.place(_enlarged(square, side_px), cover, renderer.plate())
        with self._latency.time("mark"):
            self._labelled = rig.label.style
            rig.label.draw(picture)
            self._last = rig.marker.mark(picture)
        self._drew()
        return self._frame(driving.capture_ns)

    def _side_px(self, canvas: Canvas) -> int:
        return max(2, round(canvas.square_px * self.governor.level.render_share / 2) * 2)

    def _frame(self, capture_ns: int) -> AvatarFrame:
        assert self._last is not None
        frame = AvatarFrame(Frame(self._last, capture_ns, self._index))
        self._index += 1
        return frame

    def _hold(self, capture_ns: int) -> AvatarFrame:
        self.held += 1
        if self._last is not None and self._labelled != (style := self.rig.label.style):
            self._last, self._labelled = self._last.copy(), style
            self.rig.label.draw(self._last)  # over one elsewhere, which goes with the next picture that is drawn
        return self._frame(capture_ns)

    def _failed(self, failure: Exception) -> None:
        """A picture could not be drawn, through no fault of the engine: the next one may succeed."""
        now_ns = time.monotonic_ns()
        if self._said_ns is None or now_ns - self._said_ns > SAY_AGAIN_S * 1e9:
            self._say(f"{self.rig.avatar.name} could not be drawn ({reason(failure)}). The picture is held.")
            self._said_ns = now_ns

    def _broke(self, failure: Exception) -> None:
        now_ns = time.monotonic_ns()
        if self._broken_ns is None:
            self._say(f"{str(failure).rstrip('.')}. The picture is held; the engine is opened again.")
            self._broken_ns, self._retry_s = now_ns, RETRY_S
        else:
            self._retry_s = min(2 * self._retry_s, MOST_RETRY_S)
        self._retry_ns = now_ns + round(self._retry_s * 1e9)

    def _mended(self, rig: Rig) -> bool:
        """Whether there is an engine to draw with: a new one, once it is time to try."""
        if time.monotonic_ns() < self._retry_ns:
            return False
        _close(rig.engine)
        try:
            rig.take_engine(self._open_engine(rig.avatar))
        except Exception as failure:  # memory, a library, a file: it is tried again
            self._broke(failure)
            return False
        return True

    def _drew(self) -> None:
        """A picture was drawn. Nothing else proves that an engine works again, or that an avatar can be shown."""
        if self._broken_ns is not None:
            self._say(f"The engine is back after {(time.monotonic_ns() - self._broken_ns) / 1e9:.1f} s.")
            self._broken_ns = None
        before, self._before = self._before, None
        if before is not None:
            _close_unused(before.engine, self.rig)
            if not self.rig.drawn.cancelled():
                self.rig.drawn.set_result(None)

    def _enter_next(self) -> None:
        with self._lock:
            rig, self._next = self._next, None
        if rig is None:
            return
        now = self.rig
        if rig.draws_with(now):
            rig.take_engine(now.engine)  # it may have been opened again meanwhile
        elif rig.engine is not now.engine:
            self._broken_ns = None
        if self._before is None:
            self._before = now
        else:  # `now` was never drawn
            now.drawn.cancel()
            _close_unused(now.engine, rig, self._before)
        self.rig = rig
        if rig.retargeter is not now.retargeter:
            self._extrapolator = None

    def _give_way(self, failure: Exception) -> None:
        assert self._before is not None
        failed, self.rig, self._before = self.rig, self._before, None
        if failed.draws_with(self.rig):
            self.rig.take_engine(failed.engine)
        else:
            _close_unused(failed.engine, self.rig)
        self._extrapolator = None
        told = f"{failed.avatar.name} cannot be drawn ({reason(failure)}). {self.rig.avatar.name} goes on."
        self._say(told)
        failed.drawn.set_exception(VisavisError(told))


def reason(failure: BaseException) -> str:
    """In one line. Our own errors explain themselves; of any other, the type is named as well."""
    text = " ".join(str(failure).split()).rstrip(".")
    return text if isinstance(failure, EngineFailure | VisavisError) else f"{type(failure).__name__}: {text}"


def _close_unused(engine: Engine, *users: Rig | None) -> None:
    if all(user is None or user.engine is not engine for user in users):
        _close(engine)


def _close(engine: Engine) -> None:
    with suppress(EngineFailure):  # its device may have gone
        engine.close()


def _enlarged(picture: NDArray[np.uint8], side_px: int) -> NDArray[np.uint8]:
    if len(picture) == side_px:
        return picture
    return np.asarray(cv2.resize(picture, (side_px, side_px), interpolation=cv2.INTER_LINEAR), np.uint8)
