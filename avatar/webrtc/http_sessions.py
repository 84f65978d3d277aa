"""WHIP (RFC 9725) and WHEP (draft-ietf-wish-whep) as a server: an offer is posted, and answered with a session.

    POST     /PATH       an SDP offer → 201, the answer, Location: /PATH/ID, an ETag
    OPTIONS  /PATH       → 200, Accept-Post
    PATCH    /PATH/ID    more ICE candidates (application/trickle-ice-sdpfrag) → 204; 412 for another ETag
    DELETE   /PATH/ID    end → 200

Every request but OPTIONS carries the bearer token. ICE restarts are refused with 422, other methods with 405, more
offers than OFFERS_PER_SECOND of one address with 429.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from aiohttp import web

from avatar.http.allowance import Allowances, origin_of
from avatar.http.peer_text import media_type, text_body
from avatar.webrtc.avatar_track import AvatarVideo
from avatar.webrtc.descriptions import DescriptionError
from avatar.webrtc.peers import Peer, Peers, TooManyPeersError
from avatar.webrtc.sound import Sound

SDP_TYPE, FRAGMENT_TYPE = "application/sdp", "application/trickle-ice-sdpfrag"
OFFERS_PER_SECOND, OFFERS_BURST = 5.0, 30.0  # each costs a connection


@dataclass(frozen=True, slots=True)
class HttpSessions:
    """The handlers of one endpoint, whose `path` is "/" and the `kind` of its connections.

    `allowed` says whether a request carries the right token, `answer` takes an offer and gives what `Peers` give; it
    may also raise an HTTPException.
    """

    kind: str
    peers: Peers
    allowed: Callable[[web.Request], bool]
    answer: Callable[[str], Awaitable[tuple[Peer, str]]]
    offers: Allowances = field(default_factory=lambda: Allowances(OFFERS_PER_SECOND, OFFERS_BURST))

    @property
    def path(self) -> str:
        return f"/{self.kind}"

    def add_routes(self, app: web.Application) -> None:
        app.router.add_post(self.path, self._start)
        app.router.add_options(self.path, self._options)
        app.router.add_patch(f"{self.path}/{{id}}", self._trickle)
        app.router.add_delete(f"{self.path}/{{id}}", self._end)

    async def _options(self, _request: web.Request) -> web.Response:
        return web.Response(headers={"Accept-Post": SDP_TYPE})

    async def _start(self, request: web.Request) -> web.Response:
        self._admit(request)
        if media_type(request) != SDP_TYPE:
            raise web.HTTPUnsupportedMediaType(text=f"Post an offer as {SDP_TYPE}.\n")
        offer = await text_body(request)
        if not self.offers.take(origin_of(request.remote)):
            raise web.HTTPTooManyRequests(text="Too many offers.\n", headers={"Retry-After": "1"})
        try:
            peer, answer = await self.answer(offer)
        except DescriptionError as error:
            raise web.HTTPBadRequest(text=f"{error}\n") from error
        except TooManyPeersError as error:
            raise web.HTTPServiceUnavailable(text=f"{error}\n", headers={"Retry-After": "10"}) from error
        headers = {"Location": f"{self.path}/{peer.id}", "ETag": _tag(peer), "Accept-Patch": FRAGMENT_TYPE}
        return web.Response(status=201, body=answer.encode(), content_type=SDP_TYPE, headers=headers)

    async def _trickle(self, request: web.Request) -> web.Response:
        peer = self._session(request)
        if media_type(request) != FRAGMENT_TYPE:
            raise web.HTTPUnsupportedMediaType(text=f"Patch with {FRAGMENT_TYPE}.\n")
        if request.headers.get("If-Match", "*") not in ("*", _tag(peer)):  # "*" asks for a restart: see below
            raise web.HTTPPreconditionFailed(text="That is the ETag of another session.\n")
        lines = (await text_body(request)).splitlines()
        if any(line.startswith("a=ice-ufrag:") and line not in _remote_sdp(peer) for line in lines):
            raise web.HTTPUnprocessableEntity(text="ICE restarts are not supported: make a new session.\n")
        candidates = [line.removeprefix("a=candidate:") for line in lines if line.startswith("a=candidate:")]
        for text in candidates:
            try:
                await self.peers.add_candidate(peer, text)
            except DescriptionError as error:
                raise web.HTTPBadRequest(text=f"{error}\n") from error
        return web.Response(status=204)

    async def _end(self, request: web.Request) -> web.Response:
        await self.peers.close(self._session(request))
        return web.Response()

    def _session(self, request: web.Request) -> Peer:
        self._admit(request)
        peer = self.peers.get(request.match_info["id"])
        if peer is None or peer.kind != self.kind:
            raise web.HTTPNotFound(text="There is no such session.\n")
        return peer

    def _admit(self, request: web.Request) -> None:
        if not self.allowed(request):
            raise web.HTTPUnauthorized(
                text="Authorization: Bearer TOKEN is missing or wrong.\n", headers={"WWW-Authenticate": "Bearer"}
            )


def whep(peers: Peers, video: AvatarVideo, sound: Sound | None, allowed: Callable[[web.Request], bool]) -> HttpSessions:
    """The endpoint /whep, for players, OBS and media servers: whoever posts an offer that receives gets the avatar."""

    async def answer(offer: str) -> tuple[Peer, str]:
        return await peers.answer_viewer(offer, video, sound, kind="whep")

    return HttpSessions("whep", peers, allowed, answer)


def _tag(peer: Peer) -> str:
    return f'"{peer.id[:8]}"'


def _remote_sdp(peer: Peer) -> list[str]:
    return str(peer.connection.remoteDescription.sdp).splitlines()
