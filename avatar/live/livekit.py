"""The avatar as a video generator for LiveKit's agents: what their avatar plug-ins are made of.

    live loop's thread                 LiveKit's asyncio loop
    LiveLoop ─Frame─▶ send │ newest ─▶ LiveKitGenerator ─VideoFrame─▶ AvatarRunner ─▶ AVSynchronizer ─▶ room
    agent's speech ─AudioFrame─▶ push_audio ─▶ sound, in real time ─▶ the same

The avatar is driven by a face, not by sound. Where only sound comes in, the head idles (it breathes, blinks and looks
about) and **the lips do not move**: they move as the driver's do, be that a webcam, a clip or recorded motion.

Interface: livekit.agents.voice.avatar (livekit-agents 1.8), https://docs.livekit.io/agents/models/avatar/
"""

# mypy: allow-subclassing-any

from __future__ import annotations

import asyncio
import statistics
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from livekit import rtc
from livekit.agents.voice.avatar import AudioSegmentEnd, AvatarOptions, VideoGenerator

from avatar.core.avatar import Avatar
from avatar.core.frame import Frame
from avatar.live.loop import LiveLoop
from avatar.live.options import LiveOptions
from avatar.live.session import open_session
from avatar.publish.publisher import Publisher
from avatar.sources.camera import CameraOrMotion
from avatar.sources.nobody import Nobody
from engines import Say, on_stderr

LATENCY_FRAMES = 90  # how many frames the measured latency is the median of
PIECE_S = 0.02
# So much sound lies in LiveKit's own queue of 100 ms when the next piece comes, which just fits: late wake-ups are not
# heard, and the runner, which hands on sound and pictures one after the other, need not wait for room.
LEAD_NS = 80_000_000
KEPT_S = 1.0  # of sound, which agents make faster than it plays; `push_audio` then waits
LATEST_NS = 300_000_000  # AVSynchronizer forgets its schedule when it is behind by more


class StampedFrame(rtc.VideoFrame):
    """A picture that knows when it was captured. RGB24, not copied: LiveKit makes I420 of it faster than we could.

    AvatarRunner has no way to pass the time on: it stamps a frame when it is handed over, which the live loop does at
    the pace of the captures. A room of your own may say `video_source.capture_frame(frame, timestamp_us=
    frame.capture_ns // 1000)`; of that, libwebrtc keeps the distances between frames, not the times themselves.
    """

    def __init__(self, frame: Frame) -> None:
        rgb = np.require(frame.rgb, requirements=["C", "W"])  # copied where LiveKit could not read it in its place
        super().__init__(frame.width, frame.height, rtc.VideoBufferType.RGB24, rgb.reshape(-1).data)
        self.capture_ns = frame.capture_ns


@dataclass(frozen=True, slots=True)
class _Sound:
    """A piece of what `push_audio` was given, or the end of a segment."""

    frame: rtc.AudioFrame | AudioSegmentEnd
    arrived_ns: int
    duration_ns: int = 0


