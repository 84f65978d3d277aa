"""Take the driver's picture from a program that publishes: WHIP (RFC 9725), as OBS, GStreamer and browsers speak it.

One source at a time. While it sends, another one is refused (409), so that two never fight over the avatar; one that
has been silent for SILENT_S, as after a crash, gives way. Of its picture only numbers go on, as of any camera's.
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import time
from collections.abc import Callable, Collection, Sequence

from aiohttp import web
from aiortc.mediastreams import MediaStreamTrack

from avatar.core.errors import UsageError
from avatar.http.allowance import Allowance
from avatar.webrtc.descriptions import DescriptionError
from avatar.webrtc.http_sessions import HttpSessions
from avatar.webrtc.peers import Peer, Peers
from avatar.webrtc.remote_camera import RemoteCamera, listen
from avatar.webrtc.sound import Sound

KIND = "whip"
SOURCE_TOKEN_VARIABLE = "VISAVIS_WHIP_SOURCE_TOKEN"
SHORTEST_TOKEN = 16
SILENT_S = 3.0
OFFERS_PER_SECOND, OFFERS_BURST = 0.5, 8.0  # each costs a connection


def source_token() -> str:
    """The one that a person keeps from run to run, or else a new one. Raises UsageError for one that is none."""
    token = os.environ.get(SOURCE_TOKEN_VARIABLE) or secrets.token_urlsafe(24)
    if not re.fullmatch(rf"[A-Za-z0-9._~+/-]{{{SHORTEST_TOKEN},256}}=*", token):
        raise UsageError(
            f"{SOURCE_TOKEN_VARIABLE} must have {SHORTEST_TOKEN} to 256 of the characters of bearer tokens: letters, "
            "digits and ._~+/-"
        )
    return token


def source_advice(urls: Sequence[str], token: str) -> str:
    """What to type into OBS. urls: of the endpoint, by each of its addresses."""
    return (
        "Waiting for a source by WHIP: 640x480 at 30 fps, H.264 (baseline) or VP8, without B-frames. "
        "In OBS: Settings, Stream, Service WHIP.\n"
        f"    Server:        {' or '.join(urls)}\n"
        f"    Bearer Token:  {token}"
    )


class WhipSource:
    """Whoever posts an offer that sends drives `camera()`; None, or closed: nobody does now.

    sounds: where the source's sound goes, with the avatar's delay; it is not taken where there is none.
    """

    def __init__(self, peers: Peers, camera: Callable[[], RemoteCamera | None], sounds: Collection[Sound]) -> None:
        self._peers, self._camera, self._sounds = peers, camera, sounds
        self._offers = Allowance(OFFERS_PER_SECOND, OFFERS_BURST)
        self._one_by_one = asyncio.Lock()
        self._now: Peer | None = None

    def endpoint(self, allowed: Callable[[web.Request], bool]) -> HttpSessions:
        """The endpoint /whip. `allowed`: as of HttpSessions."""
        return HttpSessions(KIND, self._peers, allowed, self._answer)

    async def _answer(self, offer: str) -> tuple[Peer, str]:
        async with self._one_by_one:
            camera = self._camera()
            if camera is None or camera.closed:
                raise web.HTTPConflict(text="Nothing waits for a source by WHIP now: choose it as the camera first.\n")
            if not self._offers.take():
                raise web.HTTPTooManyRequests(text="Too many offers.\n", headers={"Retry-After": "2"})
            _check_sections(offer)
            if self._now is not None:
                if _sends(self._now, camera):
                    raise web.HTTPConflict(
                        text="Another source drives the avatar. End that one first.\n", headers={"Retry-After": "5"}
                    )
                await self._peers.close(self._now)
            return await self._take(offer, camera)

    async def _take(self, offer: str, camera: RemoteCamera) -> tuple[Peer, str]:
        answered: asyncio.Future[Peer] = asyncio.get_running_loop().create_future()

        async def take(track: MediaStreamTrack) -> None:
            if track.kind == "audio":
                await listen(track, *self._sounds)
            else:
                await camera.watch(track)
                await self._peers.close(await answered)

        takes = ("video", "audio") if self._sounds else ("video",)
        try:
            peer, answer = await self._peers.answer_sender(offer, take, KIND, takes)
        except BaseException:
            answered.cancel()
            raise
        self._now = peer

        def ended() -> None:
            if self._now is peer:
                self._now = None
                if not camera.closed:
                    camera.say("The source by WHIP has gone. Waiting for the next one.")

        peer.on_end = ended
        answered.set_result(peer)
        silent = "" if self._sounds or "m=audio" not in offer else " Its sound goes nowhere, and is not taken."
        camera.say(f"A source by WHIP has come.{silent}")
        return peer, answer


def _check_sections(offer: str) -> None:
    """RFC 9725, section 4.4: one video and one sound at most. Raises DescriptionError."""
    count = {kind: len(re.findall(rf"^m={kind} ", offer, re.MULTILINE)) for kind in ("video", "audio")}
    if offer.startswith("v=0") and count["video"] == 0:
        raise DescriptionError("The session description offers no video, but it is a picture that drives the avatar.")
    if max(count.values()) > 1:
        raise DescriptionError("The session description offers several videos or sounds: one of each is taken.")


def _sends(peer: Peer, camera: RemoteCamera) -> bool:
    """Whether it gives pictures, or may yet begin to."""
    newest_s = max(peer.started_s, camera.last_ns / 1e9)
    return time.monotonic() - newest_s < SILENT_S
