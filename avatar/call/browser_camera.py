"""A browser's webcam and microphone as the driver's, over WebRTC."""

from __future__ import annotations

import time
from collections import deque

import av
import numpy as np
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from avatar.call.sound import RATE, Sound
from avatar.frame import Frame
from avatar.live.mailbox import Mailbox
from avatar.sources.camera_modes import WANTED_FPS

WIDEST_PX = 640  # as for a webcam: what the tracker needs
# a packet is handed out when the next one has come (see `peers`), so its first sample is two packets of 20 ms old
JITTER_BUFFER_NS = 40_000_000
ARRIVALS = 250  # how many packets tell when the network was at its quickest


class BrowserCamera:
    """A `Camera` whose frames come from a browser; the newest wins. Waits where no browser sends."""

    name, fps = "a browser's camera", WANTED_FPS

    def __init__(self) -> None:
        self._newest: Mailbox[Frame] = Mailbox("browser → camera")
        self._index = 0

    @property
    def dropped(self) -> int:
        return self._newest.dropped

    def read(self) -> Frame | None:
        return self._newest.take()

    def close(self) -> None:
        """Ends a waiting `read`. Safe to call twice."""
        self._newest.close(discard=True)

    async def watch(self, track: MediaStreamTrack) -> None:
        """Take a remote video track's frames until it ends."""
        while (picture := await _next(track)) is not None:
            assert isinstance(picture, av.VideoFrame)
            scale = min(1.0, WIDEST_PX / picture.width)
            small = picture.reformat(
                width=max(2, round(picture.width * scale)), height=max(2, round(picture.height * scale)), format="rgb24"
            )
            rgb = np.ascontiguousarray(small.to_ndarray(), dtype=np.uint8)
            self._newest.put(Frame(rgb, time.monotonic_ns(), self._index))
            self._index += 1


async def listen(track: MediaStreamTrack, sound: Sound) -> None:
    """Put a remote audio track into `sound` until it ends, stamped with the time at which it was captured.

    That time is measured: the packets' own clock, set by the quickest of the last ones, less the jitter buffer's hold.
    """
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
    offsets_ns: deque[int] = deque(maxlen=ARRIVALS)
    while (heard := await _next(track)) is not None:
        assert isinstance(heard, av.AudioFrame) and heard.pts is not None and heard.time_base is not None
        now_ns, media_ns = time.monotonic_ns(), round(heard.pts * heard.time_base * 1_000_000_000)
        offsets_ns.append(now_ns - media_ns)
        captured_ns = media_ns + min(offsets_ns) - JITTER_BUFFER_NS
        for mono in resampler.resample(heard):
            sound.put(mono.to_ndarray().ravel().astype(np.int16), captured_ns)
            captured_ns += mono.samples * 1_000_000_000 // RATE


async def _next(track: MediaStreamTrack) -> object:
    try:
        return await track.recv()
    except MediaStreamError:
        return None
