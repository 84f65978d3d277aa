"""Whom the server lets in: tokens, Host and Origin, and limits of size, rate and time on every request."""

from __future__ import annotations

import asyncio
import hmac
import logging
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Literal
from urllib.parse import urlsplit

from aiohttp import WSCloseCode, web

from avatar.core.plain_text import plain_text
from avatar.http.allowance import Allowance, Allowances, origin_of

Role = Literal["owner", "guest", "player", "source"]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

LARGEST_BODY = 256 * 1024
REQUEST_S = 15.0  # to read a body and answer it
PER_SECOND, BURST = 50.0, 200.0  # requests of one address in one role
WRONG_PER_SECOND, WRONG_BURST = 0.5, 10.0  # wrong tokens of one address, and what is not HTTP
TOLD_PER_SECOND, TOLD_BURST = 0.2, 10.0  # lines about strangers' doings
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
    "Server": "visavis",  # aiohttp would tell its version and Python's
    "X-Content-Type-Options": "nosniff",
}

logger = logging.getLogger(__name__)


def _token() -> str:
    return secrets.token_urlsafe(24)


@dataclass(slots=True)
class Tokens:
    """One for each role, new at every start unless given.

    `owner` may do everything, `guest` join the room, `player` use WHEP, `source` drive the avatar by WHIP.
    """

    owner: str = field(default_factory=_token, repr=False)
    guest: str = field(default_factory=_token, repr=False)
    player: str = field(default_factory=_token, repr=False)
    source: str = field(default_factory=_token, repr=False)

    def renew_guest(self) -> None:
        """Whoever was invited comes in no more."""
        self.guest = _token()

    def role(self, token: str) -> Role | None:
        """In a time that does not depend on how much of it is right."""
        offered = token.encode("utf-8", "surrogateescape")  # as aiohttp decodes headers
        found: Role | None = None
        roles: tuple[tuple[Role, str], ...] = (
            ("owner", self.owner), ("guest", self.guest), ("player", self.player), ("source", self.source),
        )  # fmt: skip
        for role, right in roles:
            if hmac.compare_digest(offered, right.encode()):
                found = role
        return found


class Gate:
    """The middleware that stands before every handler, and answers for what a handler fails at.

    A request is refused unless its Host is one of `hosts` (so that a foreign name that points here gets nothing: DNS
    rebinding), and its Origin, where it has one, is one of `origins`.
    """

    def __init__(self, tokens: Tokens) -> None:
        self.tokens = tokens
        self.origins: set[str] = set()
        self.hosts: set[str] = set()
        self._requests = Allowances(PER_SECOND, BURST)
        self._wrong = Allowances(WRONG_PER_SECOND, WRONG_BURST)
        self._told = Allowance(TOLD_PER_SECOND, TOLD_BURST)
        self._more: dict[str, tuple[int, float | None]] = {}

    def allow(self, origins: set[str]) -> None:
        """`origins`: "https://192.0.2.5:8443" and the like, by which this server may be called from now on."""
        for origin in origins:
            parts = urlsplit(origin.lower())
            default_port = {"http": ":80", "https": ":443"}[parts.scheme]
            self.origins.add(f"{parts.scheme}://{parts.netloc.removesuffix(default_port)}")  # browsers leave it out
            self.hosts |= {parts.netloc, parts.netloc.removesuffix(default_port)}

    def allow_more(self, allowances: Mapping[str, tuple[int, float | None]]) -> None:
        """Other limits than LARGEST_BODY and REQUEST_S: of photos, or of WebSockets, which stay open.

        By exact path; one that ends in "/" is for all that lies below it.
        """
        self._more |= allowances

    def role(self, request: web.Request) -> Role | None:
        """By "Authorization: Bearer TOKEN" or, for a browser's WebSocket, the protocol "token.TOKEN".

        Raises HTTPTooManyRequests for an address that keeps trying without one.
        """
        token = _token_of(request)
        if not token:
            self.count_wrong(request)
        return self.tokens.role(token)

    def count_wrong(self, request: web.BaseRequest) -> None:
        """Raises HTTPTooManyRequests for an address that keeps sending wrong tokens, or what is no HTTP."""
        if not self._wrong.take(origin_of(request.remote)):
            raise web.HTTPTooManyRequests(text="Too many wrong tokens.\n", headers={"Retry-After": "5"})

    def tell(self, remote: str | None, error: BaseException) -> None:
        """One line about what went wrong, with the traceback for those who debug; not more than can be read."""
        if self._told.take():
            reason = plain_text(f"{type(error).__name__}: {error}")
            logger.warning("a request of %s failed: %s", remote or "a stranger", reason)
            logger.debug("it failed here", exc_info=error)

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
            return await self._answer(request, handler)
        except TimeoutError:
            status, text = 408, "Too slow.\n"
        except web.RequestPayloadError:
            status, text = 400, "The body is not what its headers say.\n"
        except web.HTTPException as refusal:
            if refusal.status >= 400:  # a body that was not read would be taken for the next request
                refusal.force_close()
            raise
        except ConnectionError:  # the other side has gone
            raise
        except Exception as error:
            self.tell(request.remote, error)
            if request.writer.output_size > 0:  # half an answer, or a WebSocket: nothing can be added
                raise ConnectionAbortedError from error
            status, text = 500, "Something unexpected went wrong here.\n"
        return web.Response(status=status, text=text, headers={"Connection": "close"})

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self._check_address(request)
        token = _token_of(request)
        role = self.tokens.role(token)
        if token and role is None:
            self.count_wrong(request)
        # behind a proxy all have one address: who has no token must not use up what the owner may
        if not self._requests.take(f"{role} {origin_of(request.remote)}"):
            raise web.HTTPTooManyRequests(text="Too many requests.\n", headers={"Retry-After": "1"})
        largest, seconds = self._limits(request.path)
        if (request.content_length or 0) > largest:
            raise web.HTTPRequestEntityTooLarge(largest, request.content_length or 0)
        async with asyncio.timeout(seconds):
            return await handler(request)

    def _limits(self, path: str) -> tuple[int, float | None]:
        places = (path, *(f"{folder}/" for folder in PurePosixPath(path).parents))
        return next((self._more[place] for place in places if place in self._more), (LARGEST_BODY, REQUEST_S))

    def _check_address(self, request: web.Request) -> None:
        if request.headers.get("Host", "").lower() not in self.hosts:
            raise web.HTTPMisdirectedRequest(text="This server has another name. Use the link that it printed.\n")
        origin = request.headers.get("Origin")
        if origin is not None and origin.lower() not in self.origins:
            raise web.HTTPForbidden(text="Another page may not use this server.\n")


async def close_sockets(sockets: Iterable[web.WebSocketResponse], why: bytes) -> None:
    """All at once. Whoever has not answered within GOODBYE_S is waited for no longer."""
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


async def add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    """For `app.on_response_prepare`: HEADERS on every answer, errors and WebSockets among them."""
    response.headers.update(HEADERS)
