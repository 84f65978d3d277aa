"""What aiortc leaves out where a network chokes: loss lowers the bit rate, and what was lost is sent again in measure.

aiortc follows the receiver's own estimate (REMB) alone, and answers every NACK at once and in full: behind a bottleneck
those answers crowd out the picture. It remembers 128 packets, at 4 Mb/s those of a third of a second. It offers no hook
for either, so two methods of the sender, and that number, are replaced.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from aiortc import RTCRtpSender, rtcrtpsender
from aiortc.rtp import AnyRtcpPacket, RtcpRrPacket, RtcpSrPacket

from avatar.call.encoders import BitRates, RateControl

AGAIN_S = 0.1  # before the same packet is sent once more: the first may still be on the way
REMEMBERED = 1024  # packets; a power of two, as sequence numbers wrap
# What is sent again, at most, as a share of the picture's bit rate: where packets are lost though the receiver finds
# room for more, and where it finds none, so that what is sent again takes the place of the next picture
MOST, LEAST = 0.5, 0.15
SAVED_S = 0.5  # of a share that was not used


def ease_congestion(sender: RTCRtpSender) -> None:
    """For a video sender, before it starts."""
    rtcrtpsender.RTP_HISTORY_SIZE = REMEMBERED  # type: ignore[attr-defined]
    _limit_retransmission(sender)
    _report_loss(sender)


class Again:
    """How much may be sent again."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._then_s, self._left_bits = clock(), 0.0
        self._sent_s: OrderedDict[int, float] = OrderedDict()

    def take(self, sequence_number: int, bits: int, rate: RateControl) -> bool:
        """Whether this packet may be, now."""
        now_s, target_bps = self._clock(), rate.target_bps
        room_bps = max(LEAST * target_bps, min(MOST * target_bps, rate.estimate_bps - target_bps))
        saved_bits = self._left_bits + (now_s - self._then_s) * room_bps
        self._left_bits, self._then_s = min(saved_bits, SAVED_S * room_bps), now_s
        if now_s - self._sent_s.get(sequence_number, -AGAIN_S) < AGAIN_S or self._left_bits < bits:
            return False
        self._left_bits -= bits
        self._sent_s[sequence_number] = now_s
        self._sent_s.move_to_end(sequence_number)
        while len(self._sent_s) > REMEMBERED:
            self._sent_s.popitem(last=False)
        return True


def _limit_retransmission(sender: RTCRtpSender) -> None:
    """What is not sent again, the receiver gives up, and asks for a key frame."""
    send_again, again, otherwise = sender._retransmit, Again(), RateControl(BitRates())

    async def retransmit(sequence_number: int) -> None:
        inside: Any = sender
        packet = inside._RTCRtpSender__rtp_history.get(sequence_number % REMEMBERED)
        rate = getattr(inside._RTCRtpSender__encoder, "rate_control", otherwise)
        if packet is not None and again.take(sequence_number, len(packet.payload) * 8, rate):
            await send_again(sequence_number)

    sender._retransmit = retransmit  # type: ignore[method-assign]


def _report_loss(sender: RTCRtpSender) -> None:
    """Tell the encoder what share of its packets was lost, about once a second."""
    handle = sender._handle_rtcp_packet

    async def handle_and_report(packet: AnyRtcpPacket) -> None:
        if isinstance(packet, RtcpRrPacket | RtcpSrPacket):
            report_loss = getattr(getattr(sender, "_RTCRtpSender__encoder", None), "report_loss", None)
            for report in packet.reports:
                if report.ssrc == sender._ssrc and report_loss is not None:
                    report_loss(report.fraction_lost / 256)
        await handle(packet)

    sender._handle_rtcp_packet = handle_and_report  # type: ignore[method-assign]
