"""What aiortc leaves out where a network chokes: loss lowers the bit rate, and what was lost is sent again in measure.

Where much is lost, a request to send again comes late, or is lost as well, and all pictures after the lost one wait for
it: so each picture's packets are then sent once or twice more, unasked, if there is room.

aiortc follows the receiver's own estimate (REMB) alone, and answers every NACK at once and in full, with the time stamp
of the first sending: behind a bottleneck those answers crowd out the picture, and everywhere they look like a queue. It
remembers 128 packets, at 4 Mb/s those of a third of a second. It offers no hook for any of it, so methods of the
sender, and that number, are replaced.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from typing import Any

from aiortc import RTCRtpSender, rtcrtpsender
from aiortc.clock import current_ntp_time
from aiortc.rtcrtpparameters import RTCRtpCodecParameters
from aiortc.rtp import AnyRtcpPacket, RtcpReceiverInfo, RtcpRrPacket, RtcpSrPacket, RtpPacket

from avatar.webrtc.aiortc_patches.encoders import MOST_COPIES, BitRates, RateControl

AGAIN_S = 0.1  # before the same packet is sent once more: the first may still be on the way
REMEMBERED = 1024  # packets; a power of two, as sequence numbers wrap
# What is sent again, at most, as a share of the picture's bit rate: where packets are lost though the receiver finds
# room for more, and where it finds none, so that what is sent again takes the place of the next picture
MOST, LEAST = 0.5, 0.15
SAVED_S, LEAST_SAVED_BITS = 0.5, 20_000  # kept for losses that come at once: so long of MOST, or two packets
REPORTS = 2
NARROW_BPS = 300_000  # with less, the receiver is taken to find a bottleneck
DEAD_S = 3.0  # without any report


def ease_congestion(sender: RTCRtpSender) -> None:
    """For a video sender, before it starts."""
    rtcrtpsender.RTP_HISTORY_SIZE = REMEMBERED  # type: ignore[attr-defined]
    again = Again()
    _stamp_what_is_sent_again(sender)
    _send_copies(sender, again, sender._retransmit)
    _limit_retransmission(sender, again)
    report_loss(sender)


class Again:
    """How much may be sent again."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._then_s, self._left_bits = clock(), float("inf")
        self._sent_s: OrderedDict[int, float] = OrderedDict()

    def take(self, sequence_number: int, bits: int, rate: RateControl) -> bool:
        """Whether this packet may be, now."""
        now_s, target_bps = self._clock(), rate.target_bps
        room_bps = max(LEAST * target_bps, min(MOST * target_bps, rate.estimate_bps - target_bps))
        saved_bits = self._left_bits + (now_s - self._then_s) * room_bps
        most_bits = max(LEAST_SAVED_BITS, SAVED_S * MOST * target_bps)
        self._left_bits, self._then_s = min(saved_bits, most_bits), now_s
        if now_s - self._sent_s.get(sequence_number, -AGAIN_S) < AGAIN_S or self._left_bits < bits:
            return False
        self._left_bits -= bits
        self.sent(sequence_number)
        return True

    def sent(self, sequence_number: int) -> None:
        """It was just now, be it unasked."""
        self._sent_s[sequence_number] = self._clock()
        self._sent_s.move_to_end(sequence_number)
        while len(self._sent_s) > REMEMBERED:
            self._sent_s.popitem(last=False)


def _stamp_what_is_sent_again(sender: RTCRtpSender) -> None:
    """With the time of now: by that of the first sending, the receiver would find a queue, and want a lower rate."""
    send_again = sender._retransmit

    async def retransmit(sequence_number: int) -> None:
        packet = _remembered(sender, sequence_number)
        if packet is not None:
            packet.extensions.abs_send_time = (current_ntp_time() >> 14) & 0xFFFFFF  # as aiortc's first one
        await send_again(sequence_number)

    sender._retransmit = retransmit  # type: ignore[method-assign]


