"""What aiortc leaves out where it receives through a bad network: a lost packet is asked for while it is of use.

aiortc asks for a lost video packet once, and then waits until 512 later ones have come. For sound it waits until 16
have, and is as much later from then on. It offers no hook, so its buffers are replaced by those below, which go by the
clock; they look at it whenever a packet comes.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from aiortc import RTCRtpReceiver
from aiortc.jitterbuffer import JitterFrame
from aiortc.rtp import RtpPacket

from avatar.webrtc.aiortc_patches.redundancy import Block, is_red, unpack

Clock = Callable[[], float]

ASK_AFTER_S, ASK_AGAIN_S = 0.02, 0.1  # a packet may only have been overtaken; an answer takes its time
MOST_ASKED = 100  # at once
PICTURE_PATIENCE_S = 0.5  # for a lost packet; then for the next key frame
KEY_AGAIN_S = 0.3  # a request may be lost as well
SOUND_PATIENCE_S = 0.06, 0.2  # at least, and where packets overtake each other, at most
LATE_STEP_S, CALMER = 0.02, 0.999  # a packet that came too late, and each that did not
MOST_HELD, MOST_BEFORE_KEY, MOST_GIVEN_UP = 2048, 256, 64  # packets


def ease_reception(receiver: RTCRtpReceiver) -> None:
    """For a receiver of video or sound, as soon as its track is there."""
    inside: Any = receiver
    codecs = inside._RTCRtpReceiver__codecs  # by payload type; known later
    buffer: PictureBuffer | SoundBuffer
    if receiver.track.kind == "video":
        buffer = PictureBuffer()
        inside._RTCRtpReceiver__nack_generator = Missing()
    else:
        buffer = SoundBuffer(lambda payload_type: is_red(codecs.get(payload_type)))
    inside._RTCRtpReceiver__jitter_buffer = buffer
    handle = receiver._handle_rtp_packet

    async def handle_all(packet: RtpPacket, arrival_time_ms: int) -> None:
        await handle(packet, arrival_time_ms)  # decodes one frame at most
        for payload_type, frame in buffer.more():
            codec = codecs.get(payload_type)
            if codec is not None and inside._RTCRtpReceiver__decoder_thread is not None:
                frame.timestamp = inside._RTCRtpReceiver__timestamp_mapper.map(frame.timestamp)
                inside._RTCRtpReceiver__decoder_queue.put((codec, frame))

    receiver._handle_rtp_packet = handle_all  # type: ignore[method-assign]


class Unwrapped:
    """Sequence numbers of 16 bits that go on counting."""

    def __init__(self) -> None:
        self._newest: int | None = None

    def __call__(self, sequence_number: int) -> int:
        if self._newest is None:
            self._newest = sequence_number
        step = (sequence_number - self._newest + 0x8000) % 0x10000 - 0x8000
        at = self._newest + step
        self._newest = max(self._newest, at)
        return at


class Missing:
    """Which packets to ask for now (NACK, RFC 4585). Stands for aiortc's NackGenerator."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self.missing: list[int] = []
        self._clock = clock
        self._unwrapped = Unwrapped()
        self._newest: int | None = None
        self._since_s: dict[int, float] = {}
        self._next_s: dict[int, float] = {}

    def add(self, packet: RtpPacket) -> bool:
        """A packet has come. Whether to ask for `missing`."""
        now_s, at = self._clock(), self._unwrapped(packet.sequence_number)
        if self._newest is None:
            self._newest = at
        if at - self._newest > MOST_HELD:
            self._since_s.clear()
            self._next_s.clear()
        else:
            for lost in range(self._newest + 1, at):
                self._since_s[lost], self._next_s[lost] = now_s, now_s + ASK_AFTER_S
        self._newest = max(self._newest, at)
        self._forget(at)
        for old in [lost for lost, since_s in self._since_s.items() if now_s - since_s > PICTURE_PATIENCE_S]:
            self._forget(old)
        due = [lost for lost, next_s in self._next_s.items() if next_s <= now_s][:MOST_ASKED]
        self._next_s.update(dict.fromkeys(due, now_s + ASK_AGAIN_S))
        self.missing = [lost % 0x10000 for lost in due]
        return bool(due)

    def _forget(self, at: int) -> None:
        self._since_s.pop(at, None)
        self._next_s.pop(at, None)