class LiveKitGenerator(Publisher, VideoGenerator):
    """A publisher of the live loop on one side, a VideoGenerator for one AvatarRunner on the other.

    Pictures: the newest that the loop has made; one that was not taken in time is dropped and counted. They are handed
    over at no more than the rate in `options`, so that none waits in AVSynchronizer's queue.

    Sound: what `push_audio` is given, unchanged and in real time, held back by the pictures' measured latency (capture
    → handed over), so that a driver's own voice meets the driver's lips. AudioSegmentEnd comes when the segment was
    played. No lips move by it: see this module.

    All but `open`, `send` and `close` belong to LiveKit's loop.
    """

    name = "LiveKit"

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """`loop` is the one on which LiveKit runs; the running one unless given."""
        self.dropped = 0
        self._loop = loop or asyncio.get_running_loop()
        self._changed = asyncio.Event()
        self._lock = threading.Lock()
        self._newest: Frame | None = None
        self._shape: tuple[int, int, float] | None = None
        self._ended = False
        self._failure: BaseException | None = None
        self._ages_ns: deque[int] = deque(maxlen=LATENCY_FRAMES)
        self._last_capture_ns = 0
        self._picture_due_ns = 0
        self._sound: deque[_Sound] = deque()
        self._delay_ns = 0
        self._dry_ns = 0  # when all sound that was handed over will have been played

    # The live loop's side

    def open(self, width: int, height: int, fps: float) -> None:
        self._shape = width, height, fps
        self._wake()

    def send(self, frame: Frame) -> None:
        with self._lock:
            self.dropped += self._newest is not None
            self._newest = frame
        self._wake()

    def close(self) -> None:
        """The loop has ended, and with it, after the last picture, the iteration. Sound that is left is not played."""
        self._ended = True
        self._wake()

    def fail(self, failure: BaseException) -> None:
        """As `close`, and the iteration raises `failure`. From any thread."""
        self._failure = failure
        self.close()

    # LiveKit's side

    async def opened(self) -> None:
        """Wait until the loop runs. Raises what kept it from that."""
        await self._until(lambda: self._shape is not None or self._ended)
        if self._failure is not None:
            raise self._failure

    def options(self, audio_sample_rate: int = 24_000, audio_channels: int = 1) -> AvatarOptions:
        """For AvatarRunner: the pictures' size and rate, beside those of the sound to come. Once `opened`."""
        assert self._shape is not None, "the live loop does not run yet: await opened()"
        width, height, fps = self._shape
        return AvatarOptions(width, height, fps, audio_sample_rate, audio_channels)

    @property
    def latency_ns(self) -> int:
        """Capture → handed to LiveKit, the median of the last frames. 0 before the first."""
        return round(statistics.median(self._ages_ns)) if self._ages_ns else 0

    async def push_audio(self, frame: rtc.AudioFrame | AudioSegmentEnd) -> None:
        """Add sound of the rate and channels in `options`, or end a segment.

        Returns as soon as there is room for more; after AudioSegmentEnd, once all before it was played: AvatarRunner
        takes the end of a segment for that of the next one if it has read on before. `clear_buffer` ends the wait.
        """
        now_ns = time.monotonic_ns()
        if isinstance(frame, AudioSegmentEnd):
            self._sound.append(_Sound(frame, now_ns))
            most_s = 0.0
        else:
            self._sound.extend(_Sound(piece, now_ns, round(piece.duration * 1e9)) for piece in _pieces(frame))
            most_s = KEPT_S
        self._changed.set()
        await self._until(lambda: len(self._sound) * PIECE_S <= most_s or self._ended)

    def clear_buffer(self) -> None:
        """Forget the sound that was not handed over yet. What was, at most 100 ms, LiveKit plays."""
        self._sound.clear()
        self._changed.set()

    def __aiter__(self) -> AsyncIterator[rtc.VideoFrame | rtc.AudioFrame | AudioSegmentEnd]:
        return self._stream()

    async def _stream(self) -> AsyncIterator[rtc.VideoFrame | rtc.AudioFrame | AudioSegmentEnd]:
        while True:
            now_ns = time.monotonic_ns()
            sound_ns = self._sound_due_ns(now_ns)
            picture_ns = None if self._newest is None else self._picture_due_ns
            if sound_ns is not None and sound_ns <= now_ns:
                yield self._take_sound(now_ns)
            elif picture_ns is not None and picture_ns <= now_ns:
                yield self._take_picture(now_ns)
            elif self._ended:
                if self._failure is not None:
                    raise self._failure
                return
            else:
                due_ns = min((at_ns for at_ns in (sound_ns, picture_ns) if at_ns is not None), default=None)
                await self._change(None if due_ns is None else (due_ns - now_ns) / 1e9)

    def _take_picture(self, now_ns: int) -> StampedFrame:
        with self._lock:
            frame, self._newest = self._newest, None
        assert frame is not None and self._shape is not None
        if frame.capture_ns != self._last_capture_ns:  # not a repeated one
            self._ages_ns.append(now_ns - frame.capture_ns)
        self._last_capture_ns = frame.capture_ns
        if now_ns - self._picture_due_ns > LATEST_NS:
            self._picture_due_ns = now_ns
        self._picture_due_ns += round(1e9 / self._shape[2])  # by AVSynchronizer's own rule: what is late is caught up
        return StampedFrame(frame)

    def _sound_due_ns(self, now_ns: int) -> int | None:
        """When the next sound is to be handed over."""
        if not self._sound:
            return None
        if isinstance(self._sound[0].frame, AudioSegmentEnd):
            return self._dry_ns
        if self._dry_ns <= now_ns:
            self._delay_ns = self.latency_ns  # followed in silence only: a change would be heard
        return max(self._sound[0].arrived_ns + self._delay_ns, self._dry_ns - LEAD_NS)

    def _take_sound(self, now_ns: int) -> rtc.AudioFrame | AudioSegmentEnd:
        sound = self._sound.popleft()
        self._dry_ns = max(self._dry_ns, now_ns) + sound.duration_ns
        self._changed.set()
        return sound.frame

    def _wake(self) -> None:
        with suppress(RuntimeError):  # LiveKit's loop was closed first
            self._loop.call_soon_threadsafe(self._changed.set)

    async def _until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            await self._change()

    async def _change(self, within_s: float | None = None) -> None:
        self._changed.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._changed.wait()


@asynccontextmanager
async def driven_generator(
    avatar: Avatar,
    tracker_model: Path,
    driver: CameraOrMotion | Nobody | None = None,
    options: LiveOptions | None = None,
    say: Say = on_stderr,
) -> AsyncIterator[LiveKitGenerator]:
    """A generator that `driver` (of `open_camera_or_motion`; None: it idles) drives, by a live loop in a thread.

    The other parameters are those of `open_session`. When the driver ends, as a clip does that is not looped, so does
    the generator's iteration. Raises what keeps the loop from starting.
    """
    generator = LiveKitGenerator()
    stopping = threading.Event()
    loops: list[LiveLoop] = []

    def run() -> None:
        try:
            with open_session(
                avatar,
                tracker_model,
                driver or Nobody(),
                [generator],
                options,
                say,
            ) as session:
                loops.append(session.loop)
                if not stopping.is_set():
                    session.loop.run()
        except BaseException as failure:
            generator.fail(failure)
        generator.close()

    thread = threading.Thread(target=run, name="visavis-livekit", daemon=True)
    thread.start()
    try:
        await generator.opened()
        yield generator
    finally:
        stopping.set()
        for loop in loops:
            loop.stop()
        await asyncio.to_thread(thread.join)


def _pieces(frame: rtc.AudioFrame) -> Iterator[rtc.AudioFrame]:
    """`frame` in pieces of PIECE_S."""
    channels, step = frame.num_channels, max(1, round(frame.sample_rate * PIECE_S))
    for start in range(0, frame.samples_per_channel, step):
        count = min(step, frame.samples_per_channel - start)
        samples = bytes(frame.data[start * channels : (start + count) * channels])
        yield rtc.AudioFrame(samples, frame.sample_rate, channels, count)
