"""A member of a room that another visavis keeps: one WebSocket, made again when it breaks."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit, urlunsplit

import aiohttp

from avatar.call.room import BURST, MOST_MEMBERS, PER_SECOND, Message, RoomError, Send, checked
from avatar.core.errors import DeviceError, UsageError
from avatar.core.plain_text import plain_text
from avatar.http.allowance import Allowance
from avatar.http.listener import LOOPBACK_NAMES
from avatar.http.peer_text import CLIENT, PeerTextError, json_object
from avatar.http.safety import PROTOCOL
from engines import Say, on_stderr

LARGEST_MESSAGE = 256 * 1024
HEARTBEAT_S, CONNECT_S, WELCOME_S = 10.0, 10.0, 10.0
STEADY_S = 30.0  # a room that hangs up sooner is waited for a little longer each time
BACK_OFF_S = (0.5, 1.0, 2.0, 5.0, 10.0)
MOST_WAITING = 256

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RoomLink:
    """A link that somebody was sent: the page's address, the room's token, and the certificate's SHA-256."""

    page: str  # "https://192.0.2.5:8443/"
    token: str = field(repr=False)
    fingerprint: bytes | None = None

    @classmethod
    def parse(cls, link: str) -> RoomLink:
        """Raises UsageError. Without TLS only on this computer: whoever stands between would read the token.

        >>> RoomLink.parse("https://192.0.2.5:8443/#room=abc").token
        'abc'
        """
        try:
            parts = urlsplit(link)
        except ValueError:  # half a bracket, for example
            parts = urlsplit("")
        values = parse_qs(parts.fragment)
        token, fingerprint = values.get("room", [""])[0], values.get("cert", [""])[0]
        try:
            pinned = bytes.fromhex(fingerprint) or None
        except ValueError:
            pinned = b""
        page = urlunsplit((parts.scheme, parts.netloc, parts.path or "/", "", ""))
        if parts.scheme not in ("http", "https") or not parts.hostname or not token or pinned == b"":
            # without what follows #: it lets people in, and errors are copied into reports
            raise UsageError(f"{page!r} is not a room link. It looks like https://HOST:PORT/#room=…")
        if parts.scheme == "http" and (pinned or parts.hostname not in LOOPBACK_NAMES):
            raise UsageError(f"The room link {page} is not encrypted. It must start with https://")
        return cls(page, token, pinned)

    def __str__(self) -> str:
        pin = f"&cert={self.fingerprint.hex()}" if self.fingerprint else ""
        return f"{self.page}#room={self.token}{pin}"


