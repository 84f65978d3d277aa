"""Whatever strangers send, in every kind of message that is taken: an answer, and nothing that breaks or is logged."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import Coroutine, Iterator
from contextlib import suppress
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatar.call import room
from avatar.call.call import Call
from avatar.call.hosted_call import HostedCall
from avatar.call.hosting import CallOptions, host_call
from avatar.core.plain_text import plain_text
from avatar.dashboard.dashboard import Dashboard
from avatar.dashboard.live_choices import Given
from avatar.http import peer_text
from avatar.http import safety as server_safety
from avatar.tracking.model_asset import tracker_model
from avatar.webrtc import http_sessions, whip_session
from avatar.webrtc.avatar_track import AvatarVideo
from avatar.webrtc.descriptions import DescriptionError
from avatar.webrtc.ice import Ice
from avatar.webrtc.peers import Peers
from avatar.webrtc.remote_camera import RemoteCamera
from avatar.webrtc.sound import Sound
from benchmarks.hostile import good_offer

pytestmark = pytest.mark.realtime

ANSWERED = range(200, 500)  # and 503: full
MANY = 1e9

numbers = st.one_of(
    st.integers(),
    st.sampled_from([0, -1, 127, 128, 65535, 65536, 99999, 2**31, 2**32, 2**53 + 1, 2**64, 10**40]),
    st.floats(),
)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, st.text(max_size=50)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=8,
)
WORDS = (
    "type", "to", "from", "link", "sdp", "candidate", "reason", "muted", "camera_on", "name", "kind", "you", "members",
    "member", "id", "avatar", "camera", "engine", "size", "background", "mirror", "recording", "virtual_camera",
    "paused", "frozen", "gains", "mouth", "calibrate", "consent", "same_person", "by_hand",
)  # fmt: skip
KINDS = ("hello", "welcome", "joined", "left", "state", "error", "offer", "answer", "candidate", "bye", "refuse")
parts = st.dictionaries(st.sampled_from(WORDS), values | st.dictionaries(st.sampled_from(WORDS), values), max_size=8)
messages = parts | st.builds(lambda kind, message: {**message, "type": kind}, st.sampled_from(KINDS), parts)


class Records(logging.Handler):
    """What any library logs: a traceback there is an exception that nobody expected."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))

    def check(self, allowed: str = "") -> None:
        """Nothing but lines that begin so was logged since the last check."""
        lines, self.lines = self.lines, []
        for line in lines:
            assert allowed and line.startswith(allowed) and "\n" not in line, line


@pytest.fixture
def logged() -> Iterator[Records]:
    records = Records()
    logging.getLogger().addHandler(records)
    yield records
    logging.getLogger().removeHandler(records)


