"""The local server of `visavis call`: the page, the room, the owner's controls, WHEP and WHIP.

Roles. The token is in the link's fragment (`#owner=…` or `#room=…[&cert=…]`), which browsers do not send; the page
sends it as `Authorization: Bearer TOKEN`, and for the WebSocket as a second subprotocol: `new WebSocket("/room",
["visavis", "token." + token])`. *owner*: the person at this computer, everything. *guest*: the room. *player*: WHEP.
*source*: WHIP.

    GET    /, /NAME          everybody  the page: the files of avatar/dashboard/page, by exact name
    GET    /room             owner,     WebSocket, JSON messages (below)
                             guest
    GET    /api/state        owner      {name, muted, camera_on, showing, microphone, latency_ms, lip_offset_ms, drives,
                                        invitation, reach, fingerprint, may_listen, own_room,
                                        whep: {url, token}, whip: {url, token}, ice,
                                        peers: [{id, kind, state, …}], figures}
    POST   /api/state        owner      {muted?, camera_on?, name?} → the state
    POST   /api/listen       owner      let the others of this network in from now on, by TLS → the state
    POST   /api/end          owner      end the call for all who were invited, whose link opens nothing more, and what
                                        /api/listen did → the state
    GET    /api/invitation   guest      {name, people, most}: whose call it is, before one joins
    POST   /api/view         owner      {sdp: an offer that receives} → {id, sdp: the answer}: the avatar, to look at
    POST   /api/view         owner      {} → {id, sdp: an offer that sends}: the first half of a call by copy and paste
    POST   /api/view/ID      owner      {sdp: the answer to it} → {}
    POST   /api/drive        owner      {sdp: an offer that sends} → {id, sdp}: the browser's microphone and, where the
                                        state says `drives: "browser"`, its camera
    DELETE /api/peers/ID     owner      end a connection → {}
    POST, PATCH, DELETE /whep…  player  WHEP: the avatar, to play. See avatar.webrtc.http_sessions; `owner` may as well
    POST, PATCH, DELETE /whip…  source  WHIP: a picture that drives the avatar. See avatar.webrtc.whip_source; as above

Errors are `{"error": "what happened, what to do"}` with 400 (bad SDP or JSON), 401, 403, 404, 408, 413, 415 (not
UTF-8), 421, 429, 500, 503.
All offers and answers are complete (gathered candidates inside); `candidate` messages may add more.

The room, over the WebSocket. First the page says {type: "hello", name, kind: "browser"} (an owner's page as well, whose
name and kind are ignored: it speaks for the avatar). Then it gets

    {type: "welcome", you, members: [{id, name, kind, muted, camera_on, showing}], ice, owner, most}
        at the start and after every reconnect: close all links and begin anew. `ice` is for new RTCPeerConnection(ice).
    {type: "joined", member}, {type: "left", id}, {type: "state", from, name, muted, camera_on, showing},
    {type: "error", reason}

Links are one-way. To see and hear a member, the page makes a connection with two recvonly transceivers (video, audio)
and sends {type: "offer", to, link, sdp} (`link`: any short text of its own); it gets {type: "answer", from, link, sdp}
or {type: "refuse", from, link, reason}. Lost (`connectionState` failed, or disconnected for seconds, or the network
changed)? Close it and offer again, with a new `link`. {type: "candidate", to, link, candidate: "candidate:…"} adds a
candidate, {type: "bye", to, link} ends a link. A guest's page also *gets* offers, from those who want to see the guest,
and answers each with its own webcam and microphone; an owner's page does not: visavis answers them with the avatar.
{type: "state", muted, camera_on, name?, showing?} tells the others; an owner's page sets the avatar's with it. showing:
"moving", "idle" (an avatar that nobody moves now) or "nothing" (no avatar, no camera).

By copy and paste, without a room: Ann's page posts /api/view {} and makes a receiving offer; both SDPs go to Bob as one
text. Bob's page answers the first with a receiving connection, and posts the second to its own /api/view {sdp, by_hand:
true}, which waits for as long as people take; both answers go back as one text. Ann's page posts the first to
/api/view/ID and sets the second as remote description.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Callable

from aiohttp import web
from aiortc.mediastreams import MediaStreamTrack

from avatar.call.hosted_call import HostedCall
from avatar.call.room import LONGEST_NAME, Message, Room
from avatar.call.room_sockets import RoomSockets
from avatar.core.errors import VisavisError
from avatar.core.plain_text import plain_text
from avatar.dashboard.dashboard import Dashboard
from avatar.dashboard.page_files import add_page
from avatar.http.listener import Listener
from avatar.http.peer_text import PeerTextError, json_body
from avatar.http.safety import Gate, Role
from avatar.webrtc.descriptions import DescriptionError
from avatar.webrtc.http_sessions import whep
from avatar.webrtc.peers import Peer, TooManyPeersError
from avatar.webrtc.remote_camera import listen
from avatar.webrtc.whip_source import WhipSource

OVER = b"the call is over"  # the page knows by the code, and that there is a reason
IDLE_TICK_S = 1.0  # as often as the live run tells its figures
IDLE_TICKS = 3  # a face that is lost for a second, or a computer that is busy, is nothing to tell


class CallServer:
    """Serves one call. Everything runs on the asyncio loop that calls `start` and `stop`."""

    def __init__(self, hosted: HostedCall, dashboard: Dashboard | None = None) -> None:
        """dashboard: what the page does beside calling."""
        self.room, self.gate = Room(), Gate(hosted.tokens)
        self._hosted, self._call, self._dashboard = hosted, hosted.call, dashboard
        self._sockets = RoomSockets(hosted.call, self.room, hosted.ice)
        self._listener: Listener | None = None
        self._ticking: asyncio.Task[None] | None = None

    async def start(self, host: str, port: int) -> int:
        """Set up, and `listen` without TLS: for loopback."""
        self._listener = Listener(self.gate)
        app = self._listener.app
        app.router.add_get("/room", self._room)
        app.router.add_get("/api/state", self._get_state)
        app.router.add_post("/api/state", self._set_state)
        app.router.add_post("/api/listen", self._let_network_in)
        app.router.add_post("/api/end", self._end_call)
        app.router.add_get("/api/invitation", self._invitation)
        app.router.add_post("/api/view", self._view)
        app.router.add_post("/api/view/{id}", self._view_answered)
        app.router.add_post("/api/drive", self._drive)
        app.router.add_delete("/api/peers/{id}", self._end_peer)
        self.gate.allow_more({"/room": (0, None)})
        if self._dashboard is not None:
            self._dashboard.add_routes(app, self.gate)
            self._ticking = asyncio.create_task(self._tick(self._dashboard))
        whep(self._call.peers, self._call.video, self._call.sound, self._allows("player")).add_routes(app)
        heard = [self._call.sound] if self._hosted.whip_sound else []
        whip = WhipSource(self._call.peers, lambda: self._hosted.whip_camera, heard)
        whip.endpoint(self._allows("source")).add_routes(app)
        add_page(app, {"index.html": "/", "verify.html": "/verify.html"})
        return await self._listener.start(host, port)

    async def listen(self, host: str, port: int, tls: ssl.SSLContext | None) -> int:
        """Serve at one more address; port 0 takes a free one. Returns the port. Raises DeviceError."""
        assert self._listener is not None, "start comes first"
        return await self._listener.listen(host, port, tls)

    async def stop_listening(self, port: int) -> None:
        assert self._listener is not None, "start comes first"
        await self._listener.stop_listening(port)

    async def stop(self) -> None:
        """Hang up on everybody, and free all."""
        listener = self._listener
        if listener is None:
            return
        if self._ticking is not None:
            self._ticking.cancel()
        await listener.stop_listening()
        try:
            await self._sockets.close(OVER)
            await self._call.close()
        finally:
            await listener.close()

    async def _tick(self, dashboard: Dashboard) -> None:
        """The others are told while nobody moves the avatar."""
        idle = 0
        while True:
            await asyncio.sleep(IDLE_TICK_S)
            idle = idle + 1 if dashboard.live.idle else 0
            self._call.set_idle(idle >= IDLE_TICKS)

    async def _room(self, request: web.Request) -> web.StreamResponse:
        return await self._sockets.serve(request, self.gate.require(request, "owner", "guest") == "owner")

    async def _get_state(self, request: web.Request) -> web.Response:
        self.gate.require(request, "owner")
        return web.json_response(self._state())

    async def _set_state(self, request: web.Request) -> web.Response:
        self.gate.require(request, "owner")
        wish = await _json(request)
        if any(name in wish and not isinstance(wish[name], bool) for name in ("muted", "camera_on")):
            return _error(400, "muted and camera_on are true or false.")
        name = plain_text(wish["name"], LONGEST_NAME) if "name" in wish else None
        if name == "":
            return _error(400, "A name has at least one letter.")
        self._call.set_state(wish.get("muted"), wish.get("camera_on"), name)
        return web.json_response(self._state())

    async def _let_network_in(self, request: web.Request) -> web.Response:
        self.gate.require(request, "owner")
        if self._hosted.let_network_in is None:
            return _error(400, "Others are let in already: the invitation says where.")
        try:
            await self._hosted.let_network_in()
        except VisavisError as error:
            return _error(400, error.on_page)
        return web.json_response(self._state())

    async def _end_call(self, request: web.Request) -> web.Response:
        """For all who were invited, who come in no more: the next invitation is another one."""
        self.gate.require(request, "owner")
        if self._hosted.joined:
            return _error(400, "This call is somebody else's: end visavis, and you have left it.")
        self._hosted.tokens.renew_guest()
        if (shut := self._hosted.shut_network_out) is not None:
            await shut()
        await self._sockets.close_guests(OVER)
        return web.json_response(self._state())

    async def _invitation(self, request: web.Request) -> web.Response:
        self.gate.require(request, "owner", "guest")
        host = {"name": self._call.name or self._hosted.name}
        return web.json_response({**host, "people": len(self.room), "most": self.room.most})

    async def _view(self, request: web.Request) -> web.Response:
        self.gate.require(request, "owner")
        call, wish = self._call, await _json(request)
        offer, by_hand = wish.get("sdp"), wish.get("by_hand") is True
        try:
            if offer is None:
                peer, description = await call.peers.offer_viewer(call.video, call.sound, by_hand=True)
            else:
                peer, description = await call.peers.answer_viewer(str(offer), call.video, call.sound, by_hand=by_hand)
        except VisavisError as error:
            return _refusal(error)
        return web.json_response({"id": peer.id, "sdp": description})

    async def _view_answered(self, request: web.Request) -> web.Response:
        self.gate.require(request, "owner")
        try:
            await self._call.peers.accept(self._peer(request), str((await _json(request)).get("sdp")))
        except VisavisError as error:
            return _refusal(error)
        return web.json_response({})

    async def _drive(self, request: web.Request) -> web.Response:
        self.gate.require(request, "owner")
        try:
            offer = str((await _json(request)).get("sdp"))
            peer, answer = await self._call.page_peers.answer_sender(offer, self._take)
        except VisavisError as error:
            return _refusal(error)
        return web.json_response({"id": peer.id, "sdp": answer})

    async def _end_peer(self, request: web.Request) -> web.Response:
        self.gate.require(request, "owner")
        peer = self._peer(request)
        await (self._call.page_peers if peer.kind == "drive" else self._call.peers).close(peer)
        return web.json_response({})

    async def _take(self, track: MediaStreamTrack) -> None:
        if track.kind == "audio":
            await listen(track, self._call.sound)
        elif (camera := self._hosted.browser_camera) is not None:
            await camera.watch(track)

    def _peer(self, request: web.Request) -> Peer:
        peer_id = request.match_info["id"]
        peer = self._call.peers.get(peer_id) or self._call.page_peers.get(peer_id)
        if peer is None:
            raise web.HTTPNotFound(text='{"error": "There is no such connection."}', content_type="application/json")
        return peer

    def _allows(self, role: Role) -> Callable[[web.Request], bool]:
        return lambda request: self.gate.role(request) in (role, "owner")

    def _state(self) -> Message:
        sound, video = self._call.sound, self._call.video
        return {
            "name": self._hosted.name,
            **self._call.state,
            "microphone": sound.live,
            "latency_ms": round(video.latency_ns / 1e6, 1),
            "lip_offset_ms": round(sound.lip_offset_ms, 1),
            "drives": "camera" if self._hosted.browser_camera is None else "browser",
            "invitation": self._hosted.invitation,
            "reach": self._hosted.reach,
            "fingerprint": self._hosted.fingerprint,
            "may_listen": self._hosted.let_network_in is not None,
            "own_room": not self._hosted.joined,
            "whep": {"url": "/whep", "token": self.gate.tokens.player},
            "whip": {"url": "/whip", "token": self.gate.tokens.source},
            "ice": self._hosted.ice.for_page(owner=True),
            "peers": self._call.peers.figures() + self._call.page_peers.figures(),
            "figures": self._hosted.figures,
        }


async def _json(request: web.Request) -> Message:
    try:
        return await json_body(request)
    except PeerTextError as error:
        raise web.HTTPBadRequest(text=json.dumps({"error": str(error)}), content_type="application/json") from error


def _refusal(error: VisavisError) -> web.Response:
    if isinstance(error, TooManyPeersError):
        return _error(503, str(error))
    if isinstance(error, DescriptionError):
        return _error(400, str(error))
    raise error


def _error(status: int, text: str) -> web.Response:
    return web.json_response({"error": text}, status=status)
