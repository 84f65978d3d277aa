"""The WebSockets of pages in the room: `server` says what goes over them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiohttp import WSCloseCode, WSMessage, WSMsgType, web

from avatar.call.call import Call
from avatar.call.room import Member, Message, Room, RoomError
from avatar.http.allowance import origin_of
from avatar.http.peer_text import PeerTextError, json_object
from avatar.http.safety import LARGEST_BODY, PROTOCOL, close_sockets
from avatar.webrtc.ice import Ice

HELLO_S, HEARTBEAT_S, SEND_S = 10.0, 10.0, 10.0
MOST_WAITING = 128  # messages for a page that reads slowly; more, and it is cut off
MOST_SOCKETS, MOST_GUESTS = 16, 12  # open rooms, and those of them that guests may hold


class RoomSockets:
    """One for each open page. Everything runs on one asyncio loop."""

    def __init__(self, call: Call, room: Room, ice: Ice) -> None:
        self._call, self._room, self._ice = call, room, ice
        self._sockets: set[web.WebSocketResponse] = set()
        self._guests: set[web.WebSocketResponse] = set()

    async def serve(self, request: web.Request, owner: bool) -> web.WebSocketResponse:
        """From the hello to the goodbye of a page: the owner's, who speaks for the avatar, or a guest's."""
        if len(self._sockets) >= (MOST_SOCKETS if owner else MOST_GUESTS):
            raise web.HTTPServiceUnavailable(text="Too many open pages.\n")
        socket = web.WebSocketResponse(protocols=(PROTOCOL,), heartbeat=HEARTBEAT_S, max_msg_size=LARGEST_BODY)
        await socket.prepare(request)
        self._sockets.add(socket)
        outgoing: asyncio.Queue[Message] = asyncio.Queue(MOST_WAITING)
        transport = request.transport
        sending = asyncio.ensure_future(_send_all(socket, outgoing, transport))

        def send(message: Message) -> None:
            if message.get("type") == "welcome":
                message = {**message, "ice": self._ice.for_page(owner), "owner": owner}
            if not outgoing.full():
                outgoing.put_nowait(message)
            elif transport is not None:  # a slow reader
                transport.abort()

        try:
            await (self._owner_page(socket, send) if owner else self._guest(socket, send, origin_of(request.remote)))
        except (RoomError, PeerTextError, ValueError, TimeoutError) as error:
            reason = str(error) or "no hello"
            await socket.send_json({"type": "error", "reason": reason})
            await socket.close(code=WSCloseCode.POLICY_VIOLATION, message=reason.encode()[:120])
        except ConnectionError:
            pass
        finally:
            self._sockets.discard(socket)
            sending.cancel()
        return socket

    async def _owner_page(self, socket: web.WebSocketResponse, send: Callable[[Message], None]) -> None:
        await _hello(socket)
        self._call.add_page(send)
        try:
            async for frame in socket:
                self._call.from_page(_message(frame))
        finally:
            self._call.remove_page(send)

    async def _guest(self, socket: web.WebSocketResponse, send: Callable[[Message], None], origin: str) -> None:
        hello = await _hello(socket)
        member: Member = self._room.join(send, hello.get("name"), hello.get("kind"), origin)
        self._guests.add(socket)
        try:
            async for frame in socket:
                self._room.receive(member, _message(frame))
        finally:
            self._guests.discard(socket)
            self._room.leave(member)

    async def close_guests(self, why: bytes) -> None:
        await close_sockets(list(self._guests), why)

    async def close(self, why: bytes) -> None:
        await close_sockets(self._sockets, why)


async def _hello(socket: web.WebSocketResponse) -> Message:
    async with asyncio.timeout(HELLO_S):
        frame = await socket.receive()
    message = _message(frame)
    if message.get("type") != "hello":
        raise RoomError("The first message is a hello.")
    return message


def _message(frame: WSMessage) -> Message:
    """Raises RoomError or PeerTextError."""
    if frame.type is not WSMsgType.TEXT:
        raise RoomError("A message is a JSON object, sent as text.")
    return json_object(frame.data)


async def _send_all(
    socket: web.WebSocketResponse, outgoing: asyncio.Queue[Message], transport: asyncio.Transport | None
) -> None:
    while not socket.closed:
        message = await outgoing.get()
        try:
            async with asyncio.timeout(SEND_S):
                await socket.send_json(message)
        except (TimeoutError, ConnectionError):
            if transport is not None:
                transport.abort()
            return