@pytest.fixture(scope="module")
def hosted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostedCall]:
    """A call with all that its page has, and without limits of rate."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VISAVIS_HOME", str(tmp_path_factory.mktemp("home")))
        for limits, names in (
            (server_safety, ("BURST", "WRONG_BURST", "TOLD_BURST")),
            (room, ("BURST", "OFFERS_BURST")),
            (http_sessions, ("OFFERS_BURST",)),
        ):
            for name in names:
                patch.setattr(limits, name, MANY)
        patch.setattr(server_safety, "REQUEST_S", 0.3)
        dashboard = Dashboard(tracker_model, Given())
        with host_call(CallOptions("Ada"), RemoteCamera("a browser's camera", print), dashboard) as call:
            yield call


def port_of(hosted: HostedCall) -> int:
    return int(hosted.addresses[0].rstrip("/").rpartition(":")[2])


def ask(hosted: HostedCall, request: bytes) -> tuple[int, dict[str, str]]:
    """One request of raw bytes; the answer's status and headers."""
    with socket.create_connection(("127.0.0.1", port_of(hosted)), timeout=20) as connection:
        connection.sendall(request)
        answer = b""
        while b"\r\n\r\n" not in (answer := answer.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")):
            part = connection.recv(65536)
            assert part, f"closed after {answer!r}"
            answer += part
    first, *lines = answer.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    return int(first.split()[1]), {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}


def check_answer(status: int, headers: dict[str, str]) -> None:
    assert status in ANSWERED or status == 503, status
    for name, value in server_safety.HEADERS.items():
        assert headers.get(name.lower()) == value, f"{status} without {name}"


header_bytes = st.binary(max_size=60).map(lambda data: data.replace(b"\r", b"").replace(b"\n", b"").replace(b"\0", b""))
HEADERS = (
    "Authorization", "Content-Type", "Origin", "Cookie", "If-Match", "Content-Encoding", "Sec-WebSocket-Protocol",
    "Sec-WebSocket-Key", "Sec-WebSocket-Version", "Sec-WebSocket-Extensions", "Upgrade", "Connection", "Expect",
    "Accept", "Range", "Transfer-Encoding",
)  # fmt: skip
header_values = header_bytes | st.sampled_from(
    [b"Bearer \xff", b"\xff\xff", b"application/sdp; charset=idna", b"text/plain; charset=punycode", b"gzip",
     b"chunked", b"websocket", b"Upgrade", b"permessage-deflate; client_max_window_bits=99", b"token.\xff",
     b"100-continue", b"13"]
)  # fmt: skip
PATHS = (
    "/", "/room", "/api/state", "/api/view", "/api/view/x", "/api/drive", "/api/peers/x", "/whep", "/whep/x", "/whip",
    "/api/dashboard", "/api/dashboard/events", "/api/dashboard/avatars/%00/thumbnail", "/nothing", "//", "*", "/%ff",
    "/api/dashboard/check?pose=%ff",
)  # fmt: skip


@given(
    method=st.sampled_from(["GET", "POST", "PATCH", "DELETE", "OPTIONS", "HEAD", "TRACE"]),
    path=st.sampled_from(PATHS),
    headers=st.dictionaries(st.sampled_from(HEADERS), header_values, max_size=5),
    body=st.binary(max_size=100),
)
def test_requests(
    hosted: HostedCall, logged: Records, method: str, path: str, headers: dict[str, bytes], body: bytes
) -> None:
    lines = [f"{method} {path} HTTP/1.1".encode(), f"Host: 127.0.0.1:{port_of(hosted)}".encode()]
    lines += [name.encode() + b": " + value for name, value in headers.items()]
    if "Transfer-Encoding" not in headers:
        lines.append(f"Content-Length: {len(body)}".encode())
    status, answered = ask(hosted, b"\r\n".join(lines) + b"\r\n\r\n" + body)
    if status != 101:
        check_answer(status, answered)
    logged.check("a request of ")


@given(data=st.binary(min_size=1, max_size=200))
def test_what_is_no_http_is_answered_with_the_same_headers(hosted: HostedCall, logged: Records, data: bytes) -> None:
    check_answer(*ask(hosted, data.replace(b"\r\n\r\n", b"") + b"\x01 \r\n\r\n"))
    logged.check("a request of ")


@given(
    endpoint=st.sampled_from(
        [("POST", "/api/state"), ("POST", "/api/view"), ("POST", "/api/view/x"), ("POST", "/api/drive"),
         ("POST", "/api/dashboard/live"), ("PATCH", "/api/dashboard/live"), ("POST", "/api/dashboard/enrolment"),
         ("PATCH", "/api/dashboard/avatars/nobody"), ("POST", "/api/dashboard/check"),
         ("POST", "/api/dashboard/photos"),
         ("POST", "/api/dashboard/background"), ("DELETE", "/api/dashboard/photos/999999")]
    ),
    body=messages.map(json.dumps) | values.map(json.dumps) | st.text(max_size=50),
)  # fmt: skip
def test_an_owners_requests(hosted: HostedCall, logged: Records, endpoint: tuple[str, str], body: str) -> None:
    method, path = endpoint
    data = body.encode("utf-8", "surrogatepass")
    if path == "/api/view" and "sdp" not in body:
        path = "/api/view/x"  # would make an offer
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port_of(hosted)}\r\nAuthorization: Bearer {hosted.tokens.owner}"
        f"\r\nContent-Length: {len(data)}\r\nConnection: close\r\n\r\n"
    )
    check_answer(*ask(hosted, head.encode() + data))
    logged.check()


