"""One session at a WHIP server, RFC 9725: an offer is posted, the answer comes back, DELETE ends it."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from urllib.parse import urljoin, urlsplit

import aiohttp
from multidict import CIMultiDictProxy

from avatar.core.errors import DeviceError, UsageError
from avatar.core.plain_text import plain_text
from avatar.webrtc.avatar_track import AvatarVideo
from avatar.webrtc.descriptions import DescriptionError
from avatar.webrtc.ice import Ice
from avatar.webrtc.peers import Peer, Peers
from avatar.webrtc.sound import Sound
from avatar.webrtc.whip_target import TOKEN_VARIABLE, WhipTarget

MOST_REDIRECTS = 5
CONNECT_S, LARGEST_ANSWER = 20.0, 64 * 1024


class WhipError(DeviceError):
    """The server refused, is missing, or answers nonsense; only what can be printed of that is quoted."""

    def __init__(self, message: str, lasting: bool = False) -> None:
        super().__init__(plain_text(message, 1000))
        self.lasting = lasting  # trying again would change nothing


class WhipSession:
    """One published session at the server: `start`, and `end` exactly once after it."""

    def __init__(self, target: WhipTarget, peers: Peers, http: aiohttp.ClientSession) -> None:
        self.learned = Ice()  # the servers that the endpoint names in its Link headers
        self._target, self._peers, self._http = target, peers, http
        self._peer: Peer | None = None
        self._resource: str | None = None
        self._trusted = {_scheme_and_host(target.url)}  # get the token

    async def start(self, video: AvatarVideo, sound: Sound | None) -> Peer:
        """Returns the connection once it stands. Raises WhipError."""
        peer, offer = await self._peers.offer_viewer(video, sound, kind="whip")
        self._peer = peer
        try:
            answer = await self._post(offer)
            await self._peers.accept(peer, answer)
        except DescriptionError as error:
            raise WhipError(f"{self._target.url} answered, but not with a usable description. {error}") from error
        await self._connected(peer)
        return peer

    async def end(self) -> None:
        if self._resource is not None:
            with suppress(WhipError):  # the server ends a session whose peer has gone by itself
                await self._request("DELETE", self._resource)
        if self._peer is not None:
            await self._peers.close(self._peer)

    async def _post(self, offer: str) -> str:
        url, headers = self._target.url, {"Content-Type": "application/sdp", "Accept": "application/sdp"}
        for _ in range(MOST_REDIRECTS + 1):
            status, answer_headers, body = await self._request("POST", url, offer, headers)
            if status not in (307, 308):
                break
            location = _joined_url(url, answer_headers.get("Location", ""))
            if urlsplit(location).scheme != "https" and urlsplit(url).scheme == "https":
                raise WhipError(f"{url} sends us on to {location}, which is not encrypted.", lasting=True)
            (old_scheme, old_host), (scheme, host) = _scheme_and_host(url), _scheme_and_host(location)
            if scheme == "https" and (old_scheme == "https" or old_host == host):
                self._trusted.add((scheme, host))
            if self._target.token and (scheme, host) not in self._trusted:
                raise WhipError(f"{url} sends us on to {location}, which must not see the token.", lasting=True)
            url = location
        else:
            raise WhipError(f"{self._target.url} sends us around in circles.", lasting=True)
        if status != 201:
            raise WhipError(_refusal(url, status, body, self._target.token is not None), lasting=400 <= status < 500)
        if "Location" in answer_headers:
            self._resource = _joined_url(url, answer_headers["Location"])
        self.learned = _ice_of(answer_headers.getall("Link", []))
        return body

    async def _request(
        self, method: str, url: str, data: str | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, CIMultiDictProxy[str], str]:
        may_see = self._target.token is not None and _scheme_and_host(url) in self._trusted
        authorization = {"Authorization": f"Bearer {self._target.token}"} if may_see else {}
        try:
            async with self._http.request(
                method, url, data=data, headers={**(headers or {}), **authorization}, allow_redirects=False
            ) as response:
                body = await response.content.read(LARGEST_ANSWER + 1)
                while len(body) <= LARGEST_ANSWER and (more := await response.content.read(LARGEST_ANSWER)):
                    body += more
                if len(body) > LARGEST_ANSWER:
                    raise WhipError(f"{url} answers with more than {LARGEST_ANSWER} bytes.", lasting=True)
                return response.status, response.headers, body.decode("utf-8", "replace")
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise WhipError(f"{url} cannot be reached: {error or 'no answer within ten seconds'}.") from error

    async def _connected(self, peer: Peer) -> None:
        changed = asyncio.Event()
        peer.connection.on("connectionstatechange", changed.set)
        try:
            async with asyncio.timeout(CONNECT_S):
                while peer.state not in ("connected", "failed", "closed"):
                    changed.clear()
                    await changed.wait()
        except TimeoutError:
            pass
        if peer.state != "connected":
            raise WhipError(
                f"{self._target.url} took the offer, but no media connection came about. A firewall may stand between: "
                "name a relay with --turn."
            )


def _joined_url(url: str, location: str) -> str:
    """Raises WhipError."""
    try:
        joined = urljoin(url, location)
        urlsplit(joined).port  # noqa: B018 - raises for one that is none
    except ValueError as error:
        raise WhipError(f"{url} names an address that is none: {location[:200]}", lasting=True) from error
    return joined


def _scheme_and_host(url: str) -> tuple[str, str | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname


def _refusal(url: str, status: int, body: str, with_token: bool) -> str:
    reason = " ".join(body.split())[:200]
    if status in (401, 403):
        mend = "Check the token." if with_token else f"It wants a token: set {TOKEN_VARIABLE}."
        return f"{url} does not let us in ({status}). {mend}"
    if status == 404:
        return f"{url}: there is no WHIP endpoint (404). Check the address."
    return f"{url} refused with {status}{': ' + reason if reason else ''}."


def _ice_of(links: list[str]) -> Ice:
    """RFC 9725, section 4.6: Link: <turn:host?transport=udp>; rel="ice-server"; username="u"; credential="p"."""
    ice = Ice()
    for link in (part for header in links for part in re.split(r",\s*(?=<)", header)):
        uri, _, rest = link.partition(">")
        values = dict(item.strip().partition("=")[::2] for item in rest.split(";") if "=" in item)
        if values.get("rel", "").strip('"') != "ice-server":
            continue
        uri = uri.strip().lstrip("<")
        try:
            if uri.startswith(("turn:", "turns:")):
                username, credential = (values.get(name, "").strip('"') for name in ("username", "credential"))
                ice = ice.completed(Ice(turn=(uri,), username=username, credential=credential))
            else:
                ice = ice.completed(Ice(stun=(uri,)))
        except UsageError:
            continue  # a server of a kind that aiortc does not know
    return ice
