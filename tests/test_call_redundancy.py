"""Each packet of sound carries those before it: RED (RFC 2198) between two peers, packed, chosen and dropped."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

import pytest
from aiortc import RTCPeerConnection
from aiortc.rtcrtpparameters import RTCRtpCodecParameters

from avatar.webrtc.avatar_track import AvatarVideo
from avatar.webrtc.ice import Ice
from avatar.webrtc.peers import Peers
from avatar.webrtc.red import LENGTH_LIMIT, OFFSET_LIMIT, Block, Redundancy, pack, unpack
from avatar.webrtc.sound import Sound

RED = RTCRtpCodecParameters("audio/red", 48_000, 2, 104, parameters={"96/96": None})


def test_blocks_come_out_as_they_went_in() -> None:
    chance = random.Random(7)
    for _ in range(500):
        older = [
            Block(
                chance.randrange(128), chance.randrange(OFFSET_LIMIT), chance.randbytes(chance.randrange(LENGTH_LIMIT))
            )
            for _ in range(chance.randrange(5))
        ]
        blocks = [*older, Block(chance.randrange(128), 0, chance.randbytes(chance.randrange(1400)))]
        assert list(unpack(pack(blocks))) == blocks


def test_any_bytes_are_blocks_or_refused() -> None:
    chance, refused = random.Random(7), 0
    for _ in range(5000):
        payload = bytes(chance.choice((0, 1, 96, 128, 224, 255)) for _ in range(chance.randrange(24)))
        try:
            blocks = list(unpack(payload))
        except ValueError:
            refused += 1
        else:
            assert sum(len(block.data) for block in blocks) + 4 * len(blocks) - 3 == len(payload)
    assert 500 < refused < 4500


def test_the_bytes_are_those_of_the_standard() -> None:
    # F=1 and type 96; 14 bits of 960, 10 bits of 3; F=0 and type 96
    assert pack([Block(96, 960, b"old"), Block(96, 0, b"new")]) == bytes([0xE0, 0x0F, 0x00, 0x03, 0x60]) + b"oldnew"


def test_what_does_not_fit_is_left_out_and_all_before_it() -> None:
    own, near, long = Block(96, 0, b"own"), Block(96, 960, b"near"), Block(96, 1920, bytes(LENGTH_LIMIT))
    assert list(unpack(pack([Block(96, 2880, b"old"), long, near, own]))) == [near, own]
    assert list(unpack(pack([Block(96, OFFSET_LIMIT, b"far"), near, own]))) == [near, own]


def test_the_more_is_lost_the_more_is_carried() -> None:
    redundancy = Redundancy(RED)

    def carried(numbers: Sequence[int]) -> list[int]:
        return [len(list(unpack(redundancy.add(b"x", 960 * number)))) for number in numbers]

    assert carried(range(4)) == [1, 2, 2, 2]
    redundancy.report_loss(0.3)
    assert carried([4, 5]) == [3, 3]
    redundancy.bottleneck = True  # it is a bottleneck's
    assert carried([6]) == [1]
    redundancy.bottleneck = False
    for _ in range(8):
        redundancy.report_loss(0.0)
    assert carried([7, 8]) == [2, 2]


OPUS, CHROMIUM = "a=rtpmap:111 opus/48000/2", "a=rtpmap:63 red/48000/2\r\na=fmtp:63 111/111"


@pytest.mark.parametrize(
    ("offered", "answered"),
    [
        (f"111 63\r\n{OPUS}\r\n{CHROMIUM}", ["63", "111"]),
        (f"111\r\n{OPUS}", ["111"]),
        (f"70 111\r\n{OPUS}\r\n{CHROMIUM.replace('63', '70')}", ["111"]),
        (f"63 0\r\na=rtpmap:0 PCMU/8000\r\n{CHROMIUM}", ["0"]),  # of a codec that is not offered
    ],
)
def test_whoever_knows_it_is_sent_it(offered: str, answered: list[str]) -> None:
    answer = asyncio.run(_answer_to(offered))
    media = answer[answer.index("m=audio") :]
    assert media.split("\r\n")[0].split()[3:] == answered
    assert ("a=fmtp:63 111/111" in media) == ("63" in answered)


async def _answer_to(offered: str) -> str:
    peers, viewer = Peers(Ice()), RTCPeerConnection()
    viewer.addTransceiver("audio", "recvonly")
    await viewer.setLocalDescription(await viewer.createOffer())
    before, _, media = viewer.localDescription.sdp.partition("m=audio")
    lines = [line for line in media.split("\r\n")[1:] if not line.startswith(("a=rtpmap", "a=fmtp", "a=rtcp-fb"))]
    offer = before + "m=audio 9 UDP/TLS/RTP/SAVPF " + offered + "\r\n" + "\r\n".join(lines)
    try:
        _, answer = await peers.answer_viewer(offer, AvatarVideo(asyncio.get_running_loop()), Sound())
        return answer
    finally:
        await peers.close_all()
        await viewer.close()


@pytest.mark.parametrize(("kind", "there"), [("view", True), ("whip", False)])
def test_servers_are_not_offered_it(kind: str, there: bool) -> None:
    async def offer() -> str:
        peers = Peers(Ice())
        try:
            return (await peers.offer_viewer(AvatarVideo(asyncio.get_running_loop()), Sound(), kind))[1]
        finally:
            await peers.close_all()

    text = asyncio.run(offer())
    assert ("red/48000/2" in text) == there == ("a=fmtp:104 96/96" in text)
