"""The avatar's picture as a WebRTC video track: always the newest, never a queue."""

from __future__ import annotations

import asyncio
import statistics
import threading
import time
from collections import deque
from collections.abc import Callable

import av
import cv2
import numpy as np
from aiortc.mediastreams import VIDEO_CLOCK_RATE, VIDEO_TIME_BASE, MediaStreamError, MediaStreamTrack
from numpy.typing import NDArray

from avatar.core.frame import Frame

REPEAT_S = 1.0  # a picture that stands still is sent again, so that late viewers and bit rate probes see something
LATENCY_FRAMES = 90  # how many frames the measured latency is the median of


class AvatarVideo:
    """The newest avatar picture, handed from the live loop's thread to any number of tracks on `loop`.

    Between the two threads lies room for one frame; a frame that no track had time for is dropped and counted.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.dropped = 0
        self.live = False  # whether an avatar is shown, be it behind a card; on `loop` only
        self.on_live: Callable[[], None] = lambda: None  # `live` has changed; on `loop`
        self._loop = loop
        self._lock = threading.Lock()
        self._handed: tuple[Frame, bool] | None = None  # on its way from the loop's thread; whether it is an avatar's
        self._picture: _Picture | None = None  # the newest one; below: used on `loop` only
        self._camera_on = True
        self._waiting: set[asyncio.Future[None]] = set()
        self._ages_ns: deque[int] = deque(maxlen=LATENCY_FRAMES)
        self._first_ns: int | None = None
        self._asked_ns: int | None = None  # when a track last asked for a picture

    def put(self, frame: Frame) -> None:
        """Leave the newest frame. From any thread; never blocks."""
        self._hand(frame, live=True)

    def _hand(self, frame: Frame, live: bool) -> None:
        with self._lock:
            waking, self._handed = self._handed is not None, (frame, live)
            self.dropped += waking
        if not waking and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._show_handed)

    def put_card(self, width: int, height: int) -> None:
        """Viewers see a dark card until the next frame. From any thread."""
        self._hand(Frame(_card(width, height), time.monotonic_ns()), live=False)

    @property
    def watched(self) -> bool:
        """Whether a track has asked for pictures just now: each does so every REPEAT_S. From any thread."""
        asked_ns = self._asked_ns
        return asked_ns is not None and time.monotonic_ns() - asked_ns < 3e9 * REPEAT_S

    @property
    def latency_ns(self) -> int:
        """Capture → handed to the encoder, the median of the last frames. 0 before the first."""
        return round(statistics.median(self._ages_ns)) if self._ages_ns else 0

    @property
    def camera_on(self) -> bool:
        return self._camera_on

    @camera_on.setter
    def camera_on(self, on: bool) -> None:
        """Off: viewers see a dark card from now on, and no frame until it is on again. On `loop` only."""
        if self._camera_on and not on:
            shape = self._picture.frame.rgb.shape if self._picture else (512, 512, 3)
            self._show(Frame(_card(shape[1], shape[0]), time.monotonic_ns()))
        self._camera_on = on

    def track(self) -> AvatarTrack:
        """A new track of this video, for one encoder."""
        return AvatarTrack(self)

    async def newer_than(self, picture: _Picture | None) -> _Picture | None:
        """The newest picture, as soon as it is no longer `picture`; after REPEAT_S, whatever there is."""
        self._asked_ns = time.monotonic_ns()
        if self._picture is picture:
            woken = self._loop.create_future()
            self._waiting.add(woken)
            try:
                await asyncio.wait_for(woken, REPEAT_S)
            except TimeoutError:
                pass
            finally:
                self._waiting.discard(woken)
        return self._picture

    def pts(self, capture_ns: int) -> int:
        """The same for all tracks: 0 is the capture of the first picture that one of them took."""
        if self._first_ns is None:
            self._first_ns = capture_ns
        return (capture_ns - self._first_ns) * VIDEO_CLOCK_RATE // 1_000_000_000

    def sent(self, age_ns: int) -> None:
        """A track hands a frame of this age to its encoder."""
        self._ages_ns.append(age_ns)

    def _show_handed(self) -> None:
        with self._lock:
            handed, self._handed = self._handed, None
        if handed is None:
            return
        frame, live = handed
        if self._camera_on:
            self._show(frame)
        if live != self.live:
            self.live = live
            self.on_live()

    def _show(self, frame: Frame) -> None:
        self._picture = _Picture(frame)
        for woken in self._waiting:
            if not woken.done():
                woken.set_result(None)


class AvatarTrack(MediaStreamTrack):
    """Pictures for one encoder. `recv` waits for one that it has not had; pts are those of the capture."""

    kind = "video"

    def __init__(self, video: AvatarVideo) -> None:
        super().__init__()
        self.sent = self.skipped = 0  # frames given to the encoder; newer ones came before these could be
        self._video = video
        self._picture: _Picture | None = None
        self._last_pts = -1
        self._sent_ns = 0

    async def recv(self) -> av.VideoFrame:
        picture: _Picture | None = None
        while picture is None:
            if self.readyState != "live":
                raise MediaStreamError
            picture = await self._video.newer_than(self._picture)
        now_ns = time.monotonic_ns()
        if picture is not self._picture:
            self._video.sent(now_ns - picture.frame.capture_ns)
            pts = self._video.pts(picture.frame.capture_ns)
        else:
            pts = self._last_pts + (now_ns - self._sent_ns) * VIDEO_CLOCK_RATE // 1_000_000_000
        if self._picture is not None:
            self.skipped += max(0, picture.frame.index - self._picture.frame.index - 1)
        frame = av.VideoFrame.from_ndarray(picture.i420(), format="yuv420p")
        frame.pts = self._last_pts = max(pts, self._last_pts + 1)
        frame.time_base = VIDEO_TIME_BASE
        self._picture, self._sent_ns = picture, now_ns
        self.sent += 1
        return frame


class _Picture:
    """A frame, converted once however many viewers there are."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self._i420: NDArray[np.uint8] | None = None

    def i420(self) -> NDArray[np.uint8]:
        """(H · 3 / 2, W), the planes Y, U and V. Sides are even: Canvas sees to it."""
        if self._i420 is None:
            self._i420 = np.asarray(cv2.cvtColor(self.frame.rgb, cv2.COLOR_RGB2YUV_I420), np.uint8)
        return self._i420


def _card(width: int, height: int) -> NDArray[np.uint8]:
    """The picture for "camera off", or no avatar: dark, with a crossed-out camera in its middle."""
    card = np.full((height, width, 3), 24, np.uint8)
    x, y, unit, grey = width // 2, height // 2, min(width, height) // 16, (150, 150, 150)
    cv2.rectangle(card, (x - 2 * unit, y - unit), (x + unit // 2, y + unit), grey, -1, cv2.LINE_AA)
    lens = np.array([[x + unit, y], [x + 2 * unit, y - unit], [x + 2 * unit, y + unit]], np.int32)
    cv2.fillPoly(card, [lens], grey, cv2.LINE_AA)
    cv2.line(card, (x - 3 * unit, y - 2 * unit), (x + 3 * unit, y + 2 * unit), grey, max(2, unit // 4), cv2.LINE_AA)
    return card
