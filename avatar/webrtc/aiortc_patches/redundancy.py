"""Sound that survives loss: each packet carries the one or two before it as well (RED, RFC 2198, of Opus).

Chromium knows it both ways. aiortc does not, and offers no hook: its list of codecs is extended, and the functions that
choose among them, and find a decoder, are replaced. What a lost packet leaves is made good in `reception`.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from aiortc import rtcpeerconnection, rtcrtpreceiver
from aiortc.codecs import CODECS, get_decoder
from aiortc.codecs.base import Decoder
from aiortc.codecs.opus import OpusDecoder
from aiortc.jitterbuffer import JitterFrame
from aiortc.rtcrtpparameters import RTCRtpCodecCapability, RTCRtpCodecParameters
from av.frame import Frame

OFFERED_TYPE = 104  # in offers of ours; 96 to 102 are aiortc's
TYPES = {*range(35, 64), *range(96, 128)}  # of RTP that are free; 64 to 95 would look like RTCP (RFC 5761)
MOST_OFFSET, MOST_LENGTH = 1 << 14, 1 << 10  # what a header has room for
MANY_LOST = 0.15  # the share of packets from which on each is sent three times instead of twice
CALMER = 0.7  # a report: how fast loss is forgotten

_RED = RTCRtpCodecParameters(
    mimeType="audio/red", clockRate=48_000, channels=2, payloadType=OFFERED_TYPE, parameters={"96/96": None}
)
_find_common_codecs = rtcpeerconnection.find_common_codecs


def negotiate_redundancy() -> None:
    """From now on, offers and answers of this process know RED, and like it best."""
    if _RED not in CODECS["audio"]:
        CODECS["audio"].append(_RED)
        rtcpeerconnection.find_common_codecs = _common
        rtcrtpreceiver.get_decoder = _decoder  # type: ignore[attr-defined]


def is_red(codec: RTCRtpCodecParameters | RTCRtpCodecCapability | None) -> bool:
    return codec is not None and codec.mimeType.lower() == _RED.mimeType


def _common(
    local_codecs: list[RTCRtpCodecParameters], remote_codecs: list[RTCRtpCodecParameters]
) -> list[RTCRtpCodecParameters]:
    """As aiortc's own; RED of an Opus that both know comes first, by their number, which may lie below aiortc's."""
    common = _find_common_codecs([codec for codec in local_codecs if not is_red(codec)], remote_codecs)
    for opus in [codec for codec in common if codec.mimeType == "audio/opus"]:
        inside = f"{opus.payloadType}/{opus.payloadType}"
        for red in remote_codecs:
            if is_red(red) and inside in red.parameters and red.payloadType in TYPES:
                return [replace(_RED, payloadType=red.payloadType, parameters={inside: None}), *common]
    return common


def _decoder(codec: RTCRtpCodecParameters) -> Decoder:
    return _OwnDecoder() if is_red(codec) else get_decoder(codec)


class _OwnDecoder(OpusDecoder):
    """Only each packet's own sound: for receivers that `ease_reception` was not called for."""

    def decode(self, encoded_frame: JitterFrame) -> list[Frame]:
        try:
            *_, own = unpack(encoded_frame.data)
        except ValueError:
            return []
        return super().decode(JitterFrame(own.data, encoded_frame.timestamp))


@dataclass(frozen=True, slots=True)
class Block:
    payload_type: int
    behind: int  # the packet's own time stamp, in samples
    data: bytes


def pack(blocks: Sequence[Block]) -> bytes:
    """Oldest first; the last one is the packet's own, `behind` 0.

    One that does not fit is left out, and all before it: whose packet a block is, its place tells.
    """
    *older, own = blocks
    while any(block.behind >= MOST_OFFSET or len(block.data) >= MOST_LENGTH for block in older):
        older = older[1:]
    heads = [
        struct.pack("!I", (0x80 | block.payload_type) << 24 | block.behind << 10 | len(block.data)) for block in older
    ]
    return b"".join([*heads, bytes([own.payload_type]), *(block.data for block in older), own.data])


def unpack(payload: bytes) -> Iterator[Block]:
    """Oldest first; the last one is the packet's own. Raises ValueError."""
    heads, at = [], 0
    while at + 4 <= len(payload) and payload[at] & 0x80:
        (head,) = struct.unpack_from("!I", payload, at)
        heads.append((head >> 24 & 0x7F, head >> 10 & MOST_OFFSET - 1, head & MOST_LENGTH - 1))
        at += 4
    if at >= len(payload) or payload[at] & 0x80:
        raise ValueError("cut off in its headers")
    own_type = payload[at]
    at += 1
    if at + sum(length for _, _, length in heads) > len(payload):
        raise ValueError("shorter than its headers say")
    for payload_type, behind, length in heads:
        yield Block(payload_type, behind, payload[at : at + length])
        at += length
    yield Block(own_type, 0, payload[at:])


class Redundancy:
    """What goes into each packet of a stream."""

    def __init__(self, red: RTCRtpCodecParameters) -> None:
        self._payload_type = int(next(iter(red.parameters)).partition("/")[0])
        self._earlier: deque[tuple[int, bytes]] = deque(maxlen=2)
        self._loss, self._narrow = 0.0, False

    def make_room(self, narrow: bool) -> None:
        """Whether the way is so narrow that each packet goes alone, for more would be lost."""
        self._narrow = narrow

    def report_loss(self, share: float) -> None:
        self._loss = max(share, CALMER * self._loss)

    def add(self, data: bytes, timestamp: int) -> bytes:
        """The payload of the packet that carries `data`. `timestamp`: in samples."""
        count = 0 if self._narrow else 2 if self._loss > MANY_LOST else 1
        earlier = list(self._earlier)[-count:] if count else []
        older = [Block(self._payload_type, timestamp - then, before) for then, before in earlier]
        self._earlier.append((timestamp, data))
        return pack([*older, Block(self._payload_type, 0, data)])