def run(work: Coroutine[Any, Any, None]) -> None:
    """On a loop whose unhandled errors fail the test."""

    async def watched() -> None:
        unhandled: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(context))
        await work
        assert unhandled == []

    asyncio.run(watched())


async def _join(session: aiohttp.ClientSession, hosted: HostedCall) -> tuple[aiohttp.ClientWebSocketResponse, Any]:
    protocols = ("visavis", f"token.{hosted.tokens.guest}")
    socket = await session.ws_connect(f"{hosted.addresses[0]}room", protocols=protocols)
    await socket.send_json({"type": "hello", "name": "Bob", "kind": "browser"})
    return socket, await socket.receive_json(timeout=10)


@given(sent=st.lists(messages | values | st.binary(max_size=20), max_size=4))
def test_messages_of_a_guest(hosted: HostedCall, logged: Records, sent: list[Any]) -> None:
    """To the room, and so to the avatar, whose id they use."""

    async def guest() -> None:
        async with aiohttp.ClientSession() as session:
            bad, welcome = await _join(session, hosted)
            with suppress(ConnectionError):
                for message in sent:
                    if isinstance(message, bytes):
                        await bad.send_bytes(message)
                        continue
                    if isinstance(message, dict):
                        message = {"to": welcome["members"][0]["id"], "link": "1", **message}
                    await bad.send_str(json.dumps(message))
            await bad.close()
            good, _ = await _join(session, hosted)
            await good.send_json({"type": "offer", "to": welcome["members"][0]["id"], "link": "2", "sdp": "v=1"})
            while (answer := await good.receive_json(timeout=10))["type"] != "refuse":
                pass
            assert answer["link"] == "2"
            await good.close()

    run(guest())
    logged.check()


@given(sent=st.lists(messages, max_size=6))
def test_messages_of_a_host(logged: Records, sent: list[Any]) -> None:
    """Of a room that somebody else keeps, after a welcome that is right."""
    told: list[dict[str, Any]] = []

    async def listen() -> None:
        video = AvatarVideo(asyncio.get_running_loop())
        call = Call(video, Sound(lambda: 0), Peers(Ice()))
        call.add_page(told.append)
        card = {"id": "1", "name": "\x1b[2J", "kind": "browser", "muted": False, "camera_on": True}
        welcome = {"type": "welcome", "you": "0", "members": [card]}
        for message in [welcome, *({"from": "1", "link": "1", **message} for message in sent)]:
            with suppress(room.RoomError, peer_text.PeerTextError, ValueError):
                if (heard := room.checked(peer_text.json_object(json.dumps(message)))) is not None:
                    call.from_room(heard)
        await asyncio.sleep(0)
        await call.close()

    run(listen())
    logged.check()
    for message in told:
        for member in message.get("members", []):
            assert member["name"].isprintable()


@pytest.fixture(scope="module")
def offered() -> list[str]:
    return asyncio.run(good_offer()).splitlines()


@given(data=st.data())
def test_descriptions(offered: list[str], logged: Records, data: st.DataObject) -> None:
    """A good one of which a few numbers and words were exchanged: refused, or answered and then forgotten."""
    lines = list(offered)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(1, len(lines) - 1))
        words = lines[place].replace(":", " : ").replace("=", " = ").split(" ")
        word = data.draw(st.integers(2, max(2, len(words) - 1)))
        words[min(word, len(words) - 1)] = str(data.draw(numbers | st.text(max_size=40)))
        lines[place] = " ".join(words).replace(" : ", ":").replace(" = ", "=")
        if data.draw(st.integers(0, 5)) == 0:
            lines.insert(place, data.draw(st.sampled_from(lines)))

    async def answer() -> None:
        peers, video = Peers(Ice()), AvatarVideo(asyncio.get_running_loop())
        with suppress(DescriptionError):
            peer, _ = await peers.answer_viewer("\r\n".join(lines) + "\r\n", video, Sound(lambda: 0))
            await asyncio.sleep(0.02)  # its first checks
            assert peers.get(peer.id) is peer
        await peers.close_all()
        assert len(peers) == 0

    run(answer())
    logged.check()


