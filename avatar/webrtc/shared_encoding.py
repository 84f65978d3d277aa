"""The avatar's picture, encoded once for all viewers who can be sent the same.

Each viewer has a bit rate of its own; an encoding goes at that of its slowest viewer. So that one slow viewer does not
make the picture poor for all, those who are much slower than the fastest have a second encoding to themselves. Who
comes anew, moves to the other one, or was busy for too long, begins with a key frame, which all of that encoding get.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, cast

import av
from aiortc.mediastreams import VIDEO_TIME_BASE, MediaStreamError, MediaStreamTrack
from aiortc.rtcrtpparameters import RTCRtpCodecParameters

from avatar.webrtc.avatar_track import AvatarVideo

SLOW, FAST_AGAIN = 0.5, 0.7  # of the fastest viewer's bit rate: below the first one is slow, until above the second
STAYS_S = 4.0  # in one encoding, at least: a move costs a key frame
KEPT = 8  # pictures, for a viewer who was busy for a moment


class PictureEncoder(Protocol):
    """H.264 or VP8. Used by one thread at a time, but not always by the same."""

    def follow(self, target_bps: Callable[[], int]) -> None:
        """From now on, the bit rate is what this returns, within the limits."""
        ...

    def compress(self, frame: av.VideoFrame, force_keyframe: bool) -> tuple[bytes, bool]:
        """The compressed picture, and whether it is a key frame, which may come later than it was asked for."""
        ...


@dataclass(frozen=True, slots=True)
class Encoded:
    """A picture of one encoding; `number` counts them."""

    number: int
    data: bytes
    pts: int
    key: bool
    skipped: int  # how many of the avatar's pictures were not encoded, from the first one on


class ViewerTrack(MediaStreamTrack):
    """One viewer's video: packets that are encoded already, in the order of their encoding."""

    kind = "video"

    def __init__(self, shared: SharedVideo) -> None:
        super().__init__()
        self.sent = self.skipped = self.key_frames = 0  # pictures; those that newer ones were sent instead of
        self.slow = False
        self.placed_s = -STAYS_S
        self._shared = shared
        self._codec: RTCRtpCodecParameters | None = None
        self._target_bps: Callable[[], int] = lambda: 0
        self._encoding: Encoding | None = None
        self._last: Encoded | None = None  # of `_encoding`
        self._last_pts = -1

    def send_as(self, codec: RTCRtpCodecParameters, target_bps: Callable[[], int]) -> None:
        """What this viewer understands, and has room for. Before `recv`."""
        self._codec, self._target_bps = codec, target_bps

    @property
    def target_bps(self) -> int:
        return self._target_bps()

    def ask_for_key_frame(self) -> None:
        if self._encoding is not None:
            self._encoding.key_wanted = True

    def stop(self) -> None:
        super().stop()
        self._join(None)

    async def recv(self) -> av.Packet[av.VideoStream]:
        assert self._codec is not None
        while self.readyState == "live":
            encoding = self._shared.place(self, self._codec)
            if encoding is not self._encoding:
                self._join(encoding)
            picture = encoding.next_after(self._last, self._last_pts)
            if picture is not None:
                return self._packet(picture)
            await encoding.newer()
        raise MediaStreamError

    def _join(self, encoding: Encoding | None) -> None:
        if self._encoding is not None:
            self._encoding.leave(self)
        self._encoding, self._last = encoding, None
        if encoding is not None:
            encoding.viewers.add(self)

    def _packet(self, picture: Encoded) -> av.Packet[av.VideoStream]:
        if self._last is not None:
            self.skipped += picture.number - self._last.number - 1 + picture.skipped - self._last.skipped
        self._last, self._last_pts = picture, picture.pts
        self.sent += 1
        self.key_frames += picture.key
        packet = cast("av.Packet[av.VideoStream]", av.Packet(picture.data))
        packet.pts, packet.time_base = picture.pts, VIDEO_TIME_BASE
        return packet


