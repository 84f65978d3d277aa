"""No jitter buffer of a viewer holds a picture back."""

from __future__ import annotations

import asyncio
import time

import numpy as np
import pytest
from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamTrack
from aiortc.rtp import unpack_header_extensions

from avatar.core.frame import Frame
from avatar.webrtc import aiortc_patches
from avatar.webrtc.aiortc_patches.codecs import set_video_rates
from avatar.webrtc.aiortc_patches.playout_delay import URI
from avatar.webrtc.avatar_track import AvatarVideo
from avatar.webrtc.congestion import BitRates
from avatar.webrtc.ice import Ice
from avatar.webrtc.peers import Peers
from avatar.webrtc.sound import Sound

pytestmark = pytest.mark.realtime


def test_viewers_are_asked_to_show_pictures_at_once() -> None:
    async def call() -> None:
        aiortc_patches.install()
        set_video_rates(BitRates(), 30)
        video, peers, viewer = AvatarVideo(asyncio.get_running_loop()), Peers(Ice()), RTCPeerConnection()
        tracks: list[MediaStreamTrack] = []
        viewer.on("track", tracks.append)
        viewer.addTransceiver("video", "recvonly")
        await viewer.setLocalDescription(await viewer.createOffer())
        video.put(Frame(np.zeros((64, 64, 3), np.uint8), time.monotonic_ns()))
        peer, answer = await peers.answer_viewer(viewer.localDescription.sdp, video, Sound())
        assert URI in answer
        sent: list[bytes] = []
        transport = peer.connection.getSenders()[0].transport
        send = transport._send_rtp

        async def listen(data: bytes) -> None:
            sent.append(data)
            await send(data)

        transport._send_rtp = listen  # type: ignore[method-assign]
        await viewer.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        await asyncio.wait_for(tracks[0].recv(), 20)
        number = next(int(line.split()[0].split(":")[1]) for line in answer.splitlines() if URI in line)
        # RFC 8285: after the fixed header, the profile and the length of the extensions in words
        picture = next(data for data in sent if data[0] == 0x90)
        profile, words = int.from_bytes(picture[12:14], "big"), int.from_bytes(picture[14:16], "big")
        assert dict(unpack_header_extensions(profile, picture[16 : 16 + 4 * words]))[number] == bytes(3)
        await peers.close_all()
        await viewer.close()

    asyncio.run(call())
