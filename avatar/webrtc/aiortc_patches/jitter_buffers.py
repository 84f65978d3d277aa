"""Instead of aiortc's NackGenerator and JitterBuffer: a lost packet is asked for while it is of use, and given up.

They go by the clock, at which they look whenever a packet comes. `receiver` puts them in place.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator

from aiortc.jitterbuffer import JitterFrame
from aiortc.rtp import RtpPacket

from avatar.webrtc.red import Block, unpack

Clock = Callable[[], float]

NACK_AFTER_S, NACK_AGAIN_S = 0.02, 0.1  # a packet may only be out of order; an answer takes its time
MOST_NACKED = 100  # packets at once
VIDEO_PATIENCE_S = 0.5  # for a lost packet; then for the next key frame
PLI_AGAIN_S = 0.3  # a request for a key frame may be lost as well
AUDIO_PATIENCE_S = 0.06, 0.2  # at least, and where packets come out of order, at most
PATIENCE_STEP_S, PATIENCE_DECAY = 0.02, 0.999  # for a packet that came too late, and for each that did not
MOST_HELD, MOST_BEFORE_KEY, MOST_GIVEN_UP = 2048, 256, 64  # packets


class SequenceUnwrapper:
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


class NackGenerator:
    """Which packets to ask for now (NACK, RFC 4585)."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self.missing: list[int] = []
        self._clock = clock
        self._unwrapped = SequenceUnwrapper()
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
                self._since_s[lost], self._next_s[lost] = now_s, now_s + NACK_AFTER_S
        self._newest = max(self._newest, at)
        self._forget(at)
        for old in [lost for lost, since_s in self._since_s.items() if now_s - since_s > VIDEO_PATIENCE_S]:
            self._forget(old)
        due = [lost for lost, next_s in self._next_s.items() if next_s <= now_s][:MOST_NACKED]
        self._next_s.update(dict.fromkeys(due, now_s + NACK_AGAIN_S))
        self.missing = [lost % 0x10000 for lost in due]
        return bool(due)

    def _forget(self, at: int) -> None:
        self._since_s.pop(at, None)
        self._next_s.pop(at, None)


class VideoJitterBuffer:
    """Puts video frames together, in order. After a gap that stays, the next is a key frame, which is asked for."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._unwrapped = SequenceUnwrapper()
        self._packets: dict[int, RtpPacket] = {}
        self._next: int | None = None  # where the next frame begins; None: at a key frame
        self._waits_since_s: float | None = None
        self._asked_s = clock()

    def add(self, packet: RtpPacket) -> tuple[bool, JitterFrame | None]:
        """Whether to ask for a key frame (PLI), and a frame."""
        now_s, at = self._clock(), self._unwrapped(packet.sequence_number)
        if self._next is None or at >= self._next:
            self._packets[at] = packet
        if (gap := self._first_gap()) is not None:
            self._waits_since_s = self._waits_since_s or now_s
            if now_s - self._waits_since_s > VIDEO_PATIENCE_S or len(self._packets) > MOST_HELD:
                self._packets = {at: packet for at, packet in self._packets.items() if at > gap}
                self._next = self._waits_since_s = None
        ask = False
        if self._next is None and not self._resume_at_key_frame():
            while len(self._packets) > MOST_BEFORE_KEY:
                del self._packets[min(self._packets)]
            if ask := now_s - self._asked_s > PLI_AGAIN_S:
                self._asked_s = now_s
        return ask, next((frame for _, frame in self.complete_frames()), None)

    def complete_frames(self) -> Iterator[tuple[int, JitterFrame]]:
        """All frames that are complete: the payload type, and the frame."""
        while self._next is not None and (end := self._frame_end(self._next)) is not None:
            packets = [self._packets.pop(at) for at in range(self._next, end)]
            self._next, self._waits_since_s = end, None
            data = b"".join(packet._data for packet in packets)  # type: ignore[attr-defined]
            if not data:  # padding, which the decoder would take for the end
                continue
            yield packets[0].payload_type, JitterFrame(data, packets[0].timestamp)

    def _frame_end(self, first: int) -> int | None:
        """After the frame that begins at `first`, when all of it is there."""
        at = first
        while (packet := self._packets.get(at)) is not None:
            if packet.timestamp != self._packets[first].timestamp:
                return at
            at += 1
            if packet.marker:
                return at
        return None

    def _first_gap(self) -> int | None:
        """The first packet that is missing before the newest."""
        if self._next is None:
            return None
        at = self._next
        while at in self._packets:
            at += 1
        return at if max(self._packets, default=at) > at else None

    def _resume_at_key_frame(self) -> bool:
        """Go on at the newest key frame, where there is one."""
        keys = {at: packet.timestamp for at, packet in self._packets.items() if _begins_key_frame(packet)}
        if not keys:
            return False
        self._next = min(at for at, timestamp in keys.items() if timestamp == keys[max(keys)])
        self._packets = {at: packet for at, packet in self._packets.items() if at >= self._next}
        return True


class AudioJitterBuffer:
    """Hands out sound in order, at once; waits for what is missing for as long as packets here usually come late."""

    def __init__(self, red: Callable[[int], bool] = lambda payload_type: False, clock: Clock = time.monotonic) -> None:
        """`red`: whether packets of a payload type carry those before them as well."""
        self._red, self._clock = red, clock
        self._unwrapped = SequenceUnwrapper()
        self._held: dict[int, tuple[float, int, JitterFrame]] = {}  # when it came, payload type
        self._next: int | None = None
        self._given_up: deque[int] = deque(maxlen=MOST_GIVEN_UP)
        self._patience_s = AUDIO_PATIENCE_S[0]

    def add(self, packet: RtpPacket) -> tuple[bool, None]:
        """`complete_frames` has what is complete then."""
        at = self._unwrapped(packet.sequence_number)
        if self._next is None:
            self._next = at
        least_s, most_s = AUDIO_PATIENCE_S
        if at in self._given_up:
            self._patience_s = min(most_s, self._patience_s + PATIENCE_STEP_S)
        else:
            self._patience_s = max(least_s, self._patience_s * PATIENCE_DECAY)
        for before, block in enumerate(reversed(self._blocks(packet))):
            if at - before >= self._next:
                frame = JitterFrame(block.data, (packet.timestamp - block.offset) % (1 << 32))
                self._held.setdefault(at - before, (self._clock(), block.payload_type, frame))
        return False, None

    def complete_frames(self) -> Iterator[tuple[int, JitterFrame]]:
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
