"""What aiortc leaves out where a network chokes: loss lowers the bit rate, and what was lost is sent again in measure.

aiortc follows the receiver's own estimate (REMB) alone, and answers every NACK at once and in full: behind a bottleneck
those answers crowd out the picture. It remembers 128 packets, at 4 Mb/s those of a third of a second. It offers no hook
for either, so two methods of the sender, and that number, are replaced.
"""

from __future__ import annotations

import time
from collections import OrderedDict

from aiortc import RTCRtpSender, rtcrtpsender
from aiortc.rtp import AnyRtcpPacket, RtcpRrPacket, RtcpSrPacket

from avatar.call.allowance import Allowance

AGAIN_S = 0.1  # before the same packet is sent once more: the first may still be on the way
PER_SECOND, BURST = 50.0, 50.0  # as many as are lost of a third of the packets, at the lower bit rate that loss brings
REMEMBERED = 1024  # packets; a power of two, as sequence numbers wrap


def ease_congestion(sender: RTCRtpSender) -> None:
    """For a video sender, before it starts."""
    rtcrtpsender.RTP_HISTORY_SIZE = REMEMBERED  # type: ignore[attr-defined]
    _limit_retransmission(sender)
    _report_loss(sender)


def _limit_retransmission(sender: RTCRtpSender) -> None:
    """What is not sent again, the receiver gives up, and asks for a key frame."""
    send_again, allowance = sender._retransmit, Allowance(PER_SECOND, BURST)
    sent_s: OrderedDict[int, float] = OrderedDict()

    async def retransmit(sequence_number: int) -> None:
        now_s = time.monotonic()
        if now_s - sent_s.get(sequence_number, 0.0) < AGAIN_S or not allowance.take():
            return
        sent_s[sequence_number] = now_s
        sent_s.move_to_end(sequence_number)
        while len(sent_s) > REMEMBERED:
            sent_s.popitem(last=False)
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
