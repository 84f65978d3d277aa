"""A webcam that may be slow, dark or unplugged: it is waited for, and never holds up whoever reads."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from avatar.core.arrays import Picture
from avatar.core.errors import DeviceError
from avatar.core.frame import Frame, NoPicture
from engines import Say, on_stderr

IDLE_S = 0.1  # between two NoPictures
STALL_S = 1.5  # without a picture, or STALL_FRAMES of the camera's own rate: it has stopped for now
STALL_FRAMES = 4
RETRY_S = 1.0  # between two attempts to open it again
RATE_S = 2.0  # over which the frame rate is measured
BLACK_S = 2.0
BLACK_MEAN, BLACK_SPREAD = 16.0, 8.0  # of 255: a covered lens; a dark room has more in it
STALE_NS = 1_000_000_000  # a driver's time stamp that is older, or lies in the future, is none
JOIN_S = 2.0

logger = logging.getLogger(__name__)


class Device(Protocol):
    """An opened camera that has given a first picture."""

    name: str
    fps: float  # as the driver states it; 0 where it does not

    def read(self) -> tuple[Picture, int] | None:
        """Wait for (H, W, 3) RGB and the driver's time stamp (monotonic ns, not trusted). None: it gives no more."""
        ...

    def why_lost(self) -> str:
        """After `read` gave None: what happened, as a sentence that starts with the name."""
        ...

    def close(self) -> None: ...


class GoneError(DeviceError):
    """The camera is not there (any more)."""


