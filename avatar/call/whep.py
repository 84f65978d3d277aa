"""Serve the avatar to players: WHEP (draft-ietf-wish-whep), for OBS, GStreamer, browsers, media servers.

    POST   /whep       an SDP offer that receives → 201, the answer, Location: /whep/ID
    PATCH  /whep/ID    more ICE candidates (application/trickle-ice-sdpfrag) → 204
    DELETE /whep/ID    end → 200

Every request carries the bearer token.
"""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from avatar.call.avatar_track import AvatarVideo
from avatar.call.peers import DescriptionError, Peer, Peers, TooManyPeersError
from avatar.call.sound import Sound

SDP_TYPE, FRAGMENT_TYPE = "application/sdp", "application/trickle-ice-sdpfrag"


class Whep:
    """The handlers; `allowed` says whether a request carries the right token."""

    def __init__(
        self, peers: Peers, video: AvatarVideo, sound: Sound | None, allowed: Callable[[web.Request], bool]
    ) -> None:
        self._peers, self._video, self._sound, self._allowed = peers, video, sound, allowed

    def add_routes(self, app: web.Application) -> None:
        app.router.add_post("/whep", self._start)
        app.router.add_patch("/whep/{id}", self._trickle)
        app.router.add_delete("/whep/{id}", self._end)

    async def _start(self, request: web.Request) -> web.Response:
        self._admit(request)
        if request.content_type != SDP_TYPE:
            raise web.HTTPUnsupportedMediaType(text=f"Post an offer as {SDP_TYPE}.\n")
        try:
            offer = await request.text()
            peer, answer = await self._peers.answer_viewer(offer, self._video, self._sound, kind="whep")
        except (DescriptionError, UnicodeDecodeError) as error:
            raise web.HTTPBadRequest(text=f"{error}\n") from error
        except TooManyPeersError as error:
            raise web.HTTPServiceUnavailable(text=f"{error}\n", headers={"Retry-After": "10"}) from error
        headers = {"Location": f"/whep/{peer.id}", "ETag": f'"{peer.id[:8]}"', "Accept-Patch": FRAGMENT_TYPE}
        return web.Response(status=201, body=answer.encode(), content_type=SDP_TYPE, headers=headers)

    async def _trickle(self, request: web.Request) -> web.Response:
        peer = self._session(request)
        if request.content_type != FRAGMENT_TYPE:
            raise web.HTTPUnsupportedMediaType(text=f"Patch with {FRAGMENT_TYPE}.\n")
        lines = (await request.text()).splitlines()
        if any(line.startswith("a=ice-ufrag:") and line not in _remote_sdp(peer) for line in lines):
            raise web.HTTPUnprocessableEntity(text="ICE restarts are not supported: make a new session.\n")
        candidates = [line.removeprefix("a=candidate:") for line in lines if line.startswith("a=candidate:")]
        for text in candidates:
            try:
                await self._peers.add_candidate(peer, text)
            except DescriptionError as error:
                raise web.HTTPBadRequest(text=f"{error}\n") from error
        return web.Response(status=204)

    async def _end(self, request: web.Request) -> web.Response:
        await self._peers.close(self._session(request))
        return web.Response()

    def _session(self, request: web.Request) -> Peer:
        self._admit(request)
        peer = self._peers.get(request.match_info["id"])
        if peer is None or peer.kind != "whep":
            raise web.HTTPNotFound(text="There is no such session.\n")
        return peer

    def _admit(self, request: web.Request) -> None:
        if not self._allowed(request):
            raise web.HTTPUnauthorized(
                text="Authorization: Bearer TOKEN is missing or wrong.\n", headers={"WWW-Authenticate": "Bearer"}
            )


def _remote_sdp(peer: Peer) -> list[str]:
    return str(peer.connection.remoteDescription.sdp).splitlines()
