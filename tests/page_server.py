"""A `visavis call` server in a process of its own: `running` starts it for a test, with a video as its camera."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from avatar.call.call import Call
from avatar.call.cameras import CallCameras
from avatar.call.hosted_call import HostedCall
from avatar.call.server import CallServer
from avatar.dashboard.dashboard import Dashboard
from avatar.dashboard.live_choices import CameraChoice, Given
from avatar.http.safety import Tokens
from avatar.sources.camera import open_camera
from avatar.tracking.model_asset import tracker_model
from avatar.webrtc.avatar_track import AvatarVideo
from avatar.webrtc.congestion import BitRates
from avatar.webrtc.ice import Ice
from avatar.webrtc.peers import Peers
from avatar.webrtc.publisher import CallPublisher
from avatar.webrtc.sound import Sound
from tests.portraits import enlarged

CAMERA, CLIP = "video", "clip"  # ids: of the first camera, and of one that is not listed and ends by itself


@dataclass(frozen=True)
class Links:
    address: str  # http://127.0.0.1:PORT
    owner: str  # tokens
    guest: str
    home: Path

    def uploads(self) -> list[Path]:
        """What is left of uploads."""
        return [path for path in (self.home / "uploads").rglob("*") if path.is_file() and path.suffix != ".lock"]


@contextmanager
def running(folder: Path) -> Iterator[Links]:
    """Everything lies in `folder`."""
    home = folder / "home"
    video = swaying_face(folder / "camera.mjpeg")
    process = subprocess.Popen(
        [sys.executable, __file__, str(video)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "VISAVIS_HOME": str(home)},
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        address, owner, guest = process.stdout.readline().split()
        yield Links(address, owner, guest, home)
    finally:
        process.stdin.close()
        process.wait(60)


def swaying_face(path: Path) -> Path:
    """Three seconds of a face of 160 px that moves from side to side, 640 x 480, as Chromium takes it for a webcam."""
    picture = enlarged(1.5)
    with path.open("wb") as file:
        for number in range(60):
            left = int(60 + 50 * np.sin(number / 60 * 2 * np.pi))
            bgr = cv2.cvtColor(picture[:480, left : left + 640], cv2.COLOR_RGB2BGR)
            file.write(cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes())
    return path


async def _serve(video: Path) -> None:
    pictures = AvatarVideo(asyncio.get_running_loop())
    call = Call(pictures, Sound(lambda: pictures.latency_ns), Peers(Ice()))
    hosted = HostedCall(call, "ada", Ice(), Tokens())
    cameras = CallCameras("browser", loop=True)
    cameras.hosted = hosted
    video_camera = CameraChoice(CAMERA, "A video", lambda say: open_camera(str(video), loop=True, say=say))
    clip = CameraChoice(CLIP, "A clip", lambda say: open_camera(str(video), say=say), listed=False)
    rates = BitRates.between(300, 4000)
    dashboard = Dashboard(
        tracker_model, Given([video_camera, clip, *cameras.choices], lambda: [CallPublisher(pictures, rates)])
    )
    server = CallServer(hosted, dashboard)
    address = f"http://127.0.0.1:{await server.start('127.0.0.1', 0)}"
    hosted.invited_to = f"{address}/"
    server.gate.allow({address})
    call.join(server.room, hosted.name)
    print(address, hosted.tokens.owner, hosted.tokens.guest, flush=True)
    try:
        await asyncio.to_thread(sys.stdin.read)  # until the test closes it
    finally:
        await server.stop()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))
