"""Whom the server lets in: tokens, Host and Origin, and limits of size, rate and time on every request."""

from __future__ import annotations

import asyncio
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from aiohttp import WSCloseCode, web

from avatar.call.allowance import Allowance

Role = Literal["owner", "guest", "player", "source"]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

LARGEST_BODY = 256 * 1024
REQUEST_S = 15.0  # to read a body and answer it
PER_SECOND, BURST = 50.0, 200.0  # requests of one address in one role
WRONG_PER_SECOND, WRONG_BURST = 0.5, 10.0  # wrong tokens of one address
REMEMBERED = 1024  # addresses
GOODBYE_S = 2.0
PROTOCOL = "visavis"

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
        "connect-src 'self'; font-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(self), display-capture=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def _token() -> str:
    return secrets.token_urlsafe(24)


@dataclass(frozen=True, slots=True)
class Tokens:
    """One for each role, new at every start unless given.

    `owner` may do everything, `guest` join the room, `player` use WHEP, `source` drive the avatar by WHIP.
    """

    owner: str = field(default_factory=_token, repr=False)
    guest: str = field(default_factory=_token, repr=False)
    player: str = field(default_factory=_token, repr=False)
    source: str = field(default_factory=_token, repr=False)

    def role(self, token: str) -> Role | None:
        """In a time that does not depend on how much of it is right."""
        found: Role | None = None
        roles: tuple[tuple[Role, str], ...] = (
            ("owner", self.owner), ("guest", self.guest), ("player", self.player), ("source", self.source),
        )  # fmt: skip
        for role, right in roles:
            if hmac.compare_digest(token.encode(), right.encode()):
                found = role
        return found


class Gate:
    """The middleware that stands before every handler.

    A request is refused unless its Host is one of `hosts` (so that a foreign name that points here gets nothing: DNS
    rebinding), and its Origin, where it has one, is one of `origins`.
    """

    def __init__(self, tokens: Tokens) -> None:
        self.tokens = tokens
        self.origins: set[str] = set()
        self.hosts: set[str] = set()
        self._requests: OrderedDict[str, Allowance] = OrderedDict()
        self._wrong: OrderedDict[str, Allowance] = OrderedDict()
        self._more: dict[str, tuple[int, float | None]] = {}

    def allow(self, origins: set[str]) -> None:
        """`origins`: "https://192.0.2.5:8443" and the like, by which this server may be called from now on."""
        for origin in origins:
            parts = urlsplit(origin.lower())
            default_port = {"http": ":80", "https": ":443"}[parts.scheme]
            self.origins.add(f"{parts.scheme}://{parts.netloc.removesuffix(default_port)}")  # browsers leave it out
            self.hosts |= {parts.netloc, parts.netloc.removesuffix(default_port)}

    def allow_more(self, allowances: Mapping[str, tuple[int, float | None]]) -> None:
        """Other limits than LARGEST_BODY and REQUEST_S, by exact path: of photos, or of WebSockets, which stay open."""
        self._more |= allowances

    def role(self, request: web.Request) -> Role | None:
        """By "Authorization: Bearer TOKEN" or, for a browser's WebSocket, the protocol "token.TOKEN".

        Raises HTTPTooManyRequests for an address that keeps trying.
        """
        role = self.tokens.role(_token_of(request))
        if role is None and not _allowance(self._wrong, request.remote or "", WRONG_PER_SECOND, WRONG_BURST).take():
            raise web.HTTPTooManyRequests(text="Too many wrong tokens.\n", headers={"Retry-After": "5"})
        return role

    def require(self, request: web.Request, *roles: Role) -> Role:
        """The request's role. Raises HTTPUnauthorized or HTTPForbidden where it is not one of `roles`."""
        role = self.role(request)
        if role is None:
            raise web.HTTPUnauthorized(
                text="The token is missing or wrong: use the whole link.\n", headers={"WWW-Authenticate": "Bearer"}
            )
        if role not in roles:
            raise web.HTTPForbidden(text="This link does not allow that.\n")
        return role

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            self._check_address(request)
            # behind a proxy all have one address: who has no token must not use up what the owner may
            asking = f"{self.tokens.role(_token_of(request))} {request.remote}"
            if not _allowance(self._requests, asking, PER_SECOND, BURST).take():
                raise web.HTTPTooManyRequests(text="Too many requests.\n", headers={"Retry-After": "1"})
            largest, seconds = self._more.get(request.path, (LARGEST_BODY, REQUEST_S))
            if (request.content_length or 0) > largest:
                raise web.HTTPRequestEntityTooLarge(largest, request.content_length or 0)
            async with asyncio.timeout(seconds):
                response = await handler(request)
        except TimeoutError:
            response = web.Response(status=408, text="Too slow.\n", headers={"Connection": "close"})
        except web.HTTPException as refusal:
            if refusal.status >= 400:  # a body that was not read would be taken for the next request
                refusal.force_close()
            refusal.headers.update(HEADERS)
            raise
        response.headers.update(HEADERS)
        return response

    def _check_address(self, request: web.Request) -> None:
        if request.headers.get("Host", "").lower() not in self.hosts:
            raise web.HTTPMisdirectedRequest(text="This server has another name. Use the link that it printed.\n")
        origin = request.headers.get("Origin")
        if origin is not None and origin.lower() not in self.origins:
            raise web.HTTPForbidden(text="Another page may not use this server.\n")


async def close_sockets(sockets: Iterable[web.WebSocketResponse], why: bytes) -> None:
    """All at once; who does not answer in GOODBYE_S has had the time."""
    closing = [asyncio.ensure_future(socket.close(code=WSCloseCode.GOING_AWAY, message=why)) for socket in sockets]
    if closing:
        _, pending = await asyncio.wait(closing, timeout=GOODBYE_S)
        for late in pending:
            late.cancel()


def _token_of(request: web.Request) -> str:
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() != "bearer":
        offered = [name.strip() for name in request.headers.get("Sec-WebSocket-Protocol", "").split(",")]
        token = next((name.removeprefix("token.") for name in offered if name.startswith("token.")), "")
    return token.strip()


def _allowance(known: OrderedDict[str, Allowance], asking: str, per_second: float, burst: float) -> Allowance:
    if asking not in known:
        known[asking] = Allowance(per_second, burst)
        while len(known) > REMEMBERED:
            known.popitem(last=False)
    known.move_to_end(asking)
    return known[asking]
