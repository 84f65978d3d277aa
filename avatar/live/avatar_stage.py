"""The stage that turns numbers into pictures: retargeting, generator and framing of the avatar that is shown now."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NewType

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.errors import VisavisError
from avatar.frame import Frame
from avatar.identity.avatar import Avatar
from avatar.live.canvas import Canvas
from avatar.live.governor import Governor
from avatar.live.latency import LatencyRecorder
from avatar.live.renderer import Renderer
from avatar.live.timed_engine import TimedEngine
from avatar.retarget.driving import Driving
from avatar.retarget.interpolate import MotionInterpolator
from avatar.retarget.retargeter import Retargeter
from avatar.tracking.face_state import FaceState
from engines.engine import Engine, EngineFailure

AvatarFrame = NewType("AvatarFrame", Frame)  # a Frame that was painted from Driving; AvatarStage alone makes them

OpenEngine = Callable[[Avatar], Engine]
RETRY_S, MOST_RETRY_S = 1.0, 10.0  # until an engine that failed is opened again


@dataclass
class Cast:
    """One avatar on the stage, with all that belongs to it."""

    avatar: Avatar
    canvas: Canvas
    retargeter: Retargeter
    engine: Engine
    latency: LatencyRecorder
    mattes: Sequence[NDArray[np.uint8]] | None = None  # of the portraits, where the canvas needs them
    renderers: dict[int, Renderer] = field(default_factory=dict)  # by the side of the picture that they draw

    def renderer(self, side_px: int) -> Renderer:
        if side_px not in self.renderers:
            self.renderers[side_px] = Renderer(
                self.avatar, TimedEngine(self.engine, self.latency), side_px, self.mattes
            )
        return self.renderers[side_px]

    @property
    def shares_engine(self) -> bool:
        """Whether the network is that of all avatars, which take it over from each other."""
        return not self.avatar.fine_tuned

    def take_engine(self, engine: Engine) -> None:
        """Draw with another engine from here on."""
        if engine is not self.engine:
            self.engine = engine
            self.renderers.clear()


class AvatarStage:
    """Paints one frame after another. One thread paints; `change_cast` may come from another.

    When the engine fails for good, the last picture is held while the engine is opened again.
    """

    def __init__(
        self,
        cast: Cast,
        governor: Governor,
        open_engine: OpenEngine,
        latency: LatencyRecorder,
        say: Callable[[str], None],
    ) -> None:
        self.cast = cast
        self.governor = governor
        self.held = 0  # pictures that were shown again because there was no engine
        self._open_engine, self._latency, self._say = open_engine, latency, say
        self._next: Cast | None = None
        self._closed = False
        self._lock = threading.Lock()
        self._interpolator: MotionInterpolator | None = None  # of this avatar's motion
        self._index = 0
        self._last: NDArray[np.uint8] | None = None
        self._broken_ns: int | None = None  # since when no engine works
        self._retry_s, self._retry_ns = RETRY_S, 0

    @property
    def broken(self) -> bool:
        """Whether the picture is held, because no engine works."""
        return self._broken_ns is not None

    def change_cast(self, cast: Cast) -> None:
        """Show another avatar from the next frame on. The engine before is closed then, unless both share it."""
        with self._lock:
            unused, self._next = (cast, None) if self._closed else (self._next, cast)
        if unused is not None and unused.engine not in (self.cast.engine, cast.engine if unused is not cast else None):
            _close(unused.engine)  # it never came on

    def between(self, capture_ns: int) -> AvatarFrame | None:
        """The picture for a camera frame that was not tracked. None before the first that was."""
        return None if self._interpolator is None else self._paint(self._interpolator.between(capture_ns))

    def paint(self, state: FaceState) -> AvatarFrame:
        """The picture for one tracked frame. Raises EngineFailure when the very first one cannot be drawn."""
        self._enter_next()
        with self._latency.time("retarget"):
            driving = self.cast.retargeter.drive(state)
        self._interpolator = self._interpolator or MotionInterpolator()
        self._interpolator.feed(driving)
        return self._paint(driving)

    def close(self) -> None:
        with self._lock:
            self._closed = True
        self._enter_next()
        _close(self.cast.engine)

    def _paint(self, driving: Driving) -> AvatarFrame:
        """The only place where a publishable frame comes into being: from numbers, and a portrait."""
        cast = self.cast
        if self._broken_ns is not None and not self._mended(cast):
            return self._hold(driving)
        try:
            with self._latency.time("render"):
                renderer = cast.renderer(self._side_px(cast.canvas))
                square, matte = renderer.render(driving), renderer.matte()
            self._drew()
        except EngineFailure as failure:
            if self._last is None:
                raise
            self._broke(failure)
            return self._hold(driving)
        with self._latency.time("compose"):
            side_px = cast.canvas.square_px
            self._last = cast.canvas.place(
                _enlarged(square, side_px), None if matte is None else _enlarged(matte, side_px)
            )
        return self._frame(driving)

    def _side_px(self, canvas: Canvas) -> int:
        return max(2, round(canvas.square_px * self.governor.level.render_share / 2) * 2)

    def _frame(self, driving: Driving) -> AvatarFrame:
        assert self._last is not None
        frame = AvatarFrame(Frame(self._last, driving.capture_ns, self._index))
        self._index += 1
        return frame

    def _hold(self, driving: Driving) -> AvatarFrame:
        self.held += 1
        return self._frame(driving)

    def _broke(self, failure: Exception) -> None:
        now_ns = time.monotonic_ns()
        if self._broken_ns is None:
            self._say(f"{str(failure).rstrip('.')}. The picture is held; the engine is opened again.")
            self._broken_ns, self._retry_s = now_ns, RETRY_S
        else:
            self._retry_s = min(2 * self._retry_s, MOST_RETRY_S)
        self._retry_ns = now_ns + round(self._retry_s * 1e9)

    def _mended(self, cast: Cast) -> bool:
        """Whether there is an engine to draw with: a new one, once it is time to try."""
        if time.monotonic_ns() < self._retry_ns:
            return False
        _close(cast.engine)
        try:
            cast.take_engine(self._open_engine(cast.avatar))
        except (EngineFailure, VisavisError, OSError) as failure:
            self._broke(failure)
            return False
        return True

    def _drew(self) -> None:
        """A picture was drawn: only that proves that an engine works again."""
        if self._broken_ns is not None:
            self._say(f"The engine is back after {(time.monotonic_ns() - self._broken_ns) / 1e9:.1f} s.")
            self._broken_ns = None

    def _enter_next(self) -> None:
        with self._lock:
            cast, self._next = self._next, None
        if cast is None:
            return
        if cast.shares_engine and self.cast.shares_engine:
            cast.take_engine(self.cast.engine)  # it may have been opened again meanwhile
        elif cast.engine is not self.cast.engine:
            _close(self.cast.engine)
            self._broken_ns = None
        self.cast, self._interpolator = cast, None


def _close(engine: Engine) -> None:
    with suppress(EngineFailure):  # its device may have gone
        engine.close()


def _enlarged(picture: NDArray[np.uint8], side_px: int) -> NDArray[np.uint8]:
    if len(picture) == side_px:
        return picture
    return np.asarray(cv2.resize(picture, (side_px, side_px), interpolation=cv2.INTER_LINEAR), np.uint8)
