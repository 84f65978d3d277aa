"""The edge of a call's server: strangers' requests, messages and rooms that once broke something."""

from __future__ import annotations

import asyncio
import http.client
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from avatar.call import room_client
from avatar.call.hosted_call import HostedCall
from avatar.call.hosting import CallOptions, host_call
from avatar.call.room import RoomError, checked
from avatar.call.room_client import RoomClient, RoomLink
from avatar.cli.call_options import ROOM_LINK, _link_text
from avatar.core.errors import DeviceError, InputError
from avatar.http import safety as server_safety
from avatar.http.allowance import origin_of
from avatar.http.peer_text import PeerTextError, json_object
from avatar.http.tls import context
from avatar.webrtc.descriptions import DescriptionError, check_description
from benchmarks.hostile import bad_descriptions, good_offer

pytestmark = pytest.mark.realtime


@pytest.fixture
def hosted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HostedCall]:
    monkeypatch.setenv("VISAVIS_HOME", str(tmp_path))
    with host_call(CallOptions("Ada")) as call:
        yield call


def ask(
    hosted: HostedCall, method: str, path: str, body: bytes = b"", **headers: bytes | str
) -> tuple[int, Any, bytes]:
    connection = http.client.HTTPConnection(hosted.addresses[0].split("/")[2], timeout=30)
    connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    found = answer.status, answer.headers, answer.read()
    connection.close()
    return found


def test_a_token_that_is_no_text_is_a_wrong_one(hosted: HostedCall, caplog: pytest.LogCaptureFixture) -> None:
    statuses = [ask(hosted, "GET", "/api/state", Authorization=b"Bearer \xff\xfe")[0] for _ in range(15)]
    assert statuses[0] == 401 and statuses[-1] == 429 and set(statuses) == {401, 429}
    assert caplog.records == []


def test_wrong_tokens_are_counted_wherever_they_are_tried(hosted: HostedCall) -> None:
    statuses = [ask(hosted, "GET", "/", Authorization="Bearer guess")[0] for _ in range(15)]
    assert statuses[0] == 200 and statuses[-1] == 429
    assert ask(hosted, "GET", "/")[0] == 200  # without one, the page is still there
    assert ask(hosted, "GET", "/api/state", Authorization=f"Bearer {hosted.tokens.owner}")[0] == 200


@pytest.mark.parametrize("charset", ["idna", "punycode", "utf-16", "unicode_escape", "base64", "nonsense", '"'])
def test_text_is_utf_8(hosted: HostedCall, charset: str) -> None:
    """A quarter of a megabyte of punycode took 14 s to decode, in which nobody's call went on."""
    body = b"a-" * 100_000
    kind = f"application/sdp; charset={charset}"
    assert (
        ask(hosted, "POST", "/whep", body, Content_Type=kind, Authorization=f"Bearer {hosted.tokens.player}")[0] == 415
    )
    owner = f"Bearer {hosted.tokens.owner}"
    assert ask(hosted, "POST", "/api/view", body, Content_Type=kind, Authorization=owner)[0] == 415
    kind = 'text/plain; charset="UTF-8"'
    assert ask(hosted, "POST", "/api/state", b'{"muted": true}', Content_Type=kind, Authorization=owner)[0] == 200


