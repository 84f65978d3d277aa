"""Congestion control inside of aiortc's sender.

By itself, aiortc answers every NACK at once and in full, with the time stamp of the first sending: behind a bottleneck
those answers crowd out the picture, and everywhere they look like a queue. It remembers 128 packets, at 4 Mb/s those of
a third of a second. What is lost changes nothing in its bit rate.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any

from aiortc import RTCRtpSender, rtcrtpsender
from aiortc.clock import current_ntp_time
from aiortc.rtcrtpparameters import RTCRtpCodecParameters
from aiortc.rtp import AnyRtcpPacket, RtcpRrPacket, RtcpSrPacket, RtpPacket

from avatar.webrtc.aiortc_patches.playout_delay import PlayoutDelayMap
from avatar.webrtc.congestion import (
    BOTTLENECK_BPS,
    HISTORY_PACKETS,
    MOST_COPIES,
    BitRates,
    LossMeter,
    RateControl,
    RetransmissionBudget,
)
from avatar.webrtc.shared_encoding import ViewerTrack

DEAD_S = 3.0  # without any RTCP, a link is taken for dead


def install() -> None:
    """From now on, all senders of this process remember more packets."""
    rtcrtpsender.RTP_HISTORY_SIZE = HISTORY_PACKETS  # type: ignore[attr-defined]


class PatchedSender:
    """A sender that has not started yet, and whose methods are replaced by those below, each of them once.

    Of sound, only the loss is reported to the encoder, and a link that was dead is begun anew.
    """

    def __init__(self, sender: RTCRtpSender) -> None:
        inside: Any = sender
        self._inside = inside
        self._losses, self._heard_s = LossMeter(), time.monotonic()
        self._after_rtcp: list[Callable[[], None]] = []
        self._aiortcs_handle_rtcp, inside._handle_rtcp_packet = inside._handle_rtcp_packet, self._handle_rtcp
        if sender.kind != "video":
            return
        self._budget = RetransmissionBudget()
        self._earlier: deque[list[int]] = deque(maxlen=MOST_COPIES)  # the last pictures' sequence numbers
        self._unseen: int | None = None  # the first sequence number that has not been seen in the history
        self._aiortcs_retransmit, inside._retransmit = inside._retransmit, self._answer_nack
        self._aiortcs_next_frame, inside._next_encoded_frame = inside._next_encoded_frame, self._next_frame
        inside._RTCRtpSender__rtp_header_extensions_map = PlayoutDelayMap()
        if isinstance(sender.track, ViewerTrack):
            inside._send_keyframe = sender.track.ask_for_key_frame

    @property
    def kind(self) -> str:
        return str(self._inside.kind)

    @property
    def encoder(self) -> Any:
        """None before the first frame."""
        return self._inside._RTCRtpSender__encoder

    def yield_to(self, video: PatchedSender) -> None:
        """This sender of sound takes no more room than it must while the picture beside it finds a bottleneck."""

        def note_bottleneck() -> None:
            redundancy = getattr(self.encoder, "redundancy", None)
            if redundancy is not None:
                redundancy.bottleneck = video._rate.estimate_bps < BOTTLENECK_BPS

        video._after_rtcp.append(note_bottleneck)

    async def _handle_rtcp(self, packet: AnyRtcpPacket) -> None:
        """Tell the encoder what is lost, whenever the receiver does. A link that was dead begins with a key frame."""
        if time.monotonic() - self._heard_s > DEAD_S:
            self._inside._send_keyframe()
        self._heard_s = time.monotonic()
        if isinstance(packet, RtcpRrPacket | RtcpSrPacket):
            report_loss = getattr(self.encoder, "report_loss", None)
            for report in packet.reports:
                if report.ssrc == self._inside._ssrc and report_loss is not None:
                    report_loss(self._losses.share(report))
        await self._aiortcs_handle_rtcp(packet)
        for listener in self._after_rtcp:
            listener()

    async def _answer_nack(self, sequence_number: int) -> None:
        packet = self._sent(sequence_number)
        if packet is not None and self._budget.take(sequence_number, len(packet.payload) * 8, self._rate):
            await self._send_again(sequence_number)

    async def _next_frame(self, codec: RTCRtpCodecParameters) -> Any:
        """A copy of each picture goes out before the next picture, and the one after, where much is lost."""
        if self._unseen is None and (history := self._inside._RTCRtpSender__rtp_history):
            self._unseen = next(iter(history.values())).sequence_number
        picture: list[int] = []
        while self._unseen is not None and self._sent(self._unseen):
            picture.append(self._unseen)
            self._unseen = (self._unseen + 1) % 0x10000
        if picture and (count := self._rate.copies):
            for numbers in list(self._earlier)[-count:]:
                for number in numbers:
                    self._budget.note_sent(number)
                    await self._send_again(number)
        if picture:
            self._earlier.append(picture)
        if isinstance(self._inside.track, ViewerTrack):
            self._inside.track.send_as(codec, lambda: self._rate.target_bps)
        return await self._aiortcs_next_frame(codec)

    async def _send_again(self, sequence_number: int) -> None:
        """Stamped with the time of now: by the first sending's, the receiver would find a queue, and ask for less."""
        packet = self._sent(sequence_number)
        if packet is not None:
            packet.extensions.abs_send_time = (current_ntp_time() >> 14) & 0xFFFFFF  # as aiortc's first one
        await self._aiortcs_retransmit(sequence_number)

    def _sent(self, sequence_number: int) -> RtpPacket | None:
        """The packet, where it is still remembered."""
        packet: RtpPacket | None = self._inside._RTCRtpSender__rtp_history.get(sequence_number % HISTORY_PACKETS)
        return packet if packet is not None and packet.sequence_number == sequence_number else None

    @property
    def _rate(self) -> RateControl:
        rate: RateControl = getattr(self.encoder, "rate_control", _AT_START)
        return rate


_AT_START = RateControl(BitRates())