class PictureBuffer:
    """Puts video frames together, in order. After a gap that stays, the next is a key frame, which is asked for."""

    capacity = MOST_HELD

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._unwrapped = Unwrapped()
        self._packets: dict[int, RtpPacket] = {}
        self._next: int | None = None  # where the next frame begins; None: at a key frame
        self._waits_since_s: float | None = None
        self._asked_s = clock()

    def add(self, packet: RtpPacket) -> tuple[bool, JitterFrame | None]:
        """Whether to ask for a key frame (PLI), and a frame."""
        now_s, at = self._clock(), self._unwrapped(packet.sequence_number)
        if self._next is None or at >= self._next:
            self._packets[at] = packet
        if (gap := self._gap()) is not None:
            self._waits_since_s = self._waits_since_s or now_s
            if now_s - self._waits_since_s > PICTURE_PATIENCE_S or len(self._packets) > MOST_HELD:
                self._packets = {at: packet for at, packet in self._packets.items() if at > gap}
                self._next = self._waits_since_s = None
        ask = False
        if self._next is None and not self._start():
            while len(self._packets) > MOST_BEFORE_KEY:
                del self._packets[min(self._packets)]
            if ask := now_s - self._asked_s > KEY_AGAIN_S:
                self._asked_s = now_s
        return ask, next((frame for _, frame in self.more()), None)

    def more(self) -> Iterator[tuple[int, JitterFrame]]:
        """All frames that are complete: the payload type, and the frame."""
        while self._next is not None and (end := self._end(self._next)) is not None:
            packets = [self._packets.pop(at) for at in range(self._next, end)]
            self._next, self._waits_since_s = end, None
            data = b"".join(packet._data for packet in packets)  # type: ignore[attr-defined]
            if not data:  # padding, which the decoder would take for the end
                continue
            yield packets[0].payload_type, JitterFrame(data, packets[0].timestamp)

    def _end(self, first: int) -> int | None:
        """After the frame that begins at `first`, when all of it is there."""
        at = first
        while (packet := self._packets.get(at)) is not None:
            if packet.timestamp != self._packets[first].timestamp:
                return at
            at += 1
            if packet.marker:
                return at
        return None

    def _gap(self) -> int | None:
        """The first packet that is missing before the newest."""
        if self._next is None:
            return None
        at = self._next
        while at in self._packets:
            at += 1
        return at if max(self._packets, default=at) > at else None

    def _start(self) -> bool:
        """Go on at the newest key frame, where there is one."""
        keys = {at: packet.timestamp for at, packet in self._packets.items() if _begins_key_frame(packet)}
        if not keys:
            return False
        self._next = min(at for at, timestamp in keys.items() if timestamp == keys[max(keys)])
        self._packets = {at: packet for at, packet in self._packets.items() if at >= self._next}
        return True


class SoundBuffer:
    """Hands out sound in order, at once; waits for what is missing for as long as packets here usually come late."""

    capacity = MOST_HELD

    def __init__(self, red: Callable[[int], bool] = lambda payload_type: False, clock: Clock = time.monotonic) -> None:
        """`red`: whether packets of a payload type carry those before them as well."""
        self._red, self._clock = red, clock
        self._unwrapped = Unwrapped()
        self._held: dict[int, tuple[float, int, JitterFrame]] = {}  # when it came, payload type
        self._next: int | None = None
        self._given_up: deque[int] = deque(maxlen=MOST_GIVEN_UP)
        self._patience_s = SOUND_PATIENCE_S[0]

    def add(self, packet: RtpPacket) -> tuple[bool, None]:
        """`more` has what is complete then."""
        at = self._unwrapped(packet.sequence_number)
        if self._next is None:
            self._next = at
        least_s, most_s = SOUND_PATIENCE_S
        if at in self._given_up:
            self._patience_s = min(most_s, self._patience_s + LATE_STEP_S)
        else:
            self._patience_s = max(least_s, self._patience_s * CALMER)
        for before, block in enumerate(reversed(self._blocks(packet))):
            if at - before >= self._next:
                frame = JitterFrame(block.data, (packet.timestamp - block.behind) % (1 << 32))
                self._held.setdefault(at - before, (self._clock(), block.payload_type, frame))
        return False, None

    def more(self) -> Iterator[tuple[int, JitterFrame]]:
        while self._held:
            at = min(self._held)
            came_s, payload_type, frame = self._held[at]
            assert self._next is not None
            if at != self._next and self._clock() - came_s < self._patience_s:
                return
            self._given_up.extend(range(max(self._next, at - MOST_GIVEN_UP), at))
            del self._held[at]
            self._next = at + 1
            yield payload_type, frame

    def _blocks(self, packet: RtpPacket) -> list[Block]:
        """What one packet carries, its own sound last. Nothing, where it is damaged."""
        if not self._red(packet.payload_type):
            return [Block(packet.payload_type, 0, packet._data)]  # type: ignore[attr-defined]
        try:
            return list(unpack(packet.payload))
        except ValueError:
            return []


def _begins_key_frame(packet: RtpPacket) -> bool:
    """Of H.264 (a sequence parameter set, or a picture that needs no other) or VP8 (RFC 6386, section 9.1)."""
    data: bytes = packet._data  # type: ignore[attr-defined]
    if data.startswith(b"\0\0\0\1"):
        return len(data) > 4 and data[4] & 0x1F in (5, 7)
    return len(data) > 6 and not data[0] & 1 and data[3:6] == b"\x9d\x01\x2a"
