"""Publish to a WebRTC server: WHIP, RFC 9725. An offer is posted, the answer comes back, DELETE ends the session."""

from __future__ import annotations

import asyncio
import logging
import os
import re
from contextlib import suppress
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qs, urldefrag, urljoin, urlsplit

import aiohttp
from multidict import CIMultiDictProxy

from avatar.core.errors import DeviceError, UsageError
from avatar.core.frame import Frame
from avatar.core.plain_text import plain_text
from avatar.http.listener import LOOPBACK_NAMES
from avatar.http.peer_text import CLIENT
from avatar.publish.publisher import Publisher
from avatar.webrtc.aiortc_patches.codecs import set_video_rates
from avatar.webrtc.avatar_track import AvatarVideo
from avatar.webrtc.congestion import BitRates
from avatar.webrtc.descriptions import DescriptionError
from avatar.webrtc.ice import Ice
from avatar.webrtc.media_thread import MediaThread
from avatar.webrtc.peers import Peer, Peers
from avatar.webrtc.sound import Sound
from engines import Say, on_stderr

TOKEN_VARIABLE = "VISAVIS_WHIP_TOKEN"
MOST_REDIRECTS = 5
REQUEST_S, CONNECT_S, LARGEST_ANSWER = 10.0, 20.0, 64 * 1024
BACK_OFF_S = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)

logger = logging.getLogger(__name__)


class WhipError(DeviceError):
    """The server refused, is missing, or answers nonsense, of which nothing reaches a terminal but what can be read."""

    def __init__(self, message: str, lasting: bool = False) -> None:
        super().__init__(plain_text(message, 1000))
        self.lasting = lasting  # trying again would change nothing


@dataclass(frozen=True, slots=True)
class WhipTarget:
    """Where to publish. The token is never printed."""

    url: str
    token: str | None = field(default=None, repr=False)

    @property
    def exposed(self) -> bool:
        """Whether what is sent can be read on its way."""
        parts = urlsplit(self.url)
        return parts.scheme == "http" and parts.hostname not in LOOPBACK_NAMES

    @classmethod
    def parse(cls, spec: str) -> WhipTarget:
        """`spec`: "https://host/whip/room", the token in $VISAVIS_WHIP_TOKEN or after "#token=". Raises UsageError.

        >>> WhipTarget.parse("https://host/whip#token=abc").token
        'abc'
        """
        url, fragment = urldefrag(spec)
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(
                f"--to whip:{url} is not an address. Use whip:https://HOST/PATH of your server's WHIP page."
            )
        if parts.username or parts.password:
            raise UsageError(f"Put the token into {TOKEN_VARIABLE}, not into the address.")
        token = parse_qs(fragment).get("token", [None])[0] or os.environ.get(TOKEN_VARIABLE) or None
        if token is not None and (not token.isascii() or not token.isprintable() or " " in token):
            raise UsageError("The token holds characters that no bearer token has.")
        return cls(url, token)


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


class WhipPublisher(Publisher):
    """`--to whip:URL`. Connects in `open`, and again by itself, with growing pauses, whenever the connection breaks.

    A process that publishes by it must keep its network.
    """

    def __init__(
        self,
        target: WhipTarget,
        *,
        ice: Ice | None = None,
        codec: str | None = None,
        rates: BitRates | None = None,
        say: Say = on_stderr,
    ) -> None:
        self._target, self._ice, self._codec = target, ice or Ice(), codec
        self._rates, self._say = rates or BitRates(), say
        self.sound = Sound(lambda: self._video.latency_ns if self._video else 0)  # for a microphone's samples
        self.connects = self._dropped_before = 0
        self._thread: MediaThread | None = None
        self._video: AvatarVideo | None = None
        self._keeping: asyncio.Task[None] | None = None

    @property
    def dropped(self) -> int:  # type: ignore[override]
        return self._dropped_before + (self._video.dropped if self._video else 0)

    def open(self, width: int, height: int, fps: float) -> None:
        self._thread = MediaThread("visavis-whip")
        self._video = AvatarVideo(self._thread.loop)
        set_video_rates(self._rates, fps)
        if self._target.token and self._target.exposed:
            self._say(f"The token travels unencrypted to {self._target.url}: use https outside of your own network.")
        self._thread.wait(self._start(self._video))

    def send(self, frame: Frame) -> None:
        assert self._video is not None, "open comes first"
        self._video.put(frame)

    def close(self) -> None:
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._dropped_before, self._video = self.dropped, None
        try:
            thread.wait(self._stop(), REQUEST_S * 2)
        except TimeoutError:
            self._say(f"{self._target.url} did not confirm the end of the session.")
        finally:
            thread.close()

    async def _start(self, video: AvatarVideo) -> None:
        """Returns after the first connection; raises WhipError when that fails for good or twice."""
        first = asyncio.get_running_loop().create_future()
        self._keeping = asyncio.ensure_future(self._keep(video, first))
        self._keeping.add_done_callback(lambda keeping: _ended(keeping, first))
        await first

    async def _stop(self) -> None:
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait([self._keeping])

    async def _keep(self, video: AvatarVideo, first: asyncio.Future[None]) -> None:
        """Hold one session at the server until cancelled."""
        failures, ice = 0, self._ice
        timeout = aiohttp.ClientTimeout(total=REQUEST_S)
        async with aiohttp.ClientSession(timeout=timeout, headers=CLIENT) as http:
            while True:
                session = WhipSession(self._target, Peers(ice, self._codec), http)
                try:
                    peer = await session.start(video, self.sound)
                    self.connects, failures = self.connects + 1, 0
                    if not first.done():
                        first.set_result(None)
                    assert peer.guard is not None
                    await asyncio.wait([peer.guard])
                    self._say(f"The connection to {self._target.url} broke; connecting again.")
                except Exception as error:
                    failures += 1
                    if isinstance(error, WhipError):
                        refusal = error
                    else:
                        logger.exception("publishing failed")
                        refusal = WhipError(f"Publishing to {self._target.url} failed: {error!r}.")
                    if not first.done() and (refusal.lasting or failures > 1):
                        first.set_exception(refusal)
                        return
                    self._say(f"{refusal} Trying again.")
                finally:
                    await asyncio.shield(session.end())
                ice = _joined(self._ice, session.learned)
                await asyncio.sleep(BACK_OFF_S[min(failures, len(BACK_OFF_S) - 1)])


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


def _ended(keeping: asyncio.Task[None], first: asyncio.Future[None]) -> None:
    """Nobody waits for ever, and no end is silent."""
    error = None if keeping.cancelled() else keeping.exception()
    if error is None:
        first.cancel()
    elif first.done():
        logger.error("publishing ended", exc_info=error)
    else:
        first.set_exception(error)


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
                ice = _joined(
                    ice,
                    Ice(
                        turn=(uri,),
                        username=values.get("username", "").strip('"'),
                        credential=values.get("credential", "").strip('"'),
                    ),
                )
            else:
                ice = _joined(ice, Ice(stun=(uri,)))
        except UsageError:
            continue  # a server of a kind that aiortc does not know
    return ice


def _joined(own: Ice, more: Ice) -> Ice:
    """The own servers, and the others' where there is none of a kind."""
    return replace(
        own,
        stun=own.stun or more.stun,
        turn=own.turn or more.turn,
        username=own.username or more.username,
        credential=own.credential or more.credential,
    )