def test_a_content_type_of_quotes_is_read_at_once(hosted: HostedCall, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(_request: object) -> str:
        raise AssertionError("aiohttp reads it, which takes seconds")

    monkeypatch.setattr(web.BaseRequest, "content_type", property(never))
    monkeypatch.setattr(web.BaseRequest, "charset", property(never))
    kind = "application/sdp; charset=" + '"' * 8000
    player, owner = f"Bearer {hosted.tokens.player}", f"Bearer {hosted.tokens.owner}"
    assert ask(hosted, "POST", "/whep", b"v=0", Content_Type=kind, Authorization=player)[0] == 415
    assert ask(hosted, "POST", "/whep", b"v=0", Content_Type="application/sdp", Authorization=player)[0] == 400
    assert ask(hosted, "POST", "/api/view", b"{}", Content_Type="application/json", Authorization=owner)[0] == 200


def test_every_answer_has_the_headers_and_none_tells_versions(hosted: HostedCall) -> None:
    async def handshake() -> Any:
        async with aiohttp.ClientSession() as session:
            protocols = ("visavis", f"token.{hosted.tokens.guest}")
            async with session.ws_connect(f"{hosted.addresses[0]}room", protocols=protocols) as room:
                return room._response.headers

    owner = f"Bearer {hosted.tokens.owner}"
    answers = [
        ask(hosted, "GET", "/")[1],
        ask(hosted, "GET", "/nowhere")[1],
        ask(hosted, "GET", "/", Host="evil.example")[1],
        ask(hosted, "TRACE", "/")[1],
        ask(hosted, "GET", "/", Expect="nothing")[1],
        ask(hosted, "GET", "/", Expect=b"\x80")[1],
        ask(hosted, "POST", "/api/view", b"{", Authorization=owner)[1],
        ask(hosted, "GET", "/", Connection=b"\x01")[1],  # no HTTP
        asyncio.run(handshake()),
    ]
    for headers in answers:
        assert {name: headers[name] for name in server_safety.HEADERS} == server_safety.HEADERS
        assert "aiohttp" not in str(headers).lower() and "python" not in str(headers).lower()


def test_what_fails_unexpectedly_is_one_line_and_an_answer(
    hosted: HostedCall, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise KeyError("\x1b[2J")

    monkeypatch.setattr(hosted.call, "set_state", broken)
    owner = f"Bearer {hosted.tokens.owner}"
    status, headers, body = ask(hosted, "POST", "/api/state", b"{}", Authorization=owner)
    assert status == 500 and b"Traceback" not in body and headers["X-Content-Type-Options"] == "nosniff"
    (record,) = caplog.records
    assert record.exc_info is None and record.getMessage().isprintable() and "KeyError" in record.getMessage()
    for _ in range(30):
        ask(hosted, "GET", "/", Connection=b"\x01")
    assert len(caplog.records) <= server_safety.TOLD_BURST + 2  # nobody fills a disk with lines


def test_no_http_is_counted(hosted: HostedCall, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    statuses = [ask(hosted, "GET", "/", Connection=b"\x01")[0] for _ in range(15)]
    assert statuses[0] == 400 and statuses[-1] == 429


def test_coming_again_gives_no_new_offers(hosted: HostedCall) -> None:
    async def rejoin() -> list[str]:
        reasons = []
        async with aiohttp.ClientSession() as session:
            for _ in range(15):
                protocols = ("visavis", f"token.{hosted.tokens.guest}")
                async with session.ws_connect(f"{hosted.addresses[0]}room", protocols=protocols) as room:
                    await room.send_json({"type": "hello", "name": "Eve", "kind": "browser"})
                    ada = (await room.receive_json(timeout=10))["members"][0]["id"]
                    await room.send_json({"type": "offer", "to": ada, "link": "1", "sdp": "v=1"})
                    reasons.append((await room.receive_json(timeout=10))["reason"])
        return reasons

    reasons = asyncio.run(rejoin())
    assert sum("Too many offers" in reason for reason in reasons) >= 5 and "v=0" in reasons[0]


def test_a_provider_of_addresses_is_one_address() -> None:
    assert origin_of("2001:db8:1:2:3:4:5:6") == origin_of("2001:db8:1:2::9") != origin_of("2001:db8:1:3::9")
    assert origin_of("::ffff:192.0.2.1") == origin_of("192.0.2.1") != origin_of("192.0.2.2")


def test_more_offers_by_whep_than_a_player_needs_are_refused(hosted: HostedCall) -> None:
    player = f"Bearer {hosted.tokens.player}"
    statuses = [
        ask(hosted, "POST", "/whep", b"v=1", Content_Type="application/sdp", Authorization=player)[0] for _ in range(50)
    ]
    assert statuses[0] == 400 and statuses[-1] == 429


def test_descriptions_that_would_take_minutes_or_fail_later_are_refused() -> None:
    good = asyncio.run(good_offer())
    assert check_description(good, receives=True) == {"video", "audio"}
    for what, bad in bad_descriptions(good).items():
        if what != "unknown codec":  # which is known when it is answered
            with pytest.raises(DescriptionError) as refused:
                check_description(bad, receives=True)
            assert str(refused.value).isprintable(), what


@pytest.mark.parametrize("text", ['{"type": []}', '{"type": {}}', '{"gain": 1e999}', '{"muted": ' + "9" * 400 + "}"])
def test_messages_whose_values_mean_nothing(text: str) -> None:
    with pytest.raises((PeerTextError, RoomError)):
        if checked(json_object(text)) is None:
            raise RoomError("of an unknown type")


# Rooms that somebody else keeps


Serve = Callable[[web.WebSocketResponse], Any]


def joined(serve: Serve, then: Callable[[RoomClient], Any], said: list[str]) -> None:
    """A client in a room whose host does as `serve` says."""

    async def call() -> None:
        async def room(request: web.Request) -> web.WebSocketResponse:
            socket = web.WebSocketResponse(protocols=("visavis",), autoping=False)
            await socket.prepare(request)
            await serve(socket)
            return socket

        app = web.Application()
        app.router.add_get("/room", room)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        link = RoomLink.parse(f"http://127.0.0.1:{runner.addresses[0][1]}/#room=secret")
        client = RoomClient(link, "Bob", lambda message: None, said.append)
        try:
            await then(client)
        finally:
            await client.close()
            await runner.cleanup()

    asyncio.run(call())


async def open_it(client: RoomClient) -> None:
    await client.open()


async def silence(_socket: web.WebSocketResponse) -> None:
    await asyncio.sleep(30)


def test_a_room_that_never_welcomes_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room_client, "WELCOME_S", 0.3)
    with pytest.raises(DeviceError, match="no answer within ten seconds"):
        joined(silence, open_it, [])


def test_a_room_that_falls_silent_is_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room_client, "HEARTBEAT_S", 0.2)
    said: list[str] = []

    async def welcome(socket: web.WebSocketResponse) -> None:
        await socket.send_json({"type": "welcome", "you": "1", "members": []})
        await asyncio.sleep(30)  # and no answer to a ping

    async def wait(client: RoomClient) -> None:
        await client.open()
        end_s = time.monotonic() + 20
        while not said:
            assert time.monotonic() < end_s
            await asyncio.sleep(0.02)

    joined(welcome, wait, said)
    assert "has fallen silent" in said[0] and "Trying again" in said[0] and len(said) == 1


@pytest.mark.parametrize(
    "message",
    ['{"type": "error", "reason": "\\u001b[2J\\u001b]0;x\\u0007full"}', '{"type": "welcome", "members": 7}', "no json",
     '{"type": "welcome", "you": "1", "members": ["x"]}', '{"type": []}'],
)  # fmt: skip
def test_what_a_hostile_room_says_is_one_printable_line(message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room_client, "WELCOME_S", 1.0)

    async def speak(socket: web.WebSocketResponse) -> None:
        await socket.send_str(message)
        async for _ in socket:
            pass

    with pytest.raises(DeviceError) as refused:
        joined(speak, open_it, [])
    assert str(refused.value).isprintable() and "does not let us in" in str(refused.value)


# The terminal


def test_a_key_with_a_passphrase_is_refused_without_asking(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    from avatar.http.tls import own_certificate

    own, _ = own_certificate(tmp_path, ["192.0.2.5"])
    key = load_pem_private_key(own.read_bytes(), None)
    locked = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"word")
    )
    path = tmp_path / "key.pem"
    path.write_bytes(locked)
    with pytest.raises(InputError, match=r"key\.pem is locked by a passphrase"):
        context(own, path)