candidates = st.builds(
    lambda foundation, component, protocol, priority, address, port, kind, more: (
        f"candidate:{foundation} {component} {protocol} {priority} {address} {port} typ {kind} {more}"
    ),
    st.sampled_from(["1", "x" * 80]) | st.text(max_size=5),
    st.sampled_from([1, 2, 0, 999]) | numbers,
    st.sampled_from(["udp", "tcp", "sctp"]),
    numbers,
    st.sampled_from(["127.0.0.1", "::1", "0.0.0.0", "255.255.255.255", "a.example", "::ffff:1.2.3.4"]),
    numbers,
    st.sampled_from(["host", "srflx", "prflx", "relay", "x"]),
    st.sampled_from(["", "raddr 0.0.0.0 rport 99999", "tcptype active", "rport x"]),
)


@given(texts=st.lists(candidates | st.text(max_size=100), max_size=5))
def test_candidates(offered: list[str], logged: Records, texts: list[str]) -> None:
    async def add() -> None:
        peers, video = Peers(Ice()), AvatarVideo(asyncio.get_running_loop())
        peer, _ = await peers.answer_viewer("\r\n".join(offered) + "\r\n", video, None)
        for text in texts:
            with suppress(DescriptionError):
                await peers.add_candidate(peer, text)
        await asyncio.sleep(0.02)
        await peers.close_all()

    run(add())
    logged.check()


servers = st.builds(
    lambda scheme, host, port, more: f'<{scheme}:{host}:{port}>; rel="ice-server"; username="u"; credential="c"{more}',
    st.sampled_from(["turn", "turns", "stun", "http"]),
    st.sampled_from(["a", "", "[::1]"]),
    numbers,
    st.text(max_size=20),
)


@given(links=st.lists(servers | st.text(max_size=80), max_size=4))
def test_servers_that_a_whip_server_names(links: list[str]) -> None:
    whip_session._ice_of(links).configuration()


@given(location=st.text(max_size=60) | st.sampled_from(["https://[", "https://a:99999/", "//\x1b[2J"]))
def test_places_that_a_whip_server_names(location: str) -> None:
    try:
        whip_session._joined_url("https://a.example/whip", location)
    except whip_session.WhipError as error:
        assert str(error).isprintable()


@given(text=st.text(max_size=900), longest=st.integers(1, 300))
def test_plain_text_is_one_line_that_moves_no_cursor(text: str, longest: int) -> None:
    plain = plain_text(text, longest)
    assert plain.isprintable() and len(plain) <= longest
    assert plain_text(plain, longest) == plain


@given(value=values)
def test_json_is_read_as_it_is_or_refused(value: Any) -> None:
    text = json.dumps({"value": value})
    try:
        read = peer_text.json_object(text)
    except peer_text.PeerTextError:
        return
    assert json.dumps(read, allow_nan=False) == text


MEANINGLESS = (
    '{"a": 1e999}', '{"a": NaN}', '{"a": -Infinity}', '{"a": ' + "9" * 400 + "}", '{"a": "\\ud800"}', "[" * 99999,
    '{"a": ' + "[" * 30 + "]" * 30 + "}", "[]", "7", "",
    '{"a": [' + "1," * 120_000 + "1]}", '{"a": "' + "," * 9000 + '"}', b'{"a": "\xff"}',
)  # fmt: skip


@pytest.mark.parametrize("text", MEANINGLESS)
def test_json_that_means_nothing_is_refused(text: str | bytes) -> None:
    with pytest.raises(peer_text.PeerTextError):
        peer_text.json_object(text)
