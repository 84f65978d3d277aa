"""Camera and microphone of another program as the driver's, over WebRTC: a browser's, or those that OBS sends."""

from __future__ import annotations

import time
from collections import deque

import av
import numpy as np
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from avatar.core.frame import Frame, NoPicture
from avatar.core.mailbox import Mailbox
from avatar.sources.v4l2 import WANTED_FPS
from avatar.webrtc.aiortc_patches.receiver import decoded_frames
from avatar.webrtc.sound import RATE, Sound
from engines import Say

WIDEST_PX = 640  # as for a webcam: what the tracker needs
IDLE_S = 0.1  # between two NoPictures
PACKET_NS = 20_000_000  # of sound, which is sent when its last sample has been captured
ARRIVALS = 250  # how many packets tell when the network was at its quickest


class RemoteCamera:
    """A `Camera` whose frames come by WebRTC tracks; the newest wins. NoPicture while none comes."""

    fps = WANTED_FPS

    def __init__(self, name: str, say: Say) -> None:
        """say: for who connects it to a source, to tell when one comes and goes."""
        self.name, self.say = name, say
        self.last_ns = 0  # monotonic, when the newest frame came
        self._newest: Mailbox[Frame] = Mailbox("remote → camera")
        self._index = self._skipped = 0
        self._before: int | None = None  # how many were lost before anybody read

    @property
    def dropped(self) -> int:
        return self._lost() - (self._before or 0)

    @property
    def closed(self) -> bool:
        return self._newest.closed

    def read(self) -> Frame | NoPicture | None:
        if self._before is None:
            self._before = self._lost()
        frame = self._newest.take(IDLE_S)
        if frame is None and not self.closed:
            return NoPicture(time.monotonic_ns())
        return frame

    def close(self) -> None:
        """Ends a waiting `read`, and each `watch` with its next frame. Safe to call twice."""
        self._newest.close(discard=True)

    def _lost(self) -> int:
        return self._newest.dropped + self._skipped

    async def watch(self, track: MediaStreamTrack) -> None:
        """Take a remote video track's frames until it ends, or this camera is closed."""
        while (picture := await _next(track)) is not None:
            # aiortc queues what it decodes: what came while the last one was scaled down is skipped
            while decoded_frames(track):
                self._skipped += 1
                if (picture := await _next(track)) is None:
                    return
            assert isinstance(picture, av.VideoFrame)
            self.last_ns = time.monotonic_ns()
            scale = min(1.0, WIDEST_PX / picture.width)
            small = picture.reformat(
                width=max(2, round(picture.width * scale)), height=max(2, round(picture.height * scale)), format="rgb24"
            )
            rgb = np.ascontiguousarray(small.to_ndarray(), dtype=np.uint8)
            if not self._newest.put(Frame(rgb, self.last_ns, self._index)):
                return
            self._index += 1


async def listen(track: MediaStreamTrack, *sounds: Sound) -> None:
    """Put a remote audio track into `sounds` until it ends, stamped with the time at which it was captured.

    That time is measured: the packets' own clock, set by the quickest of the last ones, less a packet's length.
    Where several tracks share one Sound, the one that came last is heard.
    """
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
    offsets_ns: deque[int] = deque(maxlen=ARRIVALS)
    for sound in sounds:
        sound.speaker = track
    try:
        while (heard := await _next(track)) is not None:
            assert isinstance(heard, av.AudioFrame) and heard.pts is not None and heard.time_base is not None
            now_ns, media_ns = time.monotonic_ns(), round(heard.pts * heard.time_base * 1_000_000_000)
            offsets_ns.append(now_ns - media_ns)
            captured_ns = media_ns + min(offsets_ns) - PACKET_NS
            for mono in resampler.resample(heard):
                for sound in sounds:
                    if sound.speaker in (track, None):
                        sound.put(mono.to_ndarray().ravel().astype(np.int16), captured_ns)
                captured_ns += mono.samples * 1_000_000_000 // RATE
    finally:
        for sound in sounds:
            if sound.speaker is track:
                sound.speaker = None


async def _next(track: MediaStreamTrack) -> object:
    try:
        return await track.recv()
    except MediaStreamError:
        return None
