"""A bad network between two peers, which loses, delays and throttles: the picture goes on, the rate gives way."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from aiortc import RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.clock import current_ntp_time
from aiortc.mediastreams import MediaStreamError
from aiortc.rtp import RtcpReceiverInfo, RtpPacket

from avatar.core.frame import Frame
from avatar.webrtc.aiortc_patches.codecs import set_video_rates
from avatar.webrtc.aiortc_patches.receiver import patch_receiver
from avatar.webrtc.aiortc_patches.sender import PatchedSender
from avatar.webrtc.avatar_track import AvatarVideo
from avatar.webrtc.congestion import BitRates, LossMeter, RateControl, RetransmissionBudget
from avatar.webrtc.ice import Ice
from avatar.webrtc.peers import Peer, Peers
from avatar.webrtc.shared_encoding import ViewerTrack
from benchmarks.bad_network import BadNetwork, led_through, without_candidates
from benchmarks.call_network import Sender, VisavisViewer, run_fault, write_tone
from tests.clips import moving_face

pytestmark = pytest.mark.realtime


def lively(index: int) -> Frame:
    """A picture that takes more bits than there are."""
    noise = np.random.default_rng(index % 30).integers(40, 215, (64, 64, 3), dtype=np.uint8)
    return Frame(np.asarray(cv2.resize(noise, (256, 256)), np.uint8), time.monotonic_ns(), index)


class Watching:
    """A viewer behind a bad network."""

    def __init__(self) -> None:
        self.frames = 0
        self.longest_gap_s = 0.0

    async def start(self, peers: Peers, video: AvatarVideo, network: BadNetwork) -> Peer:
        self.connection = RTCPeerConnection(Ice().configuration())
        self.connection.addTransceiver("video", "recvonly")
        self.connection.on("track", self._start)
        await self.connection.setLocalDescription(await self.connection.createOffer())
        offer = without_candidates(self.connection.localDescription.sdp)
        peer, answer = await peers.answer_viewer(offer, video, None)
        led = await led_through(answer, network)
        await self.connection.setRemoteDescription(RTCSessionDescription(led, "answer"))
        return peer

    def _start(self, track: Any) -> None:
        patch_receiver(self.connection.getReceivers()[0])
        asyncio.ensure_future(self._watch(track))  # noqa: RUF006

    async def _watch(self, track: Any) -> None:
        last_s = 0.0
        while True:
            try:
                await track.recv()
            except MediaStreamError:
                return
            now_s = time.monotonic()
            if self.frames:
                self.longest_gap_s = max(self.longest_gap_s, now_s - last_s)
            self.frames, last_s = self.frames + 1, now_s


def encoder_of(peer: Peer) -> Any:
    return peer.senders[0].encoder


def key_frames_of(peer: Peer) -> int:
    (track,) = peer.tracks
    assert isinstance(track, ViewerTrack)
    return track.key_frames


async def call(network: BadNetwork, seconds: float, codec: str) -> tuple[Watching, list[int], int]:
    """Watch for `seconds`. Returns the viewer, its bit rates on the way, and how many key frames went out."""
    set_video_rates(BitRates(200_000, 1_500_000, 3_000_000), 30)
    video, peers, viewer = AvatarVideo(asyncio.get_running_loop()), Peers(Ice(), codec), Watching()
    peer = await viewer.start(peers, video, network)
    rates, keys, index, end_s = [], 0, 0, time.monotonic() + 20
    counted = False
    while time.monotonic() < end_s:
        video.put(lively(index))
        index += 1
        await asyncio.sleep(1 / 30)
        if viewer.frames and not counted:
            counted, end_s = True, time.monotonic() + seconds
            keys = key_frames_of(peer)
        if counted:
            rates.append(encoder_of(peer).target_bitrate)
    keys = key_frames_of(peer) - keys
    await viewer.connection.close()
    await peers.close_all()
    network.close()
    assert viewer.frames, "nothing came through"
    return viewer, rates, keys


def test_loss_and_jitter_neither_stop_the_picture_nor_bring_a_storm_of_key_frames() -> None:
    network = BadNetwork(loss=0.03, jitter_s=0.02)
    viewer, _, keys = asyncio.run(call(network, seconds=6, codec="h264"))
    print(f"{viewer.frames} frames, longest gap {viewer.longest_gap_s:.2f} s, {keys} key frames, lost {network.lost}")
    assert network.lost > 10
    assert viewer.frames > 30  # of 180; about 170 on an idle machine
    assert keys <= 14


def test_the_bit_rate_gives_way_to_a_bottleneck() -> None:
    network = BadNetwork(limit_bps=700_000)
    viewer, rates, keys = asyncio.run(call(network, seconds=7, codec="h264"))
    print(f"{viewer.frames} frames, {rates[0]} → {min(rates)} b/s, {keys} key frames, lost {network.lost}")
    assert min(rates) < 900_000
    assert all(200_000 <= rate <= 3_000_000 for rate in rates)
    assert keys <= 15
    assert network.lost < 1000  # what was lost is not sent again and again


def test_the_rate_follows_the_receivers_estimate_and_the_loss() -> None:
    now_s = 0.0
    rate = RateControl(BitRates(200_000, 1_500_000, 3_000_000), lambda: now_s)
    assert rate.target_bps == 1_500_000
    rate.estimate_bps = 2_000_000
    rate.report_loss(0.05)  # as ordinary as on any wireless network
    assert rate.target_bps == 2_000_000
    rate.report_loss(0.4)
    now_s = 10.0
    rate.report_loss(0.03)
    assert rate.target_bps == 1_600_000
    for _ in range(30):
        rate.report_loss(0.5)
    assert rate.target_bps == 200_000
    now_s = 20.0
    for _ in range(60):
        rate.report_loss(0.0)
    assert rate.target_bps == 2_000_000


def test_more_is_sent_again_where_packets_are_lost_than_where_there_is_no_room() -> None:
    def sent_again(estimate_bps: int, losses: int) -> float:
        """Of the picture's bit rate, over ten seconds of a hundred lost packets each."""
        now_s, bits = 0.0, 0
        rate, budget = RateControl(BitRates(200_000, 1_500_000, 3_000_000)), RetransmissionBudget(lambda: now_s)
        rate.estimate_bps = estimate_bps
        for _ in range(losses):
            rate.report_loss(0.3)
        for number in range(1000):
            now_s += 0.01
            bits += 9600 * budget.take(number, 9600, rate)
        return bits / 10 / rate.target_bps

    assert 0.4 < sent_again(2_000_000, losses=5) <= 0.55
    assert 0.1 < sent_again(800_000, losses=0) <= 0.2


