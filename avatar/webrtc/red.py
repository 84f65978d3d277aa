"""Sound that survives loss: each packet carries the one or two before it as well (RED, RFC 2198, of Opus).

Chromium knows it both ways, aiortc does not: `aiortc_patches.codecs` negotiates it, and the jitter buffer of
`aiortc_patches` takes what a lost packet held from the next one.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from aiortc.rtcrtpparameters import RTCRtpCodecCapability, RTCRtpCodecParameters

MIME_TYPE = "audio/red"
OFFSET_LIMIT, LENGTH_LIMIT = 1 << 14, 1 << 10  # what a block's header has room for
MANY_LOST = 0.15  # the share of packets from which on each is sent three times instead of twice
LOSS_DECAY = 0.7  # a report: how fast loss is forgotten


def is_red(codec: RTCRtpCodecParameters | RTCRtpCodecCapability | None) -> bool:
    return codec is not None and codec.mimeType.lower() == MIME_TYPE


@dataclass(frozen=True, slots=True)
class Block:
    """One packet's sound within a packet of RED."""

    payload_type: int
    offset: int  # how much earlier than the packet's own time stamp, in samples
    data: bytes


def pack(blocks: Sequence[Block]) -> bytes:
    """Oldest first; the last one is the packet's own, `offset` 0.

    A block that does not fit is left out with all before it: its place alone tells which packet a block is from.
    """
    *older, own = blocks
    while any(block.offset >= OFFSET_LIMIT or len(block.data) >= LENGTH_LIMIT for block in older):
        older = older[1:]
    heads = [
        struct.pack("!I", (0x80 | block.payload_type) << 24 | block.offset << 10 | len(block.data)) for block in older
    ]
    return b"".join([*heads, bytes([own.payload_type]), *(block.data for block in older), own.data])


def unpack(payload: bytes) -> Iterator[Block]:
    """Oldest first; the last one is the packet's own. Raises ValueError."""
    heads, at = [], 0
    while at + 4 <= len(payload) and payload[at] & 0x80:
        (head,) = struct.unpack_from("!I", payload, at)
        heads.append((head >> 24 & 0x7F, head >> 10 & OFFSET_LIMIT - 1, head & LENGTH_LIMIT - 1))
        at += 4
    if at >= len(payload) or payload[at] & 0x80:
        raise ValueError("cut off in its headers")
    own_type = payload[at]
    at += 1
    if at + sum(length for _, _, length in heads) > len(payload):
        raise ValueError("shorter than its headers say")
    for payload_type, offset, length in heads:
        yield Block(payload_type, offset, payload[at : at + length])
        at += length
    yield Block(own_type, 0, payload[at:])


class Redundancy:
    """Makes the payloads of one stream, with more of the packets before where more is lost."""

    def __init__(self, red: RTCRtpCodecParameters) -> None:
        self.bottleneck = False  # on the way to the receiver: each packet goes alone, for more would be lost
        self._payload_type = int(next(iter(red.parameters)).partition("/")[0])
        self._earlier: deque[tuple[int, bytes]] = deque(maxlen=2)
        self._loss = 0.0

    def report_loss(self, share: float) -> None:
        self._loss = max(share, LOSS_DECAY * self._loss)

    def add(self, data: bytes, timestamp: int) -> bytes:
        """The payload of the packet that carries `data`. `timestamp`: in samples."""
        count = 0 if self.bottleneck else 2 if self._loss > MANY_LOST else 1
        earlier = list(self._earlier)[-count:] if count else []
        older = [Block(self._payload_type, timestamp - then, before) for then, before in earlier]
        self._earlier.append((timestamp, data))
        return pack([*older, Block(self._payload_type, 0, data)])
