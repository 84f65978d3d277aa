"""A microphone's sound, held back for as long as the picture takes, so that sound and lips arrive together.

A viewer's browser pairs sound and picture by the times at which they were sent (RTCP sender reports). So the sound of
a moment is sent about when the picture of that moment is: its delay is the picture's measured latency, capture → sent,
less AHEAD_NS, since Chromium holds sound for 50 to 80 ms and, as it is asked to (`playout_delay`), pictures not at all.
ITU-R BT.1359 allows sound to be 45 ms early, as it is in browsers that pair the two, and 125 ms late.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from fractions import Fraction

import av
import numpy as np
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from numpy.typing import NDArray

RATE = 48_000
CHUNK = RATE // 50  # 20 ms, one Opus packet
KEPT = RATE * 2  # samples
STEP_MS = 25.0  # smaller changes of the delay are not followed: each one is a small skip in the sound
FADE = RATE // 200
MARGIN_NS = 5_000_000
AHEAD_NS = 30_000_000
RECENT_CHUNKS = 100


class Sound:
    """The newest two seconds of one microphone, mono, on the clock of `time.monotonic_ns`. Thread-safe."""

    def __init__(self, picture_latency_ns: Callable[[], int] = lambda: 0) -> None:
        self.muted = False
        self.speaker: object | None = None  # of several remote tracks, the one that is heard
        self._picture_latency_ns = picture_latency_ns
        self._lock = threading.Lock()
        self._samples = np.zeros(KEPT, np.int16)  # a ring: sample i of the clock lies at i % KEPT
        self._head: int | None = None  # the clock's sample after the newest one
        self._late_ns: deque[int] = deque(maxlen=RECENT_CHUNKS)  # how old each chunk's first sample was on arrival
        self._put_ns = 0

    def put(self, samples: NDArray[np.int16], captured_ns: int, now_ns: int | None = None) -> None:
        """Add (n,) samples, the first of which was captured at `captured_ns`. A gap before them becomes silence."""
        now_ns = time.monotonic_ns() if now_ns is None else now_ns
        start = _clock_sample(captured_ns)
        with self._lock:
            if self._head is None or abs(start - self._head) > RATE * STEP_MS / 1000:
                gap = KEPT if self._head is None else max(0, min(start - self._head, KEPT))
                self._write(start - gap, np.zeros(gap, np.int16))
                self._head = start
            self._write(self._head, samples[-KEPT:])
            self._head += len(samples)
            self._late_ns.append(now_ns - captured_ns)
            self._put_ns = now_ns

    @property
    def delay_ns(self) -> int:
        """Capture → sent of the sound: a little less than the picture's, unless the microphone itself is slower."""
        with self._lock:
            late_ns = sorted(self._late_ns)
        # a chunk in twenty may come too late, and is silent: waiting for the last straggler would part sound and lips
        usual_ns = late_ns[len(late_ns) * 19 // 20] if late_ns else 0
        return max(self._picture_latency_ns() - AHEAD_NS, usual_ns + MARGIN_NS)

    @property
    def lip_offset_ms(self) -> float:
        """How much later than the picture the sound is sent, or earlier. 0 while there is no picture or no sound."""
        picture_ns = self._picture_latency_ns()
        return (self.delay_ns - picture_ns) / 1e6 if picture_ns and self._late_ns else 0.0

    @property
    def live(self) -> bool:
        """Whether a microphone has been heard within the last second."""
        return time.monotonic_ns() - self._put_ns < 1_000_000_000 and self._head is not None

    def read(self, start: int) -> NDArray[np.int16]:
        """(CHUNK,) samples from the clock's sample `start` on; silence where there is none, and while muted."""
        chunk = np.zeros(CHUNK, np.int16)
        with self._lock:
            if self._head is None or self.muted:
                return chunk
            first, last = max(start, self._head - KEPT), min(start + CHUNK, self._head)
            if first < last:
                chunk[first - start : last - start] = self._samples[np.arange(first, last) % KEPT]
        return chunk

    def due(self, now_ns: int) -> int:
        """Where a chunk that is sent at `now_ns` ought to start."""
        return _clock_sample(now_ns - self.delay_ns) - CHUNK

    def track(self) -> SoundTrack:
        return SoundTrack(self)

    def _write(self, start: int, samples: NDArray[np.int16]) -> None:
        self._samples[np.arange(start, start + len(samples)) % KEPT] = samples


class SoundTrack(MediaStreamTrack):
    """One viewer's sound: a chunk every 20 ms, silence where the microphone gives none."""

    kind = "audio"

    def __init__(self, sound: Sound) -> None:
        super().__init__()
        self.skips = 0  # how often the delay had to be followed
        self._sound = sound
        self._start_ns = 0
        self._chunks = 0
        self._position: int | None = None

    async def recv(self) -> av.AudioFrame:
        now_ns = time.monotonic_ns()
        if self._chunks == 0:
            self._start_ns = now_ns
        elif (late_ns := now_ns - self._due_ns) > 1_000_000_000:  # the computer slept: nothing is said of that time
            self._chunks += late_ns * RATE // (CHUNK * 1_000_000_000)
        elif late_ns < 0:
            await asyncio.sleep(-late_ns / 1e9)
        if self.readyState != "live":
            raise MediaStreamError
        frame = av.AudioFrame.from_ndarray(self._next()[None, :], format="s16", layout="mono")
        frame.sample_rate, frame.time_base = RATE, Fraction(1, RATE)
        frame.pts = self._chunks * CHUNK
        self._chunks += 1
        return frame

    @property
    def _due_ns(self) -> int:
        """When the next chunk is to be sent; a busy computer may come to it later."""
        return self._start_ns + self._chunks * CHUNK * 1_000_000_000 // RATE

    def _next(self) -> NDArray[np.int16]:
        wanted = self._sound.due(self._due_ns)
        position = wanted if self._position is None else self._position
        chunk = self._sound.read(position)
        if abs(wanted - position) > RATE * STEP_MS / 1000:
            fade = np.linspace(0, 1, FADE, dtype=np.float32)
            there = self._sound.read(wanted)
            there[:FADE] = (chunk[:FADE] * (1 - fade) + there[:FADE] * fade).astype(np.int16)
            chunk, position = there, wanted
            self.skips += 1
        self._position = position + CHUNK
        return chunk


def _clock_sample(at_ns: int) -> int:
    return at_ns * RATE // 1_000_000_000