def _send_copies(sender: RTCRtpSender, again: Again, send_again: Callable[[int], Awaitable[None]]) -> None:
    """A copy goes out with the next picture, and the one after."""
    next_picture = sender._next_encoded_frame
    earlier: deque[list[int]] = deque(maxlen=MOST_COPIES)  # sequence numbers by picture
    following: int | None = None  # the number of the packet that has not been seen in the history

    async def next_encoded_frame(codec: RTCRtpCodecParameters) -> Any:
        nonlocal following
        if following is None and (history := _history(sender)):
            following = next(iter(history.values())).sequence_number
        picture: list[int] = []
        while following is not None and _remembered(sender, following):
            picture.append(following)
            following = (following + 1) % 0x10000
        if picture and (count := _rate(sender).copies):
            for numbers in list(earlier)[-count:]:
                for number in numbers:
                    again.sent(number)
                    await send_again(number)
        if picture:
            earlier.append(picture)
        return await next_picture(codec)

    sender._next_encoded_frame = next_encoded_frame  # type: ignore[method-assign]


def _limit_retransmission(sender: RTCRtpSender, again: Again) -> None:
    """What is not sent again, the receiver gives up, and asks for a key frame."""
    send_again = sender._retransmit

    async def retransmit(sequence_number: int) -> None:
        packet = _remembered(sender, sequence_number)
        if packet is not None and again.take(sequence_number, len(packet.payload) * 8, _rate(sender)):
            await send_again(sequence_number)

    sender._retransmit = retransmit  # type: ignore[method-assign]


class Losses:
    """What share of the packets is lost, by the receiver's reports, over the time of REPORTS of them.

    One report alone takes packets that were only overtaken for lost, and the next one does not make up for it.
    """

    def __init__(self) -> None:
        self._seen: deque[tuple[int, int]] = deque(maxlen=REPORTS + 1)

    def share(self, report: RtcpReceiverInfo) -> float:
        self._seen.append((report.highest_sequence, report.packets_lost))
        if len(self._seen) == 1:
            return report.fraction_lost / 256
        (first, lost_before), (last, lost) = self._seen[0], self._seen[-1]
        return max(0.0, (lost - lost_before) / max(1, (last - first) % 0x10000))


def spare_room(sound: RTCRtpSender, video: RTCRtpSender) -> None:
    """Sound takes no more room than it must where the picture beside it finds a bottleneck."""
    handle = video._handle_rtcp_packet

    async def handle_and_tell(packet: AnyRtcpPacket) -> None:
        await handle(packet)
        make_room = getattr(_encoder(sound), "make_room", None)
        if make_room is not None:
            make_room(_rate(video).estimate_bps < NARROW_BPS)

    video._handle_rtcp_packet = handle_and_tell  # type: ignore[method-assign]


def report_loss(sender: RTCRtpSender) -> None:
    """Tell the encoder what is lost, whenever the receiver does. A link that was dead begins with a key frame."""
    handle, losses, heard_s = sender._handle_rtcp_packet, Losses(), time.monotonic()

    async def handle_and_report(packet: AnyRtcpPacket) -> None:
        nonlocal heard_s
        if time.monotonic() - heard_s > DEAD_S:
            sender._send_keyframe()
        heard_s = time.monotonic()
        if isinstance(packet, RtcpRrPacket | RtcpSrPacket):
            tell = getattr(_encoder(sender), "report_loss", None)
            for report in packet.reports:
                if report.ssrc == sender._ssrc and tell is not None:
                    tell(losses.share(report))
        await handle(packet)

    sender._handle_rtcp_packet = handle_and_report  # type: ignore[method-assign]


def _history(sender: RTCRtpSender) -> dict[int, RtpPacket]:
    """The packets sent last, by their sequence number modulo REMEMBERED."""
    inside: Any = sender
    found: dict[int, RtpPacket] = inside._RTCRtpSender__rtp_history
    return found


def _remembered(sender: RTCRtpSender, number: int) -> RtpPacket | None:
    packet = _history(sender).get(number % REMEMBERED)
    return packet if packet is not None and packet.sequence_number == number else None


def _encoder(sender: RTCRtpSender) -> Any:
    """None before the first frame."""
    return getattr(sender, "_RTCRtpSender__encoder", None)


def _rate(sender: RTCRtpSender) -> RateControl:
    rate: RateControl = getattr(_encoder(sender), "rate_control", _AT_START)
    return rate


_AT_START = RateControl(BitRates())