@pytest.mark.parametrize("way", ["-", "variable"])
def test_a_rooms_link_need_not_stand_in_the_process_list(way: str, tmp_path: Path) -> None:
    """The command says which room it cannot reach, so it has read the link."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        page = f"http://127.0.0.1:{taken.getsockname()[1]}/"
    link, environment = f"{page}#room=secret", {**os.environ, "VISAVIS_HOME": str(tmp_path)}
    options = ["--camera", "browser", "--no-open"]
    if way == "-":
        options += ["--join", "-"]
    else:
        environment[ROOM_LINK] = link
    command = [sys.executable, "-m", "avatar.cli.main", "call", *options]
    done = subprocess.run(command, input=f"{link}\n", text=True, capture_output=True, env=environment, timeout=60)
    assert done.returncode == 1 and f"{page} does not let us in" in " ".join(done.stderr.split())
    assert "secret" not in done.stderr


def test_a_rooms_link_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "link"
    file.write_text("https://h/#room=abc\n")
    monkeypatch.setenv(ROOM_LINK, "https://h/#room=abc")
    assert _link_text(f"@{file}") == "https://h/#room=abc"
    assert ROOM_LINK not in os.environ  # nor is it handed on
    with pytest.raises(InputError, match="cannot be read as a room's link"):
        _link_text(f"@{tmp_path}/none")