class RoomClient:
    """`receive` gets every message of the room, a new "welcome" after each reconnect. Lives on one asyncio loop.

    `say` is told when the room is lost, and when it is there again.
    """

    def __init__(self, link: RoomLink, name: str, receive: Send, say: Say = on_stderr) -> None:
        self._link, self._name, self._receive, self._say = link, name, receive, say
        self._outgoing: asyncio.Queue[Message] = asyncio.Queue(MOST_WAITING)
        self._keeping: asyncio.Task[None] | None = None
        self._failures, self._lost = 0, False

    async def open(self) -> None:
        """Join. Raises DeviceError when that fails; later failures are mended in the background."""
        first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._keeping = asyncio.ensure_future(self._keep(first))
        self._keeping.add_done_callback(lambda _: first.cancel())
        await first

    def send(self, message: Message) -> None:
        """Pass a message to the room; dropped while the room cannot be reached."""
        if not self._outgoing.full():
            self._outgoing.put_nowait(message)

    async def close(self) -> None:
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait([self._keeping])

    async def _keep(self, first: asyncio.Future[None]) -> None:
        tracing = aiohttp.TraceConfig()
        tracing.on_request_redirect.append(_refuse_redirect)
        async with aiohttp.ClientSession(trace_configs=[tracing], headers=CLIENT) as http:
            while True:
                try:
                    await self._once(http, first)
                except Exception as error:
                    if not isinstance(error, (aiohttp.ClientError, TimeoutError, OSError, ValueError, RoomError)):
                        logger.exception("the room's connection failed")
                    why = plain_text(_why(self._link, error), 600)
                    if not first.done():
                        first.set_exception(DeviceError(why))
                        return
                    self._receive({"type": "error", "reason": f"{why} Trying again."})
                    if self._failures == 0:
                        self._lost = True
                        self._say(f"{why} Trying again.")
                await asyncio.sleep(BACK_OFF_S[min(self._failures, len(BACK_OFF_S) - 1)])
                self._failures += 1

    async def _once(self, http: aiohttp.ClientSession, first: asyncio.Future[None]) -> None:
        ssl: aiohttp.Fingerprint | bool = True
        if self._link.fingerprint is not None:
            ssl = aiohttp.Fingerprint(self._link.fingerprint)  # a pinned certificate needs no authority
        socket = http.ws_connect(
            f"{self._link.page.rstrip('/')}/room",
            protocols=(PROTOCOL, f"token.{self._link.token}"),
            heartbeat=HEARTBEAT_S,
            max_msg_size=LARGEST_MESSAGE,
            ssl=ssl,
            timeout=aiohttp.ClientWSTimeout(ws_close=2.0),
        )
        async with asyncio.timeout(CONNECT_S):
            web_socket = await socket
        async with web_socket:
            await web_socket.send_json({"type": "hello", "name": self._name, "kind": "avatar"})
            while not self._outgoing.empty():  # meant for the room before the break
                self._outgoing.get_nowait()
            sending = asyncio.ensure_future(self._send_all(web_socket))
            try:
                await self._listen(web_socket, first)
            finally:
                sending.cancel()
            if isinstance(web_socket.exception(), TimeoutError):
                raise ValueError("the room has fallen silent")
        raise ValueError("the room hung up")

    async def _listen(self, web_socket: aiohttp.ClientWebSocketResponse, first: asyncio.Future[None]) -> None:
        """Hand on what the room says until it hangs up."""
        allowance = Allowance(MOST_MEMBERS * PER_SECOND, MOST_MEMBERS * BURST)
        loop, welcomed_s = asyncio.get_running_loop(), float("inf")
        try:
            async with asyncio.timeout(WELCOME_S) as patience:
                async for frame in web_socket:
                    if frame.type is aiohttp.WSMsgType.ERROR:
                        continue
                    if not allowance.take():
                        raise ValueError("it sends too many messages")
                    message = _read(frame)
                    if message["type"] == "error":
                        raise RoomError(message["reason"])
                    self._receive(message)
                    if message["type"] == "welcome":
                        patience.reschedule(None)
                        welcomed_s = loop.time()
                        if not first.done():
                            first.set_result(None)
                        if self._lost:
                            self._lost = False
                            self._say(f"{self._link.page} has let us in again.")
        finally:
            if loop.time() - welcomed_s > STEADY_S:
                self._failures = 0

    async def _send_all(self, web_socket: aiohttp.ClientWebSocketResponse) -> None:
        while True:
            await web_socket.send_json(await self._outgoing.get())


def _read(frame: aiohttp.WSMessage) -> Message:
    """Raises ValueError. Of an unknown type, nothing but that is left."""
    try:
        if frame.type is not aiohttp.WSMsgType.TEXT:
            raise RoomError("They are not text.")
        return checked(json_object(frame.data)) or {"type": ""}
    except (RoomError, PeerTextError) as error:
        raise ValueError(f"the room's messages make no sense: {error}") from error


async def _refuse_redirect(*_: object) -> None:
    """aiohttp follows one even for a WebSocket, and takes the token along."""
    raise ValueError("it sends us on to another address")


def _why(link: RoomLink, error: Exception) -> str:
    if isinstance(error, aiohttp.WSServerHandshakeError) and error.status in (401, 403):
        return f"{link.page} does not know this link's token. Ask for a new link: it changes with every start."
    if isinstance(error, aiohttp.ServerFingerprintMismatch):
        return f"{link.page} shows another certificate than the link says. Do not trust it; ask for a new link."
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"{link.page} shows a certificate of its own making. Use the whole link, with its &cert=… part."
    if isinstance(error, RoomError):
        return f"{link.page} does not let us in: {error}"
    reason = str(error) or "no answer within ten seconds"
    return f"{link.page} does not let us in: {reason}. Check the link and the network."