def test_the_same_packet_is_not_sent_twice_at_once() -> None:
    now_s = 0.0
    rate, budget = RateControl(BitRates()), RetransmissionBudget(lambda: now_s)
    now_s = 1.0
    assert budget.take(7, 9600, rate) and not budget.take(7, 9600, rate)
    now_s = 1.2
    assert budget.take(7, 9600, rate)


def test_each_packet_is_sent_more_than_once_where_much_is_lost_if_there_is_room() -> None:
    now_s = 0.0
    rate = RateControl(BitRates(150_000, 1_000_000, 4_000_000), lambda: now_s)
    rate.estimate_bps = 2_400_000
    assert rate.copies == 0 and rate.target_bps == 2_400_000
    rate.report_loss(0.05)  # copies would take 4.8 Mb/s, and little is lost
    assert rate.copies == 0 and rate.target_bps == 2_400_000
    rate.report_loss(0.3)  # the picture makes room
    assert rate.copies == 2 and rate.target_bps == 680_000
    rate.estimate_bps = 250_000  # a bottleneck: what is lost there, copies would only make more
    assert rate.copies == 0 and rate.target_bps == 150_000
    rate.estimate_bps = 2_400_000
    for _ in range(8):
        now_s += 1
        rate.report_loss(0.0)
    assert rate.copies == 0


def test_what_is_sent_again_bears_the_time_of_its_sending() -> None:
    stamps: list[int | None] = []

    async def again() -> None:
        sender: Any = RTCRtpSender("video", SimpleNamespace(state="new"))  # type: ignore[arg-type]
        packet = RtpPacket(sequence_number=7)
        packet.extensions.abs_send_time = 1
        sender._RTCRtpSender__rtp_history[7] = packet

        async def send(_number: int) -> None:
            stamps.append(packet.extensions.abs_send_time)

        sender._retransmit = send
        PatchedSender(sender)
        await sender._retransmit(7)

    asyncio.run(again())
    now = (current_ntp_time() >> 14) & 0xFFFFFF
    assert len(stamps) == 1 and stamps[0] is not None
    assert (now - stamps[0]) % (1 << 24) < 5 << 18  # five seconds


def test_packets_that_are_only_overtaken_are_not_taken_for_lost() -> None:
    def shares(*reports: tuple[int, int, int]) -> list[float]:
        losses = LossMeter()
        return [losses.share(RtcpReceiverInfo(1, share, lost, highest, 0, 0, 0)) for highest, lost, share in reports]

    overtaken = shares((65500, 0, 0), (65600 % 65536, 15, 38), (164, 0, 0), (264, 15, 38))
    assert max(overtaken[2:]) <= 0.08 < 38 / 256
    assert shares((100, 0, 0), (200, 30, 77), (300, 60, 77))[-1] == 0.3


@pytest.mark.e2e
@pytest.mark.parametrize("fault", ["30 % loss", "dead for 5 s"])
def test_a_drivers_picture_comes_back(fault: str, tmp_path: Path) -> None:
    write_tone(tmp_path / "tone.wav")
    sender = Sender([moving_face(index, 256, 256) for index in range(30)], tmp_path / "tone.wav", None)
    viewer = VisavisViewer()
    try:
        outcome = run_fault(fault, "visavis", viewer, sender, seconds=5, calm_s=2, after_s=8)
        shown = len(viewer.shown_s())
        time.sleep(2)
        assert len(viewer.shown_s()) > shown
    finally:
        viewer.close()
        sender.close()
    print(outcome)
    assert outcome.keys_sent <= 14  # two a second at most