class Webcam:
    """Takes pictures in a thread of its own; `read` hands out the newest one.

    While the camera is away (unplugged, stuck, taken by another program) `read` gives NoPicture, ten times a second;
    the camera is opened again as soon as it can be. What happens is said once, from either thread.
    """

    def __init__(self, connect: Callable[[], Device], say: Say = on_stderr) -> None:
        """`connect` opens the camera: now, and each second while it is away. Raises the DeviceError that it raises."""
        self._connect, self._say = connect, say
        device = connect()
        self.name = device.name
        self.dropped = 0
        self._stated_fps = device.fps
        self._start_ns = self._last_ns = self._heard_ns = time.monotonic_ns()
        self._news = threading.Condition()
        self._newest: tuple[Picture, int] | None = None
        self._stamps: deque[int] = deque(maxlen=256)
        self._index = 0
        self._reading = self._away = False
        self._failure: BaseException | None = None
        self._said = self._fault = ""
        self._black_since_ns: int | None = None
        self._black_said = False
        self._closing = threading.Event()
        # daemon: a driver that never returns must not keep the program alive
        self._thread = threading.Thread(target=self._run, args=(device,), name="visavis-webcam", daemon=True)
        self._thread.start()

    @property
    def fps(self) -> float:
        """What the camera really gives, measured over the last two seconds; until a second is over, what it states."""
        with self._news:
            stamps = tuple(self._stamps)
        if len(stamps) < 3 or stamps[-1] - stamps[0] < 1_000_000_000:
            return self._stated_fps or 30.0
        return (len(stamps) - 1) * 1e9 / (stamps[-1] - stamps[0])

    def read(self) -> Frame | NoPicture | None:
        """The newest picture that was not read yet, waited for; NoPicture while there is none; None once closed."""
        stall_s = max(STALL_S, STALL_FRAMES / self.fps)
        stalled = False
        with self._news:
            self._reading = True
            if self._away:
                wait_s = IDLE_S
            else:
                wait_s = max(IDLE_S, stall_s - (time.monotonic_ns() - self._heard_ns) / 1e9)
            away = self._away
            self._news.wait_for(lambda: self._newest or self._away != away or self._over(), wait_s)
            if self._failure is not None:
                raise self._failure
            if self._closing.is_set():
                return None
            taken, self._newest = self._newest, None
            if taken is None and not self._away:
                self._away = stalled = True
        if stalled:
            self._tell(f"{self.name} gives no pictures. Waiting for it.")
        now_ns = time.monotonic_ns()
        # the time of a NoPicture may be later than that of the picture which ends the waiting
        self._last_ns = max(self._last_ns + 1, now_ns if taken is None else taken[1])
        if taken is None:
            return NoPicture(self._last_ns)
        self._index += 1
        return Frame(taken[0], self._last_ns, self._index - 1, (self._last_ns - self._start_ns) / 1e9)

    def close(self) -> None:
        """Let go of the camera. One whose driver never returns is left to the end of the program."""
        self._closing.set()
        with self._news:
            self._news.notify_all()
        self._thread.join(JOIN_S)

    def _over(self) -> bool:
        return self._failure is not None or self._closing.is_set()

    # What follows runs in the camera's own thread

    def _run(self, device: Device) -> None:
        try:
            self._take_pictures(device)
        except BaseException as failure:
            with self._news:
                self._failure = failure
                self._news.notify_all()

    def _take_pictures(self, first: Device) -> None:
        device: Device | None = first
        try:
            while not self._closing.is_set():
                if device is None:
                    self._closing.wait(RETRY_S)
                    device = None if self._closing.is_set() else self._reconnect()
                elif (taken := self._picture_of(device)) is not None:
                    self._arrived(*taken)
                else:
                    gone, device = device, None
                    _closed(gone)  # first: as long as it is held open, the kernel gives its number to no other
                    self._lost(self._fault or gone.why_lost())
        finally:
            if device is not None:
                _closed(device)

    def _picture_of(self, device: Device) -> tuple[Picture, int] | None:
        """None where it gives no more, or its library failed: it may work once it is opened again."""
        self._fault = ""
        try:
            return device.read()
        except Exception as failure:
            self._fault = f"{device.name} has failed ({type(failure).__name__}: {failure})."
            return None

    def _reconnect(self) -> Device | None:
        try:
            device = self._connect()
        except GoneError:
            return None
        except Exception as error:  # as it may have failed before, in a picture
            known = isinstance(error, DeviceError)
            self._tell(str(error) if known else f"{self.name} cannot be opened ({type(error).__name__}: {error}).")
            return None
        with self._news:
            self.name = device.name
            self._stated_fps = device.fps
            self._stamps.clear()
        return device

    def _lost(self, why: str) -> None:
        with self._news:
            known, self._away = self._away, True
            self._news.notify_all()
        if not known:
            self._tell(f"{why} Waiting for it.")

    def _arrived(self, picture: Picture, stamp_ns: int) -> None:
        now_ns = time.monotonic_ns()
        capture_ns = stamp_ns if 0 <= now_ns - stamp_ns < STALE_NS else now_ns
        with self._news:
            back, self._away = self._away, False
            self._heard_ns = now_ns
            if not self._stamps or capture_ns > self._stamps[-1]:
                self._stamps.append(capture_ns)
            while len(self._stamps) > 3 and self._stamps[-1] - self._stamps[0] > RATE_S * 1e9:
                self._stamps.popleft()
            self.dropped += self._reading and self._newest is not None
            self._newest = (picture, capture_ns)
            self._news.notify_all()
        if back:
            self._tell(f"{self.name} is back.")
            self._said = ""
        self._watch_for_black(picture, now_ns)

    def _watch_for_black(self, picture: Picture, now_ns: int) -> None:
        some = picture[::16, ::16]
        if some.mean() > BLACK_MEAN or some.std() > BLACK_SPREAD:
            self._black_since_ns, self._black_said = None, False
            return
        self._black_since_ns = self._black_since_ns or now_ns
        if not self._black_said and now_ns - self._black_since_ns >= BLACK_S * 1e9:
            self._black_said = True
            self._say(f"{self.name} shows nothing but black: is the lens covered, or its shutter closed?")

    def _tell(self, line: str) -> None:
        """Said, unless it was the last thing said."""
        if line != self._said:
            self._said = line
            self._say(line)


def _closed(device: Device) -> None:
    """Whatever its library says to that."""
    try:
        device.close()
    except Exception as failure:
        logger.warning("%s could not be closed: %s", device.name, failure)
