"""Publishing by WHIP (RFC 9725) to a real server over loopback: it answers with aiortc and counts what arrives."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from aiohttp import web
from aiortc.mediastreams import MediaStreamTrack
from multidict import CIMultiDict

from avatar.core.errors import UsageError
from avatar.core.frame import Frame
from avatar.webrtc import whip, whip_session, whip_target
from avatar.webrtc.ice import Ice
from avatar.webrtc.media_thread import MediaThread
from avatar.webrtc.peers import Peers
from avatar.webrtc.whip import WhipPublisher
from avatar.webrtc.whip_session import WhipError
from avatar.webrtc.whip_target import WhipTarget

pytestmark = pytest.mark.realtime

TOKEN = "let-me-in"


class WhipServer:
    """The other side of RFC 9725. `behaviour` may answer a POST in its own way."""

    def __init__(self) -> None:
        self.thread = MediaThread("whip-server")
        self.posts: list[web.Request] = []
        self.deleted: list[str] = []
        self.frames = {"video": 0, "audio": 0}
        self.sizes: set[tuple[int, int]] = set()
        self.behaviour: Callable[[web.Request], web.StreamResponse | None] = lambda request: None
        self.port = self.thread.wait(self._serve())

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/whip/ada"

    async def _serve(self) -> int:
        self.peers = Peers(Ice())
        app = web.Application()
        app.router.add_post("/whip/{room}", self._post)
        app.router.add_delete("/session/{id}", self._delete)
        self.runner = web.AppRunner(app)
        await self.runner.setup()
        site = web.TCPSite(self.runner, "127.0.0.1", 0)
        await site.start()
        return int(self.runner.addresses[0][1])

    async def _post(self, request: web.Request) -> web.StreamResponse:
        self.posts.append(request)
        if (odd := self.behaviour(request)) is not None:
            return odd
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return web.Response(status=401)
        assert request.content_type == "application/sdp"
        peer, answer = await self.peers.answer_sender(await request.text(), self._count)
        headers = {"Location": f"/session/{peer.id}", "Link": '<stun:192.0.2.7:3478>; rel="ice-server"'}
        return web.Response(status=201, text=answer, content_type="application/sdp", headers=headers)

    async def _delete(self, request: web.Request) -> web.Response:
        self.deleted.append(request.match_info["id"])
        if peer := self.peers.get(request.match_info["id"]):
            await self.peers.close(peer)
        return web.Response()

    async def _count(self, track: MediaStreamTrack) -> None:
        while True:
            frame = await track.recv()
            self.frames[track.kind] += 1
            if track.kind == "video":
                self.sizes.add((frame.width, frame.height))  # type: ignore[union-attr]

    def lose_everybody(self) -> None:
        self.thread.wait(self.peers.close_all())

    def close(self) -> None:
        self.thread.wait(self.runner.cleanup())
        self.thread.close()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[WhipServer]:
    monkeypatch.delenv(whip_target.TOKEN_VARIABLE, raising=False)
    monkeypatch.setattr(whip, "BACK_OFF_S", (0.1, 0.1))
    server = WhipServer()
    yield server
    server.close()


def publish_until(publisher: WhipPublisher, done: Callable[[], bool], timeout_s: float = 20) -> None:
    end_s, index = time.monotonic() + timeout_s, 0
    while not done():
        assert time.monotonic() < end_s, "it never came about"
        picture = np.full((96, 160, 3), 30 + index % 50, np.uint8)
        publisher.send(Frame(picture, time.monotonic_ns() - 40_000_000, index))
        index += 1
        time.sleep(1 / 30)


def test_picture_and_sound_arrive_and_the_session_is_deleted_at_the_end(server: WhipServer) -> None:
    publisher = WhipPublisher(WhipTarget(server.url, TOKEN))
    publisher.open(160, 96, 30)
    publish_until(publisher, lambda: server.frames["video"] > 20 and server.frames["audio"] > 5)
    publisher.close()
    assert server.sizes == {(160, 96)}
    assert len(server.posts) == len(server.deleted) == 1
    assert len(server.peers) == 0


def test_a_broken_connection_is_made_again(server: WhipServer) -> None:
    said: list[str] = []
    publisher = WhipPublisher(WhipTarget(server.url, TOKEN), say=said.append)
    publisher.open(160, 96, 30)
    publish_until(publisher, lambda: server.frames["video"] > 5)
    server.lose_everybody()
    publish_until(publisher, lambda: publisher.connects == 2)
    before = server.frames["video"]
    publish_until(publisher, lambda: server.frames["video"] > before + 5)
    publisher.close()
    assert any("connecting again" in line for line in said)


def test_a_redirect_is_followed_with_the_offer_and_the_token(server: WhipServer) -> None:
    def send_on(request: web.Request) -> web.Response | None:
        if request.match_info["room"] == "ada":
            return web.Response(status=307, headers={"Location": "/whip/other"})
        return None

    server.behaviour = send_on
    publisher = WhipPublisher(WhipTarget(server.url, TOKEN))
    publisher.open(160, 96, 30)
    publish_until(publisher, lambda: server.frames["video"] > 2)
    publisher.close()
    assert [post.match_info["room"] for post in server.posts] == ["ada", "other"]


@pytest.mark.parametrize(
    ("token", "response", "message"),
    [
        (None, None, "wants a token: set VISAVIS_WHIP_TOKEN"),
        ("wrong", None, "Check the token"),
        (TOKEN, web.Response, "refused with 200"),
        (TOKEN, lambda: web.Response(status=404), "no WHIP endpoint"),
        (TOKEN, lambda: web.Response(status=406, text="no H.265\nhere"), "refused with 406: no H.265 here"),
        (TOKEN, lambda: web.Response(status=307, headers={"Location": "/whip/ada"}), "in circles"),
        (TOKEN, lambda: web.Response(status=201, text="<html>"), "not with a usable description"),
        (TOKEN, lambda: web.Response(status=201, body=b"v=0" * 10**6), "answers with more than"),
    ],
)
def test_a_server_that_refuses_or_misbehaves_ends_in_one_clear_error(
    server: WhipServer, token: str | None, response: Callable[[], web.Response] | None, message: str
) -> None:
    if response is not None:
        server.behaviour = lambda request: response()
    publisher = WhipPublisher(WhipTarget(server.url, token), say=lambda line: None)
    with pytest.raises(WhipError, match=message):
        publisher.open(160, 96, 30)
    publisher.close()


def test_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whip, "BACK_OFF_S", (0.1, 0.1))
    publisher = WhipPublisher(WhipTarget("http://127.0.0.1:9/whip"), say=lambda line: None)
    with pytest.raises(WhipError, match="cannot be reached"):
        publisher.open(160, 96, 30)
    publisher.close()


def test_whatever_goes_wrong_opening_ends(server: WhipServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whip, "BACK_OFF_S", (0.1, 0.1))

    async def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no sockets left")

    monkeypatch.setattr(Peers, "offer_viewer", fail)
    publisher = WhipPublisher(WhipTarget(server.url, TOKEN), say=lambda line: None)
    with pytest.raises(WhipError, match="no sockets left"):
        publisher.open(160, 96, 30)
    publisher.close()


def test_the_token_is_not_sent_on_without_encryption() -> None:
    session = whip_session.WhipSession(WhipTarget("https://127.0.0.1/whip", TOKEN), None, None)  # type: ignore[arg-type]

    async def redirect(*_: object) -> tuple[int, dict[str, str], str]:
        return 307, {"Location": "http://127.0.0.1/whip"}, ""

    session._request = redirect  # type: ignore[method-assign,assignment]
    with pytest.raises(WhipError, match="not encrypted"):
        asyncio.run(session._post("v=0"))


@pytest.mark.parametrize(
    ("start", "location", "sees"),
    [
        ("https://one/whip", "https://two/whip", True),
        ("http://one/whip", "https://one/whip", True),
        ("http://one/whip", "http://one/other", True),
        ("http://one/whip", "http://two/whip", False),
        ("http://one/whip", "https://two/whip", False),
    ],
)
def test_a_redirect_does_not_show_the_token_to_others(start: str, location: str, sees: bool) -> None:
    session = whip_session.WhipSession(WhipTarget(start, TOKEN), None, None)  # type: ignore[arg-type]
    asked: list[str] = []

    async def redirect(_method: str, url: str, *_: object) -> tuple[int, CIMultiDict[str], str]:
        asked.append(url)
        headers = {"Location": location} if len(asked) == 1 else {"Location": "http://elsewhere/session"}
        return (307 if len(asked) == 1 else 201), CIMultiDict(headers), "v=0"

    session._request = redirect  # type: ignore[method-assign,assignment]
    if sees:
        asyncio.run(session._post("v=0"))
        assert whip_session._scheme_and_host(location) in session._trusted
        assert whip_session._scheme_and_host("http://elsewhere/") not in session._trusted
    else:
        with pytest.raises(WhipError, match="must not see the token"):
            asyncio.run(session._post("v=0"))


def test_targets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(whip_target.TOKEN_VARIABLE, "from-environment")
    assert WhipTarget.parse("https://h/w").token == "from-environment"
    assert WhipTarget.parse("https://h/w#token=abc") == WhipTarget("https://h/w", "abc")
    assert "abc" not in repr(WhipTarget.parse("https://h/w#token=abc"))
    for wrong in ("h/w", "ftp://h/w", "https://", "https://u:p@h/w", "https://h/w#token=a b"):
        with pytest.raises(UsageError):
            WhipTarget.parse(wrong)


def test_ice_servers_are_taken_from_link_headers() -> None:
    turn = '<turn:turn.example.net?transport=udp>; rel="ice-server"; username="user"; credential="my,pass"'
    links = [
        f'<stun:stun.example.net>; rel="ice-server", {turn}; credential-type="password"',
        '<https://example.net/other>; rel="next"',
    ]
    ice = whip_session._ice_of(links)
    assert ice.stun == ("stun:stun.example.net",)
    assert ice.turn == ("turn:turn.example.net?transport=udp",)
    assert (ice.username, ice.credential) == ("user", "my,pass")
