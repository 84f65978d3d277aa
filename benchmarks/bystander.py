"""Somebody who looks at a call while it is attacked, and the face that is to be seen. A process of its own:

    python benchmarks/bystander.py http://127.0.0.1:PORT/whep    # the player's token on the standard input

It prints the time (monotonic, in seconds) of every picture that it has decoded.
"""

from __future__ import annotations

import asyncio
import math
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import numpy as np
from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

sys.path.insert(0, str(Path(__file__).parents[1]))

from avatar.face.face_model import face_model
from avatar.face.state import BLENDSHAPE_NAMES, FaceState
from avatar.sources.motion import MotionRecorder, write_motion
from avatar.webrtc.ice import Ice
from benchmarks.hostile import offer

SECONDS, FPS, SIZE_PX = 4, 30, 480
FIRST_PICTURE_S = 120.0  # engines may be measured before


def swaying_motion(path: Path) -> Path:
    """An average face that moves from side to side."""
    recorder = MotionRecorder()
    for index in range(SECONDS * FPS):
        face = face_model().mean_shape * 90.0 + (SIZE_PX / 2 + 20 * math.sin(index / FPS * math.pi), SIZE_PX / 2, 0.0)
        scores = np.zeros(len(BLENDSHAPE_NAMES), np.float32)
        recorder.add(FaceState(face.astype(np.float32), scores, np.eye(4, dtype=np.float32), 1.0, index * 10**9 // FPS))
    write_motion(recorder.motion(SIZE_PX, SIZE_PX, FPS), path)
    return path


class Bystander:
    """What a process of this file sees. Raises RuntimeError where no picture comes."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._times_s: list[float] = []
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()
        end_s = time.monotonic() + FIRST_PICTURE_S
        while not self._times_s:
            if time.monotonic() > end_s or process.poll() is not None:
                raise RuntimeError("The bystander of the call sees no picture.")
            time.sleep(0.05)

    @property
    def pid(self) -> int:
        return self._process.pid

    def longest_gap_s(self, since_s: float) -> float:
        """Between two pictures, or the last one and now, from the picture before `since_s` on."""
        times_s = list(self._times_s)
        first = max(0, int(np.searchsorted(times_s, since_s)) - 1)
        return float(np.diff([*times_s[first:], time.monotonic()]).max())

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._times_s.append(float(line))


@contextmanager
def looking_on(whep: str, token: str) -> Iterator[Bystander]:
    process = subprocess.Popen(
        [sys.executable, __file__, whep], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    try:
        process.stdin.write(f"{token}\n")
        process.stdin.flush()
        yield Bystander(process)
    finally:
        process.terminate()
        process.wait(30)


async def _look(whep: str, token: str) -> None:
    connection = RTCPeerConnection(Ice().configuration())
    tracks: list[MediaStreamTrack] = []
    connection.on("track", tracks.append)
    body = await offer(connection)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/sdp"}
    async with aiohttp.ClientSession(headers=headers) as http, http.post(whep, data=body) as answer:
        await connection.setRemoteDescription(RTCSessionDescription(await answer.text(), "answer"))
    try:
        while True:
            await tracks[0].recv()
            print(time.monotonic(), flush=True)
    except MediaStreamError:  # the call is over
        await connection.close()


if __name__ == "__main__":
    asyncio.run(_look(sys.argv[1], sys.stdin.readline().strip()))
