"""Serve the avatar to players: WHEP (draft-ietf-wish-whep), for OBS, GStreamer, browsers, media servers."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from avatar.webrtc.avatar_track import AvatarVideo
from avatar.webrtc.http_sessions import HttpSessions
from avatar.webrtc.peers import Peer, Peers
from avatar.webrtc.sound import Sound


def whep(peers: Peers, video: AvatarVideo, sound: Sound | None, allowed: Callable[[web.Request], bool]) -> HttpSessions:
    """The endpoint /whep: whoever posts an offer that receives gets the avatar. `allowed`: as of HttpSessions."""

    async def answer(offer: str) -> tuple[Peer, str]:
        return await peers.answer_viewer(offer, video, sound, kind="whep")

    return HttpSessions("whep", peers, allowed, answer)