class Encoding:
    """One encoder, and those who are sent what it makes. Ends when the last one leaves."""

    def __init__(self, video: AvatarVideo, encoder: PictureEncoder) -> None:
        self.viewers: set[ViewerTrack] = set()
        self.key_wanted = False
        self._source, self._encoder = video.track(), encoder
        self._kept: deque[Encoded] = deque(maxlen=KEPT)
        self._waiting: set[asyncio.Future[None]] = set()
        self._task = asyncio.ensure_future(self._run())
        self._task.add_done_callback(self._tell_failure)
        encoder.follow(lambda: min((viewer.target_bps for viewer in self.viewers), default=0))

    @property
    def over(self) -> bool:
        return self._source.readyState != "live" or self._task.done()

    def leave(self, viewer: ViewerTrack) -> None:
        self.viewers.discard(viewer)
        if not self.viewers:
            self._source.stop()
            self._task.cancel()

    def next_after(self, last: Encoded | None, pts: int) -> Encoded | None:
        """What comes after `last`; else a key frame after `pts`, which is asked for where none is kept."""
        if last is not None:
            later = [picture for picture in self._kept if picture.number > last.number]
            if not later:
                return None
            if later[0].number == last.number + 1:
                return later[0]
        keys = [picture for picture in self._kept if picture.key and picture.pts > pts]
        if not keys:
            self.key_wanted = True
            return None
        return keys[-1]

    async def newer(self) -> None:
        """Wait for the next picture. Raises what the encoder raised."""
        woken = asyncio.get_running_loop().create_future()
        self._waiting.add(woken)
        try:
            await woken
        finally:
            self._waiting.discard(woken)

    async def _run(self) -> None:
        number = 0
        while True:
            frame = await self._source.recv()
            wanted, self.key_wanted = self.key_wanted, False
            data, key = await asyncio.get_running_loop().run_in_executor(None, self._encoder.compress, frame, wanted)
            if not data:
                self.key_wanted = self.key_wanted or wanted
                continue
            if key:
                self.key_wanted = False  # this is the one
            assert frame.pts is not None
            self._kept.append(Encoded(number, data, frame.pts, key, self._source.skipped))
            number += 1
            for woken in self._waiting:
                if not woken.done():
                    woken.set_result(None)

    def _tell_failure(self, task: asyncio.Task[None]) -> None:
        failure = None if task.cancelled() else task.exception()
        for woken in self._waiting:
            if not woken.done():
                woken.set_exception(failure or MediaStreamError())


class SharedVideo:
    """All encodings of one avatar's video: for each codec one, or two where some viewers are slow."""

    def __init__(self, video: AvatarVideo, encoder: Callable[[RTCRtpCodecParameters], PictureEncoder]) -> None:
        self._video, self._encoder = video, encoder
        self._encodings: dict[tuple[str, bool], Encoding] = {}

    def track(self) -> ViewerTrack:
        """A new one, for one viewer."""
        return ViewerTrack(self)

    def place(self, viewer: ViewerTrack, codec: RTCRtpCodecParameters) -> Encoding:
        """Which encoding this viewer is to be sent from now on."""
        name = codec.mimeType.lower()
        now_s = time.monotonic()
        if now_s - viewer.placed_s >= STAYS_S:
            others = [other for slow in (False, True) for other in self._viewers(name, slow)]
            fastest_bps = max(each.target_bps for each in (viewer, *others))
            slow = viewer.target_bps < (FAST_AGAIN if viewer.slow else SLOW) * fastest_bps
            if slow != viewer.slow or viewer.placed_s < 0:
                viewer.slow, viewer.placed_s = slow, now_s
        encoding = self._encodings.get((name, viewer.slow))
        if encoding is None or encoding.over:
            encoding = self._encodings[name, viewer.slow] = Encoding(self._video, self._encoder(codec))
        return encoding

    def _viewers(self, codec: str, slow: bool) -> set[ViewerTrack]:
        encoding = self._encodings.get((codec, slow))
        return encoding.viewers if encoding is not None else set()
