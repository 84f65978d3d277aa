"""The server of a call: what it lets in, what it refuses, and that nothing stays behind."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, cast

import aiohttp
import numpy as np
import pytest
from aiohttp import web
from aiortc import RTCPeerConnection, RTCSessionDescription

from avatar.call import room as room_module
from avatar.call import room_sockets
from avatar.call.hosted_call import HostedCall
from avatar.call.hosting import CallOptions, host_call
from avatar.call.room_client import RoomClient, RoomLink
from avatar.core.errors import DeviceError, UsageError
from avatar.core.frame import Frame
from avatar.http import listener as listener_module
from avatar.http import safety as server_safety
from avatar.webrtc.descriptions import MOST_CANDIDATES
from avatar.webrtc.ice import Ice
from avatar.webrtc.remote_camera import RemoteCamera

pytestmark = pytest.mark.realtime

Reply = tuple[int, dict[str, str], bytes]


@pytest.fixture
def hosted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HostedCall]:
    monkeypatch.setenv("VISAVIS_HOME", str(tmp_path))
    with host_call(CallOptions("Ada"), RemoteCamera("a browser's camera", print)) as call:
        yield call


def port_of(hosted: HostedCall) -> int:
    return link_port(hosted.page_link)


def link_port(link: str) -> int:
    return int(link.split("#")[0].rsplit(":", 1)[1].strip("/"))


def ask(
    hosted: HostedCall,
    method: str,
    path: str,
    body: bytes | str | None = None,
    token: str | None = None,
    **headers: str,
) -> Reply:
    connection = http.client.HTTPConnection("127.0.0.1", port_of(hosted), timeout=20)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if token is not None:
        sent["Authorization"] = f"Bearer {token}"
    connection.request(method, path, body, sent)
    response = connection.getresponse()
    reply = response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
    connection.close()
    return reply


async def offer(kinds: tuple[str, ...] = ("video",)) -> tuple[RTCPeerConnection, str]:
    connection = RTCPeerConnection(Ice().configuration())
    for kind in kinds:
        connection.addTransceiver(kind, "recvonly")
    await connection.setLocalDescription(await connection.createOffer())
    return connection, connection.localDescription.sdp


def an_offer() -> str:
    async def make() -> str:
        connection, sdp = await offer()
        await connection.close()
        return sdp

    return asyncio.run(make())


def test_the_page_is_served_with_a_strict_policy_and_without_a_token(hosted: HostedCall) -> None:
    status, headers, body = ask(hosted, "GET", "/")
    assert status == 200 and b"<html" in body
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["cache-control"] == "no-store" and headers["referrer-policy"] == "no-referrer"
    assert hosted.tokens.owner.encode() not in body


def test_it_listens_on_loopback_only(hosted: HostedCall) -> None:
    outside = [address for address in own_addresses() if not address.startswith("127.")]
    for address in outside:
        with pytest.raises(OSError):
            socket.create_connection((address, port_of(hosted)), timeout=2).close()


def own_addresses() -> list[str]:
    from aioice.ice import get_host_addresses

    return get_host_addresses(use_ipv4=True, use_ipv6=False)


def room_url(hosted: HostedCall) -> str:
    return f"http://127.0.0.1:{port_of(hosted)}/room"


@pytest.fixture
def five_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """And hardly any more: of an address in a role."""
    monkeypatch.setattr(server_safety, "BURST", 5.0)
    monkeypatch.setattr(server_safety, "PER_SECOND", 0.01)


def test_strangers_do_not_use_up_what_the_owner_may(five_requests: None, hosted: HostedCall) -> None:
    assert [ask(hosted, "GET", "/")[0] for _ in range(6)] == [200] * 5 + [429]
    assert ask(hosted, "POST", "/api/state", "{}", token=hosted.tokens.guest)[0] == 403
    assert ask(hosted, "GET", "/api/state", token=hosted.tokens.owner)[0] == 200


def test_guests_leave_sockets_for_the_owner(hosted: HostedCall, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room_sockets, "MOST_GUESTS", 1)

    async def call() -> None:
        async with aiohttp.ClientSession() as http_session:
            room, _ = await join(http_session, hosted, "guest")
            with pytest.raises(aiohttp.WSServerHandshakeError, match="503"):
                await join(http_session, hosted, "another")
            page, _ = await join(http_session, hosted, "", owner=True)
            await page.close()
            await room.close()

    asyncio.run(call())


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"sdp": 7}', b'{"sdp": "v=0"}', b"[" * 100_000, b'{"sdp": null}']
)
def test_a_bad_body_gets_a_reason_and_leaves_no_connection(hosted: HostedCall, body: bytes) -> None:
    for path in ("/api/drive", "/api/view"):
        if path == "/api/view" and body == b'{"sdp": null}':
            continue  # asks for an offer
        status, _, reply = ask(hosted, "POST", path, body, token=hosted.tokens.owner)
        assert status == 400 and json.loads(reply)["error"]
    assert len(hosted.call.peers) == len(hosted.call.page_peers) == 0


def test_the_owners_own_camera_needs_no_relay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISAVIS_HOME", str(tmp_path))
    relay = Ice(turn=("turn:192.0.2.9:3478",), username="ada", credential="secret", relay_only=True)
    with host_call(CallOptions("Ada", ice=relay), RemoteCamera("a browser's camera", print)) as hosted:
        body = json.dumps({"sdp": an_offer().replace("recvonly", "sendonly")})
        status, _, reply = ask(hosted, "POST", "/api/drive", body, token=hosted.tokens.owner)
        assert status == 200 and "typ host" in json.loads(reply)["sdp"]
        path = f"/api/peers/{json.loads(reply)['id']}"
        assert ask(hosted, "DELETE", path, token=hosted.tokens.owner)[0] == 200
        assert len(hosted.call.page_peers) == 0


@pytest.mark.parametrize("more", ["", "Connection: upgrade\r\nUpgrade: x\r\n"])
def test_a_body_that_never_comes_is_given_up(hosted: HostedCall, monkeypatch: pytest.MonkeyPatch, more: str) -> None:
    monkeypatch.setattr(server_safety, "REQUEST_S", 0.3)
    with socket.create_connection(("127.0.0.1", port_of(hosted)), timeout=20) as connection:
        connection.sendall(
            f"POST /api/view HTTP/1.1\r\nHost: 127.0.0.1:{port_of(hosted)}\r\nContent-Length: 100\r\n{more}"
            f"Authorization: Bearer {hosted.tokens.owner}\r\n\r\n{{".encode()
        )
        assert connection.recv(4096).split(b" ")[1] == b"408"


def test_mute_and_camera_off_are_set_and_told(hosted: HostedCall) -> None:
    status, _, body = ask(hosted, "POST", "/api/state", '{"muted": true}', token=hosted.tokens.owner)
    state = json.loads(body)
    assert status == 200 and state["muted"] is True and state["camera_on"] is True
    call = hosted.call
    assert (call.video.camera_on, call.sound.muted) == (True, True)
    ask(hosted, "POST", "/api/state", '{"camera_on": false, "muted": false}', token=hosted.tokens.owner)
    assert (call.video.camera_on, call.sound.muted) == (False, False)
    assert ask(hosted, "POST", "/api/state", '{"muted": "yes"}', token=hosted.tokens.owner)[0] == 400


def test_whep_gives_a_player_the_avatar_and_forgets_it(hosted: HostedCall) -> None:
    token = hosted.tokens.player
    wrong_type = ask(hosted, "POST", "/whep", "v=0", token=token, Content_Type="text/plain")
    assert wrong_type[0] == 415
    assert ask(hosted, "POST", "/whep", "v=0", token=token, Content_Type="application/sdp")[0] == 400
    status, headers, answer = ask(hosted, "POST", "/whep", an_offer(), token=token, Content_Type="application/sdp")
    assert status == 201 and answer.startswith(b"v=0") and headers["content-type"] == "application/sdp"
    session = headers["location"]
    assert ask(hosted, "PATCH", f"/whip/{session.rpartition('/')[2]}", "", token=hosted.tokens.source)[0] == 404
    fragment = "a=candidate:1 1 udp 2130706431 127.0.0.1 50000 typ host\r\n"
    kind = "application/trickle-ice-sdpfrag"
    assert ask(hosted, "PATCH", session, fragment, token=token, Content_Type=kind)[0] == 204
    assert ask(hosted, "PATCH", session, "a=candidate:nonsense", token=token, Content_Type=kind)[0] == 400
    for expected in (204, 400):  # more than there may be, if not at once
        many = fragment * (MOST_CANDIDATES - 2)
        assert ask(hosted, "PATCH", session, many, token=token, Content_Type=kind)[0] == expected
    assert ask(hosted, "DELETE", session)[0] == 401
    assert ask(hosted, "DELETE", session, token=token)[0] == 200
    assert ask(hosted, "DELETE", session, token=token)[0] == 404
    assert len(hosted.call.peers) == 0


def run(call: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        await call()

    asyncio.run(whole())


async def join(http_session: aiohttp.ClientSession, hosted: HostedCall, name: str, owner: bool = False) -> Any:
    token = hosted.tokens.owner if owner else hosted.tokens.guest
    room = await http_session.ws_connect(room_url(hosted), protocols=("visavis", f"token.{token}"))
    await room.send_json({"type": "hello", "name": name, "kind": "browser"})
    return room, await room.receive_json(timeout=10)


def test_a_guest_sees_the_avatar_by_the_room(hosted: HostedCall) -> None:
    async def call() -> None:
        async with aiohttp.ClientSession() as http_session:
            room, welcome = await join(http_session, hosted, "Bob")
            (ada,) = welcome["members"]
            assert (ada["name"], ada["kind"], welcome["owner"]) == ("Ada", "avatar", False)
            connection, sdp = await offer()
            frames: list[object] = []

            async def count(track: Any) -> None:
                while True:
                    frames.append(await track.recv())

            connection.on("track", lambda track: asyncio.ensure_future(count(track)))
            await room.send_json({"type": "offer", "to": ada["id"], "link": "1", "sdp": sdp})
            answer = await room.receive_json(timeout=10)
            assert (answer["type"], answer["from"], answer["link"]) == ("answer", ada["id"], "1")
            await connection.setRemoteDescription(RTCSessionDescription(answer["sdp"], "answer"))
            end_s = time.monotonic() + 20
            while len(frames) < 3:
                assert time.monotonic() < end_s
                hosted.call.video.put(Frame(np.zeros((64, 64, 3), np.uint8), time.monotonic_ns()))
                await asyncio.sleep(0.03)
            await room.close()  # the guest leaves: the link ends from this side
            while len(hosted.call.peers):
                assert time.monotonic() < end_s
                await asyncio.sleep(0.02)
            await connection.close()

    run(call)


def test_a_bad_offer_is_refused_by_a_message(hosted: HostedCall) -> None:
    async def call() -> None:
        async with aiohttp.ClientSession() as http_session:
            room, welcome = await join(http_session, hosted, "Bob")
            for index in range(12):
                link = str(index)
                await room.send_json({"type": "offer", "to": welcome["members"][0]["id"], "link": link, "sdp": "v=1"})
                refusal = await room.receive_json(timeout=10)
                assert (refusal["type"], refusal["link"]) == ("refuse", link)
            assert "Too many" in refusal["reason"]
            await room.close()

    run(call)


def test_the_owners_page_speaks_for_the_avatar(hosted: HostedCall) -> None:
    async def call() -> None:
        async with aiohttp.ClientSession() as http_session:
            page, welcome = await join(http_session, hosted, "ignored", owner=True)
            assert welcome["owner"] is True and welcome["members"] == []
            guest, guest_welcome = await join(http_session, hosted, "Bob\n<b>")
            joined = await page.receive_json(timeout=10)
            assert joined["member"]["name"] == "Bob <b>"
            await page.send_json({"type": "state", "muted": True, "camera_on": True})
            told = await guest.receive_json(timeout=10)
            assert (told["type"], told["from"], told["muted"]) == ("state", welcome["you"], True)
            await page.receive_json(timeout=10)  # its own state, for other pages of the owner
            await page.send_json({"type": "offer", "to": guest_welcome["you"], "link": "x", "sdp": "v=0"})
            wanted = await guest.receive_json(timeout=10)
            assert (wanted["type"], wanted["from"], wanted["sdp"]) == ("offer", welcome["you"], "v=0")
            await guest.close()
            assert (await page.receive_json(timeout=10))["type"] == "left"
            await page.close()

    run(call)


def test_the_others_are_told_what_is_shown_and_who_it_is(hosted: HostedCall) -> None:
    async def call() -> None:
        async with aiohttp.ClientSession() as http_session:
            room, welcome = await join(http_session, hosted, "Bob")
            (ada,) = welcome["members"]
            assert (ada["name"], ada["showing"]) == ("Ada", "nothing")  # no avatar yet
            loop, video = hosted.call.video._loop, hosted.call.video
            steps: list[tuple[Callable[[], object], dict[str, object]]] = [
                (lambda: video.put(Frame(np.zeros((64, 64, 3), np.uint8), 1)), {"showing": "moving"}),
                (lambda: loop.call_soon_threadsafe(hosted.call.set_idle, True), {"showing": "idle"}),
                (lambda: video.put_card(64, 64), {"showing": "nothing"}),
                (lambda: loop.call_soon_threadsafe(hosted.call.set_state, None, None, "Anna"), {"name": "Anna"}),
            ]
            for act, expected in steps:
                act()
                told = await room.receive_json(timeout=10)
                assert (told["type"], told["from"]) == ("state", ada["id"])
                assert expected.items() <= told.items()
            await room.send_json({"type": "state", "muted": False, "camera_on": True, "showing": "dancing"})
            assert "showing is one of" in (await room.receive_json(timeout=10))["reason"]
            await room.close()

    run(call)


def test_who_is_invited_learns_by_whom_and_nobody_else_does(hosted: HostedCall) -> None:
    assert ask(hosted, "GET", "/api/invitation")[0] == 401
    name = json.dumps({"name": "Anna\n Smith"})
    assert ask(hosted, "POST", "/api/state", name, token=hosted.tokens.owner)[0] == 200
    assert ask(hosted, "POST", "/api/state", '{"name": " "}', token=hosted.tokens.owner)[0] == 400
    _, _, body = ask(hosted, "GET", "/api/invitation", token=hosted.tokens.guest)
    assert json.loads(body) == {"name": "Anna Smith", "people": 1, "most": 4}


def test_no_hello_no_room(hosted: HostedCall, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room_sockets, "HELLO_S", 0.2)

    async def call() -> None:
        async with aiohttp.ClientSession() as http_session:
            room = await http_session.ws_connect(
                room_url(hosted), protocols=("visavis", f"token.{hosted.tokens.guest}")
            )
            assert (await room.receive_json(timeout=10))["type"] == "error"
            await room.close()

    run(call)


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """With members who say much, and offer much."""
    monkeypatch.setattr(room_module, "BURST", 10_000)
    monkeypatch.setattr(room_module, "OFFERS_BURST", 10_000)


def test_a_reader_that_does_not_read_is_cut_off(
    patience: None, hosted: HostedCall, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room_sockets, "MOST_WAITING", 8)

    async def call() -> None:
        async with aiohttp.ClientSession() as http_session:
            slow, slow_welcome = await join(http_session, hosted, "slow")
            slow._reader._protocol.pause_reading()
            fast, _ = await join(http_session, hosted, "fast")
            text = "v=0" + "x" * 60_000
            end_s = time.monotonic() + 30
            while True:
                assert time.monotonic() < end_s, "the slow one is still there"
                await fast.send_json({"type": "offer", "to": slow_welcome["you"], "link": "1", "sdp": text})
                try:
                    reply = await fast.receive_json(timeout=0.001)
                except TimeoutError:
                    continue
                if reply["type"] == "left" and reply["id"] == slow_welcome["you"]:
                    break
            await fast.close()
            slow._response.connection.transport.abort()

    run(call)


def test_fifty_guests_come_and_go_and_nothing_stays(hosted: HostedCall) -> None:
    async def call() -> None:
        async with aiohttp.ClientSession() as http_session:
            for index in range(50):
                room, welcome = await join(http_session, hosted, f"guest {index}")
                assert len(welcome["members"]) == 1
                await room.close()
                if index % 5 == 0:
                    (room, _) = await join(http_session, hosted, "vanishing")
                    room._response.connection.transport.abort()
                    await asyncio.sleep(0.05)

    run(call)
    time.sleep(0.2)
    assert len(hosted.call._members) == 0 and len(hosted.call.peers) == 0


def test_others_reach_it_by_tls_and_two_rooms_of_visavis_meet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISAVIS_HOME", str(tmp_path))
    with host_call(CallOptions("Ada", listen=("127.0.0.1", 0)), None) as ada:
        link = RoomLink.parse(ada.invitation)
        assert link.page.startswith("https://127.0.0.1:") and link.fingerprint is not None
        assert (tmp_path / "call.pem").stat().st_mode & 0o077 == 0
        plain = ssl.create_default_context()
        with (
            pytest.raises(ssl.SSLCertVerificationError),
            socket.create_connection(("127.0.0.1", link_port(ada.invitation)), timeout=10) as raw,
        ):
            plain.wrap_socket(raw, server_hostname="127.0.0.1")
        with host_call(CallOptions("Bob", join=link), None) as bob:
            end_s = time.monotonic() + 10
            while not ada.call._members:
                assert time.monotonic() < end_s
                time.sleep(0.02)
            assert [member["name"] for member in ada.call._members.values()] == ["Bob"]
            assert [member["name"] for member in bob.call._members.values()] == ["Ada"]
        end_s = time.monotonic() + 10
        while ada.call._members:
            assert time.monotonic() < end_s
            time.sleep(0.02)
        wrong = RoomLink(link.page, "wrong", link.fingerprint)
        with (
            pytest.raises(DeviceError, match="does not know this link's token"),
            host_call(CallOptions("Eve", join=wrong), None),
        ):
            pass
        other = RoomLink(link.page, link.token, bytes(32))
        with pytest.raises(DeviceError, match="another certificate"), host_call(CallOptions("Eve", join=other), None):
            pass


@pytest.mark.skipif(not own_addresses(), reason="this computer is in no network")
def test_the_owners_page_lets_the_network_in(hosted: HostedCall) -> None:
    owner, guest = hosted.tokens.owner, hosted.tokens.guest
    before = json.loads(ask(hosted, "GET", "/api/state", token=owner)[2])
    assert (before["reach"], before["fingerprint"], before["may_listen"]) == ("this computer", "", True)
    assert before["invitation"].startswith("http://127.0.0.1:")
    assert ask(hosted, "POST", "/api/listen", "{}", token=guest)[0] == 403
    status, _, body = ask(hosted, "POST", "/api/listen", "{}", token=owner)
    now = json.loads(body)
    assert (status, now["reach"], now["may_listen"]) == (200, "network", False)
    link = RoomLink.parse(now["invitation"])
    assert link.page.startswith("https://") and "127.0.0.1" not in link.page
    assert link.fingerprint == bytes.fromhex(now["fingerprint"].replace(":", ""))

    async def look() -> None:
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {guest}"}) as http_session:
            pin = aiohttp.Fingerprint(link.fingerprint or b"")
            async with http_session.get(f"{link.page}api/invitation", ssl=pin) as answer:
                assert (await answer.json())["name"] == "Ada"

    asyncio.run(look())
    assert ask(hosted, "POST", "/api/listen", "{}", token=owner)[0] == 400

    async def be_there() -> aiohttp.WSMessage:
        """Until the call is ended."""
        async with aiohttp.ClientSession() as session:
            room, protocols = f"{hosted.addresses[0]}room", ("visavis", f"token.{guest}")
            async with session.ws_connect(room, protocols=protocols) as socket:
                await socket.send_json({"type": "hello", "name": "Bob", "kind": "browser"})
                assert (await socket.receive_json())["type"] == "welcome"
                ending = asyncio.to_thread(ask, hosted, "POST", "/api/end", "{}", owner)
                (status, _, body), message = await asyncio.gather(ending, _goodbye(socket))
                after = json.loads(body)
                assert (status, after["reach"], after["may_listen"]) == (200, "this computer", True)
                assert guest not in after["invitation"] and after["fingerprint"] == ""
                return cast(aiohttp.WSMessage, message)

    goodbye = asyncio.run(be_there())
    assert goodbye.data == aiohttp.WSCloseCode.GOING_AWAY and goodbye.extra == "the call is over"
    assert ask(hosted, "GET", "/api/invitation", token=guest)[0] == 401  # whoever was invited comes in no more
    assert ask(hosted, "GET", "/api/invitation", token=hosted.tokens.guest)[0] == 200  # who is invited now does
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", link_port(now["invitation"])), timeout=5).close()
    assert ask(hosted, "POST", "/api/end", "{}", token=hosted.tokens.guest)[0] == 403


async def _goodbye(socket: aiohttp.ClientWebSocketResponse) -> aiohttp.WSMessage:
    while (message := await socket.receive()).type is not aiohttp.WSMsgType.CLOSE:
        assert message.type is aiohttp.WSMsgType.TEXT
    return message


@pytest.mark.parametrize("host", ["::1", "0:0:0:0:0:0:0:1", "::"])
def test_others_reach_it_by_ipv6(host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISAVIS_HOME", str(tmp_path))
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this computer has no IPv6")
    with host_call(CallOptions("Ada", listen=(host, 0)), None) as ada:
        link = RoomLink.parse(ada.invitation)
        assert link.page.startswith("https://[")
        port = link_port(ada.invitation)
        with host_call(CallOptions("Bob", join=RoomLink(f"https://[::1]:{port}/", link.token, link.fingerprint)), None):
            end_s = time.monotonic() + 10
            while not ada.call._members:
                assert time.monotonic() < end_s
                time.sleep(0.02)


def test_strangers_cannot_hold_more_connections_than_there_may_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VISAVIS_HOME", str(tmp_path))
    monkeypatch.setattr(listener_module, "MOST_CONNECTIONS", 2)
    tls = ssl.create_default_context()
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    with host_call(CallOptions("Ada", listen=("127.0.0.1", 0)), None) as hosted, ExitStack() as held:
        address = ("127.0.0.1", link_port(hosted.invitation))

        def connect() -> ssl.SSLSocket:
            raw = held.enter_context(socket.create_connection(address, timeout=20))
            return held.enter_context(tls.wrap_socket(raw))

        silent = [connect() for _ in range(2)]
        with suppress(OSError):  # reset
            assert connect().recv(1) == b""
        assert ask(hosted, "GET", "/api/state", token=hosted.tokens.owner)[0] == 200
        silent[0].close()
        end_s = time.monotonic() + 10
        while True:
            assert time.monotonic() < end_s
            try:
                page = connect()
                page.sendall(f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{address[1]}\r\n\r\n".encode())
                if page.recv(4096).startswith(b"HTTP/1.1 200"):
                    break
            except OSError:
                time.sleep(0.05)


def test_who_is_cut_off_from_the_room_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISAVIS_HOME", str(tmp_path))
    told: list[dict[str, Any]] = []
    with host_call(CallOptions("Ada", listen=("127.0.0.1", 0)), None) as ada:
        link = RoomLink.parse(ada.invitation)
        bob = host_call(CallOptions("Bob", join=link), None)
        bob.__enter__().call.add_page(told.append)
    end_s = time.monotonic() + 10
    while not any(message["type"] == "error" for message in told):
        assert time.monotonic() < end_s
        time.sleep(0.02)
    bob.__exit__(None, None, None)
    assert "Trying again" in next(message["reason"] for message in told if message["type"] == "error")


def test_a_room_that_is_full_says_so_to_a_visavis_that_joins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISAVIS_HOME", str(tmp_path))
    with host_call(CallOptions("Ada"), None) as ada, ExitStack() as others:
        joining = CallOptions("Bob", join=RoomLink.parse(ada.invitation))
        for _ in range(3):
            others.enter_context(host_call(joining, None))
        with pytest.raises(DeviceError, match=r"let us in: The room is full: 4 people\. For more, .*whip:URL\.$"):
            others.enter_context(host_call(joining, None))


def test_a_room_that_sends_on_to_another_is_not_followed() -> None:
    async def call() -> None:
        seen: list[str] = []

        async def send_on(request: web.Request) -> web.Response:
            seen.append(request.path)
            return web.Response(status=307, headers={"Location": "/elsewhere"})

        app = web.Application()
        app.router.add_get("/{path}", send_on)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        link = RoomLink.parse(f"http://127.0.0.1:{runner.addresses[0][1]}/#room=secret")
        client = RoomClient(link, "Bob", lambda message: None)
        with pytest.raises(DeviceError, match="another address"):
            await client.open()
        await client.close()
        assert seen == ["/room"]
        await runner.cleanup()

    asyncio.run(call())


def test_the_certificate_is_kept_and_renewed_for_other_names(tmp_path: Path) -> None:
    from avatar.http.tls import own_certificate

    path, first = own_certificate(tmp_path, ["192.0.2.5"])
    assert own_certificate(tmp_path, ["192.0.2.5"])[1] == first
    assert own_certificate(tmp_path, ["192.0.2.6", "host.example"])[1] != first
    path.write_text("damaged")
    own_certificate(tmp_path, ["192.0.2.5"])


@pytest.mark.parametrize(
    "link", ["", "https://[/#room=a", "https://h/", "https://h/#room=", "ftp://h/#room=a", "https://h/#room=a&cert=xy"]
)
def test_links_that_are_none(link: str) -> None:
    with pytest.raises(UsageError, match="room link"):
        RoomLink.parse(link)


@pytest.mark.parametrize(
    "link", ["http://192.0.2.5:8443/#room=secret", "http://127.0.0.1:1/#room=secret&cert=00", "https://h/#rom=secret"]
)
def test_links_that_are_not_encrypted_are_refused_and_no_error_holds_the_token(link: str) -> None:
    with pytest.raises(UsageError, match="room link") as refused:
        RoomLink.parse(link)
    assert "secret" not in str(refused.value)


def test_a_proxys_name_is_served_only_when_it_was_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISAVIS_HOME", str(tmp_path))
    with host_call(CallOptions("Ada", public_url="https://Calls.example.org"), None) as hosted:
        assert hosted.invitation.startswith("https://Calls.example.org/#room=")
        origin = "https://calls.example.org"
        own = ask(hosted, "GET", "/api/state", token=hosted.tokens.owner, Host="calls.example.org", Origin=origin)
        assert own[0] == 200
        assert ask(hosted, "GET", "/", Host="other.example.org")[0] == 421
    with host_call(CallOptions("Ada", public_url="http://localhost:9000"), None) as hosted:
        RoomLink.parse(hosted.invitation)  # what one visavis gives out, another takes
    for url, why in (("calls", "not like https"), ("http://calls.example.org", "not encrypted.*https://calls.example")):
        with (
            pytest.raises(UsageError, match=f"--public-url.*{why}"),
            host_call(CallOptions("Ada", public_url=url), None),
        ):
            pass
