"""Relay-only through a real TURN server (coturn): the picture arrives, and no address of this computer is told."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from aioice.ice import get_host_addresses
from aiortc import RTCPeerConnection, RTCSessionDescription

from avatar.core.frame import Frame
from avatar.webrtc.aiortc_patches.codecs import set_video_rates
from avatar.webrtc.avatar_track import AvatarVideo
from avatar.webrtc.congestion import BitRates
from avatar.webrtc.ice import Ice
from avatar.webrtc.peers import Peers
from avatar.webrtc.sound import Sound

OWN = next(iter(get_host_addresses(use_ipv4=True, use_ipv6=False)), None)
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.realtime,
    pytest.mark.skipif(shutil.which("turnserver") is None, reason="no TURN server: apt-get install coturn"),
    pytest.mark.skipif(OWN is None, reason="no network interface but loopback"),
]
USER, PASSWORD = "ada", "secret"


@pytest.fixture
def turn(tmp_path: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind((OWN, 0))
        port = probe.getsockname()[1]
    line = ["turnserver", "-n", f"--listening-ip={OWN}", f"--relay-ip={OWN}", f"--listening-port={port}"]
    line += ["--lt-cred-mech", f"--user={USER}:{PASSWORD}", "--realm=test", "--no-cli", "--no-tls", "--no-dtls"]
    line += [f"--pidfile={tmp_path / 'pid'}", "--log-file=stdout", "--min-port=49200", "--max-port=49300"]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(line, stdout=log, stderr=subprocess.STDOUT, cwd=tmp_path)
        try:
            end_s = time.monotonic() + 15
            while True:
                assert process.poll() is None and time.monotonic() < end_s, (tmp_path / "log").read_text()
                try:
                    socket.create_connection((OWN, port), timeout=1).close()
                    break
                except OSError:
                    time.sleep(0.1)
            yield f"turn:{OWN}:{port}"
        finally:
            process.terminate()
            process.wait(10)


def test_the_picture_goes_through_the_relay_and_hides_the_sender(turn: str) -> None:
    async def call() -> None:
        set_video_rates(BitRates(), 30)
        video = AvatarVideo(asyncio.get_running_loop())
        peers = Peers(Ice(turn=(turn,), username=USER, credential=PASSWORD, relay_only=True))
        viewer, frames = RTCPeerConnection(Ice().configuration()), 0

        async def count(track: object) -> None:
            nonlocal frames
            while True:
                await track.recv()  # type: ignore[attr-defined]
                frames += 1

        viewer.on("track", lambda track: asyncio.ensure_future(count(track)))
        viewer.addTransceiver("video", "recvonly")
        await viewer.setLocalDescription(await viewer.createOffer())
        _, answer = await peers.answer_viewer(viewer.localDescription.sdp, video, Sound())
        candidates = [line for line in answer.split("\r\n") if line.startswith("a=candidate:")]
        assert candidates and all(" typ relay" in line for line in candidates)
        assert all("raddr 0.0.0.0" in line for line in candidates)
        await viewer.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        end_s = time.monotonic() + 20
        while frames < 10:
            assert time.monotonic() < end_s
            video.put(Frame(np.full((64, 64, 3), 90, np.uint8), time.monotonic_ns()))
            await asyncio.sleep(0.03)
        await viewer.close()
        await peers.close_all()

    asyncio.run(call())


def test_a_wrong_password_leaves_no_address_to_tell(turn: str) -> None:
    async def call() -> None:
        peers = Peers(Ice(turn=(turn,), username=USER, credential="wrong", relay_only=True))
        _, offer = await peers.offer_viewer(AvatarVideo(asyncio.get_running_loop()), None)
        assert "a=candidate" not in offer
        await peers.close_all()

    asyncio.run(call())
