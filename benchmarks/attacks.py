"""Attacks on the server of `visavis call` and on the files that visavis reads: each is carried out, and how it was met.

    python benchmarks/attacks.py [--only NAME …] [--markdown] [--json]

A real `visavis call` runs for it on loopback, with a folder of its own, an avatar that moves, and somebody who looks at
it; the way in for others (`--listen`, TLS) is open. What is attacked with a file is the command that would read it.
Exit code 1 when an attack is not refused, or the picture stood for longer than MOST_GAP_S.

memory: by how much the server grew at most while the attack went on; of a command, all that it took.
still: the longest time between two pictures that the bystander saw meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import aiohttp
import psutil
from aiohttp import web
from aiortc import RTCPeerConnection, RTCSessionDescription
from cryptography.hazmat.primitives import serialization
from rich.console import Console

sys.path.insert(0, str(Path(__file__).parents[1]))

from avatar.http.safety import HEADERS
from avatar.http.tls import own_certificate
from avatar.identity.bundle import save_avatar
from avatar.sandbox.no_network import ALLOW_VARIABLE
from avatar.tracking.model_asset import tracker_model
from avatar.webrtc.ice import Ice
from avatar.webrtc.media_thread import MediaThread
from benchmarks.bystander import Bystander, looking_on, swaying_motion
from benchmarks.hostile import (
    BAD_NAMES,
    MESSAGES,
    bad_descriptions,
    bundle_bomb,
    climbing_members,
    cut_off,
    good_offer,
    made_up_avatar,
    motion_of_something_else,
    motion_without_end,
    offer,
    packed_picture,
    pickled,
    picture_bomb,
    zip_bomb,
)
from benchmarks.reporting import print_table

COMMAND = [sys.executable, "-m", "avatar.cli.main"]
ENGINE = ["--engine", "onnxruntime", "--precision", "fp32"]  # its choice by measurement would be taken for an attack
CALL = ["--no-open", "--json", "--listen", "127.0.0.1:0", "--size", "256x256", *ENGINE]
ANSWER_S = 60.0
MOST_GROWTH_MB, MOST_COMMAND_MB = 100.0, 400.0  # a bomb of 300 would show in either
MOST_GAP_S = 3.0  # a promise that the call goes on, not a measurement: computers that run this are busy
SDP = "application/sdp"


class GoneThroughError(Exception):
    """An attack was not refused."""


@dataclass(frozen=True)
class Refusal:
    """How an attack was met: a status or what became of the connection, and what was said."""

    met: str
    said: str = ""


@dataclass(frozen=True)
class Outcome:
    attack: str
    refused: bool
    met: str
    said: str
    seconds: float
    memory_mb: float
    still_s: float


@dataclass(frozen=True)
class Server:
    """A `visavis call` that runs."""

    port: int  # of the owner's page, without TLS
    tls_port: int
    owner: str  # tokens
    guest: str
    player: str
    source: str
    home: Path
    process: psutil.Process
    bystander: Bystander

    @property
    def own(self) -> str:
        return f"127.0.0.1:{self.port}"

    def ask(
        self, method: str, path: str, body: bytes | str | None = None, token: str | None = None, **headers: str | bytes
    ) -> Reply:
        """A request to the owner's port; `Content_Type` and the like become headers."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_S)
        try:
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            return Reply(answer.status, answer.read(), dict(answer.getheaders()))
        finally:
            connection.close()

    def offer(self, body: str, token: str) -> Reply:
        """A player's, again until it is not one of too many."""
        while (reply := self.ask("POST", "/whep", body.encode(), token, Content_Type=SDP)).status == 429:
            time.sleep(0.2)
        return reply

    def connect(self, tls: bool = False) -> socket.socket:
        raw = socket.create_connection(("127.0.0.1", self.tls_port if tls else self.port), timeout=ANSWER_S)
        if not tls:
            return raw
        anybody = ssl.create_default_context()
        anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
        return anybody.wrap_socket(raw)

    def head(self, method: str, path: str, *more: str) -> bytes:
        """The first part of an owner's request."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.own}", f"Authorization: Bearer {self.owner}", *more]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    def others(self) -> int:
        """How many connections there are beside the bystander's."""
        return len(self.state()["peers"]) - 1

    def state(self) -> dict[str, Any]:
        return dict(json.loads(self.ask("GET", "/api/state", token=self.owner).body))

    def uploads(self) -> list[Path]:
        """What is left of uploads."""
        return [path for path in (self.home / "uploads").rglob("*") if path.is_file() and path.suffix != ".lock"]


@dataclass(frozen=True)
class Reply:
    status: int
    body: bytes
    headers: dict[str, str]

    def refused(self, *statuses: int) -> Refusal:
        """With one of `statuses`. Raises GoneThroughError."""
        text = self.body.decode(errors="replace")
        if self.status not in statuses:
            raise GoneThroughError(f"answered {self.status}: {text[:80]}")
        with suppress(ValueError):
            text = json.loads(text).get("error", text)
        return Refusal(str(self.status), " ".join(text.split()))


def check(condition: object, why: str) -> None:
    """Raises GoneThroughError unless `condition`."""
    if not condition:
        raise GoneThroughError(why)


@contextmanager
def running(folder: Path) -> Iterator[Server]:
    """`visavis call`, with everything that it keeps in `folder`."""
    home = folder / "home"
    save_avatar(made_up_avatar(), folder / "anna.avatar")
    motion = swaying_motion(folder / "sway.motion")
    command = [*COMMAND, "call", str(folder / "anna.avatar"), "--camera", str(motion), "--loop", *CALL]
    environment = {**os.environ, "VISAVIS_HOME": str(home), "VISAVIS_TRACKER_MODEL": str(tracker_model())}
    with (folder / "call.log").open("w") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment, cwd=_root())
        assert process.stdout is not None
        try:
            links = json.loads(process.stdout.readline())
            page, owner = links["page"].split("/#owner=")
            others, guest = links["invitation"].split("/#room=")
            port, tls_port = (int(link.rsplit(":", 1)[1]) for link in (page, others))
            with looking_on(f"{page}/whep", links["whep_token"]) as bystander:
                yield Server(
                    port,
                    tls_port,
                    owner,
                    guest=guest.partition("&")[0],
                    player=links["whep_token"],
                    source=links["whip_token"],
                    home=home,
                    process=psutil.Process(process.pid),
                    bystander=bystander,
                )
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.communicate(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()


def _root() -> Path:
    return Path(__file__).parents[1]


# Descriptions, tokens, names, origins


def bad_sdp(server: Server) -> Refusal:
    refusal = None
    for bad in bad_descriptions(asyncio.run(good_offer())).values():
        server.ask("POST", "/api/view", json.dumps({"sdp": bad}), server.owner).refused(400)
        refusal = server.offer(bad, server.player).refused(400)
    check(server.others() == 0, "a connection was left")
    assert refusal is not None
    return refusal


PROTECTED = (
    ("GET", "/api/state"), ("GET", "/room"), ("POST", "/whep"), ("POST", "/whip"), ("POST", "/api/view"),
    ("POST", "/api/drive"), ("POST", "/api/view/x"), ("DELETE", "/api/peers/x"), ("DELETE", "/whep/x"),
    ("DELETE", "/whip/x"), ("GET", "/api/dashboard"),
    ("POST", "/api/dashboard/photos"), ("POST", "/api/dashboard/live"), ("DELETE", "/api/dashboard/avatars/x"),
)  # fmt: skip


def no_token(server: Server) -> Refusal:
    refusals = [server.ask(method, path).refused(401, 429) for method, path in PROTECTED]
    check(refusals[0].met == "401", "the first was answered as if there had been others")
    return Refusal("401, then 429", refusals[0].said)


def wrong_token(server: Server) -> Refusal:
    """Guessed until the server looks at no more; whoever has the right one does not notice."""
    almost = [server.owner[:-1], server.owner + "x", server.guest.swapcase(), ""]
    for token in almost:
        server.ask("GET", "/api/state", token=token).refused(401, 429)
    refusals = [server.ask("GET", "/api/state", token=f"guess{index}").refused(401, 429) for index in range(30)]
    check(refusals[-1].met == "429", "guessing was not slowed down")
    check(server.ask("GET", "/api/state", token=server.owner).status == 200, "the owner was locked out")
    return Refusal("401, then 429", refusals[-1].said)


def guests_token(server: Server) -> Refusal:
    for token in (server.guest, server.player):
        for method, path in (("GET", "/api/state"), ("POST", "/api/view"), ("GET", "/api/dashboard")):
            refusal = server.ask(method, path, token=token).refused(403)
    server.ask("POST", "/whep", "v=0", server.guest, Content_Type=SDP).refused(401, 429)
    return refusal


def foreign_host(server: Server) -> Refusal:
    """DNS rebinding: a page of evil.example resolves to 127.0.0.1, and its requests carry that Host."""
    for host in ("evil.example", f"evil.example:{server.port}", "127.0.0.1", "127.0.0.1:1", "", "127.0.0.1.nip.io"):
        for path in ("/", "/api/state"):
            refusal = server.ask("GET", path, token=server.owner, Host=host).refused(421)
    return refusal


def foreign_origin(server: Server) -> Refusal:
    own = f"http://{server.own}"
    origins = ("https://evil.example", "null", own + ".evil.example", own.replace("http", "https"), "http://127.0.0.1")
    for origin in origins:
        reply = server.ask("GET", "/api/state", token=server.owner, Origin=origin)
        refusal = reply.refused(403)
        check("Access-Control-Allow-Origin" not in reply.headers, "another page is let in")
    return refusal


def tokens_that_are_no_text(server: Server) -> Refusal:
    refusals = [server.ask("GET", "/api/state", Authorization=b"Bearer \xff\xfe").refused(401, 429) for _ in range(500)]
    check(refusals[-1].met == "429", "guessing was not slowed down")
    check(server.ask("GET", "/api/state", token=server.owner).status == 200, "the owner was locked out")
    return Refusal("401, then 429", refusals[-1].said)


def wrong_tokens_on_the_page(server: Server) -> Refusal:
    """Where a file is given to everybody, a right token would be told from a wrong one by how often it may ask."""
    for index in range(30):
        reply = server.ask("GET", "/", token=f"guess{index}")
    check(server.ask("GET", "/").status == 200, "who has no token gets no page")
    return reply.refused(429)


def charsets(server: Server) -> Refusal:
    """Text that Python decodes in a time that grows with its square, by a charset of the sender's choice."""
    body = b"a-" * 120_000
    for charset in ("punycode", "idna", "utf-7", "zip", "none-such", '"' * 8000):
        kind = f"{SDP}; charset={charset}"
        server.ask("POST", "/api/view", body, server.owner, Content_Type=kind).refused(415)
        refusal = server.ask("POST", "/whep", body, server.player, Content_Type=kind).refused(415)
    return refusal


NUMBERS = ("9" * 400, "1e999", "-1e999", "NaN", "Infinity", "[" * 40 + "]" * 40, '"\\ud800"', "9" * 5000)


def numbers_beyond_use(server: Server) -> Refusal:
    for number in NUMBERS:
        server.ask("PATCH", "/api/dashboard/live", f'{{"gains": {{"mouth": {number}}}}}', server.owner).refused(400)
        server.ask("POST", "/api/state", f'{{"muted": {number}}}', server.owner).refused(400)
        refusal = server.ask("POST", "/api/view", f'{{"sdp": {number}}}', server.owner).refused(400)
    return refusal


CHOICES: tuple[dict[str, object], ...] = (
    {"avatar": "nobody"}, {"avatar": "damaged"}, {"avatar": ["x"]}, {"avatar": "../anna"}, {"gains": {"nose": 1}},
    {"gains": []}, {"mirror": 7}, {"dance": True}, {"mirror": True, "gains": {"mouth": "x"}},
)  # fmt: skip
WISHES: tuple[dict[str, object], ...] = (
    {}, {"avatar": "damaged"}, {"avatar": "damaged", "camera": "/dev/null"}, {"avatar": "nobody", "camera": "browser"},
    {"avatar": "damaged", "camera": "browser", "size": "1x1"}, {"avatar": "damaged", "camera": [], "size": {}},
    {"avatar": "damaged", "camera": "browser", "background": "/etc/passwd"},
)  # fmt: skip


def impossible_choices(server: Server) -> Refusal:
    """On the owner's page: whatever is chosen, the avatar goes on."""
    avatars = server.home / "avatars"
    avatars.mkdir(exist_ok=True)
    (avatars / "damaged.avatar").write_bytes(b"PK")
    for choice in CHOICES:
        refusal = server.ask("PATCH", "/api/dashboard/live", json.dumps(choice), server.owner).refused(400, 404)
    for wish in WISHES:
        server.ask("POST", "/api/dashboard/live", json.dumps(wish), server.owner).refused(400, 404)
    for picture in (b"", b"GIF89a", b"\xff\xd8\xff" + bytes(1000)):
        server.ask("POST", "/api/dashboard/background", picture, server.owner).refused(400)
        server.ask("POST", "/api/dashboard/check", picture, server.owner).refused(400)
    live = json.loads(server.ask("GET", "/api/dashboard", token=server.owner).body)["live"]
    check(live["state"] == "running" and not live["controls"]["mirror"], "a part of it was done")
    return Refusal("400, 404", refusal.said)


def no_http(server: Server) -> Refusal:
    """What aiohttp itself answers."""
    junk = (b"\x16\x03\x01\x02\x00", b"GET", b"GET / HTTP/9.9", b"G\xffT / HTTP/1.1", b"GET / HTTP/1.1\r\nHost: \x01",
            b"GET / HTTP/1.1\r\nContent-Length: -1", b"GET / HTTP/1.1\r\nA: " + b"b" * 9000,
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz")  # fmt: skip
    for data in junk:
        with server.connect() as connection:
            connection.sendall(data + b"\r\n\r\n")
            answer = connection.recv(65536).decode("latin-1")
        check(answer.split()[1] in ("400", "421", "429"), f"{data[:20]!r}: {answer[:80]}")
        check("aiohttp" not in answer and "Python" not in answer, "it tells its version")
        for name, value in HEADERS.items():
            check(f"{name}: {value}" in answer, f"{data[:20]!r}: answered without {name}")
    return Refusal("400, 429", answer.partition("\r\n\r\n")[2].strip())


# WebSockets


def _meeting(act: Callable[[aiohttp.ClientSession], Coroutine[Any, Any, Refusal]]) -> Refusal:
    async def meet() -> Refusal:
        async with aiohttp.ClientSession() as http_session, asyncio.timeout(ANSWER_S):
            return await act(http_session)

    return asyncio.run(meet())


async def _join(http_session: aiohttp.ClientSession, server: Server, name: str) -> tuple[Any, dict[str, Any]]:
    protocols = ("visavis", f"token.{server.guest}")
    room = await http_session.ws_connect(f"http://{server.own}/room", protocols=protocols)
    await room.send_json({"type": "hello", "name": name, "kind": "browser"})
    return room, await room.receive_json()


def foreign_websocket(server: Server) -> Refusal:
    async def act(http_session: aiohttp.ClientSession) -> Refusal:
        refusals = []
        for headers, token, path in (
            ({"Origin": "https://evil.example"}, server.guest, "/room"),
            ({"Origin": "https://evil.example"}, server.owner, "/api/dashboard/events"),
            ({"Host": "evil.example"}, server.guest, "/room"),
            ({}, "wrong", "/room"),
        ):
            try:
                protocols = ("visavis", f"token.{token}")
                await http_session.ws_connect(f"http://{server.own}{path}", headers=headers, protocols=protocols)
            except aiohttp.WSServerHandshakeError as error:
                refusals.append(error.status)
            else:
                raise GoneThroughError(f"{path} was opened with {headers or token}")
        return Refusal(", ".join(map(str, refusals)), "no WebSocket")

    return _meeting(act)


def hostile_message(server: Server) -> Refusal:
    async def act(http_session: aiohttp.ClientSession) -> Refusal:
        good, _ = await _join(http_session, server, "good")
        for what, message in MESSAGES.items():
            bad, _ = await _join(http_session, server, "bad")
            await good.receive_json()
            await bad.send_str(message)
            told = await bad.receive_json()
            check(told["type"] == "error", f"{what}: answered {told['type']}")
            check((await bad.receive()).type is aiohttp.WSMsgType.CLOSE, f"{what}: it may stay")
            check((await good.receive_json())["type"] == "left", f"{what}: it is still there")
        await good.close()
        return Refusal("error, closed", told["reason"])

    return _meeting(act)


def flood_of_messages(server: Server) -> Refusal:
    async def act(http_session: aiohttp.ClientSession) -> Refusal:
        bad, _ = await _join(http_session, server, "flood")
        for _ in range(1000):
            with suppress(ConnectionError):
                await bad.send_json({"type": "state", "muted": True, "camera_on": True})
        told = await bad.receive_json()
        check((await bad.receive()).type is aiohttp.WSMsgType.CLOSE, "it may go on")
        return Refusal("error, closed", told["reason"])

    return _meeting(act)


def long_lists(server: Server) -> Refusal:
    """As much JSON as a message may be, of very many values."""

    async def act(http_session: aiohttp.ClientSession) -> Refusal:
        bad, _ = await _join(http_session, server, "lists")
        text = '{"type": "bye", "x": [' + "1," * 120_000 + "1]}"
        for _ in range(90):
            with suppress(ConnectionError):
                await bad.send_str(text)
        told = await bad.receive_json()
        check((await bad.receive()).type is aiohttp.WSMsgType.CLOSE, "it may go on")
        return Refusal("error, closed", told["reason"])

    return _meeting(act)


def long_json(server: Server) -> Refusal:
    """10 MB: as a message of the room, and as a request."""

    async def act(http_session: aiohttp.ClientSession) -> Refusal:
        bad, _ = await _join(http_session, server, "long")
        with suppress(ConnectionError):
            await bad.send_str('{"type": "state", "x": "' + "y" * 10_000_000 + '"}')
        end = await bad.receive()
        check(end.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR), "it was taken")
        return Refusal(f"413, closed ({bad.close_code})", "message too big")

    with suppress(ConnectionError):  # closed while it was sent
        server.ask("POST", "/api/view", '{"sdp": "' + "v" * 10_000_000 + '"}', server.owner).refused(413)
    server.ask("POST", "/api/view", "[" * 100_000, server.owner).refused(400)
    return _meeting(act)


def too_many_members(server: Server) -> Refusal:
    async def act(http_session: aiohttp.ClientSession) -> Refusal:
        rooms = [await _join(http_session, server, f"guest {index}") for index in range(4)]
        for room, _ in rooms:
            await room.close()
        check(rooms[-1][1]["type"] == "error", "a fifth member was let in")
        return Refusal("error, closed", rooms[-1][1]["reason"])

    return _meeting(act)


def too_many_sessions(server: Server) -> Refusal:
    """Players that never connect."""
    description = asyncio.run(good_offer(("video",)))
    places = []
    for _ in range(40):
        reply = server.offer(description, server.player)
        if reply.status != 201:
            break
        places.append(reply.headers["Location"])
    refusal = reply.refused(503)
    for place in places:
        server.ask("DELETE", place, token=server.player)
    check(server.others() == 0, "connections were left")
    return Refusal(f"503 after {len(places)}", refusal.said)


def fifty_connects(server: Server) -> Refusal:
    """Fifty players come and go: afterwards all is as before."""

    async def watch() -> None:
        connection = RTCPeerConnection(Ice().configuration())
        body = await offer(connection)
        reply = await asyncio.to_thread(server.offer, body, server.player)
        check(reply.status == 201, f"answered {reply.status}")
        await connection.setRemoteDescription(RTCSessionDescription(reply.body.decode(), "answer"))
        async with asyncio.timeout(ANSWER_S):
            while connection.connectionState != "connected":
                await asyncio.sleep(0.01)
        await connection.close()

    async def settled() -> tuple[int, int]:
        end_s = time.monotonic() + 40
        while server.others() and time.monotonic() < end_s:
            await asyncio.sleep(0.2)
        check(server.others() == 0, "connections were left")
        return server.process.num_fds(), server.process.num_threads()

    async def come_and_go() -> Refusal:
        for _ in range(3):
            await watch()
        files, threads = await settled()
        for _ in range(47):
            await watch()
        files_after, threads_after = await settled()
        check(files_after <= files + 8, f"{files_after - files} descriptors were left")
        check(threads_after <= threads + 16, f"{threads_after - threads} threads were left")  # asyncio's pool grows
        left = f"{files_after - files:+d} descriptors, {threads_after - threads:+d} threads"
        return Refusal("nothing left", f"0 connections, {left}")

    return asyncio.run(come_and_go())


def offers_by_joining_again(server: Server) -> Refusal:
    """A guest who is told to wait leaves, and comes again as another member."""

    async def act(http_session: aiohttp.ClientSession) -> Refusal:
        description, reasons = await good_offer(("video",)), []
        for _ in range(40):
            room, welcome = await _join(http_session, server, "again")
            ada = next(member["id"] for member in welcome["members"] if member["kind"] == "avatar")
            await room.send_json({"type": "offer", "to": ada, "link": "1", "sdp": description})
            told = await room.receive_json()
            reasons.append(told.get("reason", ""))
            await room.close()
        check(sum("Too many" in reason for reason in reasons) > 20, f"{reasons.count('')} were answered")
        return Refusal("refused", f"{reasons[-1]} {reasons.count('')} of 40 were answered.")

    return _meeting(act)


def datagrams(server: Server) -> Refusal:
    """Noise to the ports where the pictures come from: STUN, DTLS and RTP that is none."""
    ports = [c.laddr.port for c in server.process.net_connections("udp") if c.laddr]
    stun = b"\x00\x01\x00\x08\x21\x12\xa4\x42" + bytes(12) + b"\x00\x06\x00\x04abcd"
    noise = [b"", b"\x00", stun, stun[:20], b"\x16\xfe\xff" + bytes(200), b"\x80\x60" + bytes(10),
             b"\x81\xc9" + bytes(6), bytes(range(256)) * 4, b"\x01\x01" + stun[2:]]  # fmt: skip
    check(ports, "the call has no port for media")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(300):
            for port in ports:
                for data in noise:
                    with suppress(OSError):
                        sender.sendto(data, ("127.0.0.1", port))
            time.sleep(0.005)
    check(server.others() == 0, "a connection was left")
    return Refusal("ignored", f"{300 * len(noise)} datagrams to each of {len(ports)} ports")


# Sizes


def announced_ten_gigabytes(server: Server) -> Refusal:
    for path in ("/api/view", "/api/dashboard/photos"):
        with server.connect() as connection:
            connection.sendall(server.head("POST", path, f"Content-Length: {10 << 30}"))
            status = int(connection.recv(4096).split()[1])
            check(status == 413, f"answered {status}")
    check(server.uploads() == [], "part of it was kept")
    return Refusal("413", "before any of it was sent")


def endless_upload(server: Server) -> Refusal:
    most_mb = 0.0
    for path in ("/api/view", "/api/dashboard/photos"):
        sent = 0
        with server.connect() as connection:
            connection.sendall(server.head("POST", path, "Transfer-Encoding: chunked"))
            with suppress(ConnectionError):
                while sent < 10 << 30:
                    connection.sendall(b"10000\r\n" + bytes(0x10000) + b"\r\n")
                    sent += 0x10000
                    # the server swallows for a tenth of a second what is still under way, so that its answer arrives
                    check(sent < 2 << 30, f"{path} read {sent >> 20} MB")
        most_mb = max(most_mb, sent / 1e6)
    check(server.uploads() == [], "part of it was kept")
    return Refusal("closed", f"after {most_mb:.0f} MB")


def compressed_bomb(server: Server) -> Refusal:
    bomb = zlib.compress(b'{"sdp": "' + b"v" * 50_000_000)
    return server.ask("POST", "/api/view", bomb, server.owner, Content_Encoding="deflate").refused(400, 413)


def _as_photo(server: Server, *photos: bytes) -> Refusal:
    for photo in photos:
        reply = server.ask("POST", "/api/dashboard/photos", photo, server.owner)
        reason = json.loads(reply.body).get("reason")
        check(reply.status == 200 and reason, f"taken: {reply.body[:80]!r}")
        check(server.uploads() == [], "it was kept")
        server.ask("POST", "/api/dashboard/background", photo, server.owner).refused(400)
    return Refusal("refused, deleted", reason)


# Names and paths


def path_traversal(server: Server) -> Refusal:
    paths = (
        "/../server.py", "/..%2fserver.py", "/%2e%2e/server.py", "/page/index.html", "//etc/passwd", "/.", "/x\x7f",
        "/..\\server.py", "/index.html/../../server.py", "/%00", "/api/dashboard/avatars/..%2f..%2fcall.pem/thumbnail",
    )  # fmt: skip
    for path in paths:
        with server.connect() as connection:
            connection.sendall(server.head("GET", path, "Connection: close"))
            status = connection.recv(4096).split()[1].decode()
            check(status in ("400", "404"), f"{path}: {status}")
    return Refusal("400, 404", "only files known by exact name")


def names_as_paths(server: Server) -> Refusal:
    for name in BAD_NAMES:
        wish = json.dumps({"name": name, "consent": {"kind": "oneself"}, "avatar": name, "camera": "browser"})
        server.ask("POST", "/api/dashboard/live", wish, server.owner).refused(400)
        refusal = server.ask("POST", "/api/dashboard/enrolment", wish, server.owner).refused(400)
        check("cannot be the name" in refusal.said, refusal.said)
    check(not list(server.home.parent.rglob("out*")), "something was written")
    return refusal


# Time


def slow_loris(server: Server) -> Refusal:
    """The TLS handshake, the head or the body of a request, of which almost nothing ever comes."""

    def closed_after(connection: socket.socket, drip: bytes) -> float:
        begin_s = time.monotonic()
        connection.settimeout(1.0)
        with connection, suppress(ConnectionError, ssl.SSLError):
            while time.monotonic() - begin_s < 90:
                try:
                    if not connection.recv(4096):
                        break
                except TimeoutError:
                    connection.sendall(drip)
        return time.monotonic() - begin_s

    def handshake() -> float:
        return closed_after(socket.create_connection(("127.0.0.1", server.tls_port), timeout=ANSWER_S), b"")

    def head(tls: bool) -> float:
        connection = server.connect(tls)
        connection.sendall(f"GET / HTTP/1.1\r\nHost: {server.own}\r\nX-Slow: ".encode())
        return closed_after(connection, b"x")

    def body() -> float:
        connection = server.connect()
        connection.sendall(server.head("POST", "/api/view", "Content-Length: 1000"))
        return closed_after(connection, b"x")

    with ThreadPoolExecutor(4) as at_once:
        times_s = list(at_once.map(lambda slow: slow(), (handshake, lambda: head(True), lambda: head(False), body)))
    named = dict(zip(("handshake", "head by TLS", "head", "body"), times_s, strict=True))
    for what, seconds in named.items():
        check(seconds < 60, f"{what}: still open after {seconds:.0f} s")
    return Refusal("closed", ", ".join(f"{what} after {seconds:.0f} s" for what, seconds in named.items()))


def held_connections(server: Server) -> Refusal:
    """Strangers hold as many connections as they can, of 300; the owner's page does not notice."""
    with ExitStack() as held:
        connections = [
            held.enter_context(socket.create_connection(("127.0.0.1", server.tls_port), timeout=ANSWER_S))
            for _ in range(300)
        ]
        for connection in connections:
            connection.setblocking(False)
        end_s, closed = time.monotonic() + 5, set[socket.socket]()
        while len(closed) < 300 - 128 and time.monotonic() < end_s:
            for connection in connections:
                with suppress(BlockingIOError):
                    try:
                        if not connection.recv(1):
                            closed.add(connection)
                    except ConnectionError:
                        closed.add(connection)
            time.sleep(0.1)
        check(len(closed) >= 300 - 128, f"{300 - len(closed)} were let in")
        check(server.ask("GET", "/api/state", token=server.owner).status == 200, "the owner is locked out")
    return Refusal("closed", f"{len(closed)} of 300 at once; the owner's page answers")


# Ways around TLS


def plain_beyond_loopback(server: Server) -> Refusal:
    """Without TLS to the port for others; a room and a WHIP server elsewhere without it."""
    request = f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{server.tls_port}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", server.tls_port), timeout=ANSWER_S) as plain:
        plain.sendall(request)
        with suppress(ConnectionError):
            check(not plain.recv(4096).startswith(b"HTTP/1.1 200"), "the page came without TLS")
    told = _command(server.home, "call", "--join", "http://192.0.2.5:8443/#room=secret", "--no-open")
    check("secret" not in told.said, "the token is in the message")
    return Refusal(f"closed; {told.met}", told.said)


@contextmanager
def _room_of_a_stranger(says: str | None) -> Iterator[str]:
    """A host that says this to whoever joins, or nothing. Yields the link."""

    async def room(request: web.Request) -> web.WebSocketResponse:
        guest = web.WebSocketResponse(protocols=("visavis",))
        await guest.prepare(request)
        if says is not None:
            await guest.send_str(says)
        async for _ in guest:
            pass
        return guest

    async def start() -> web.AppRunner:
        app = web.Application()
        app.router.add_get("/room", room)
        runner = web.AppRunner(app, shutdown_timeout=0.5)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner

    thread = MediaThread("stranger")
    try:
        runner = thread.wait(start())
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/#room=secret"
        thread.wait(runner.cleanup())
    finally:
        thread.close()


ESCAPES = "\x1b]0;mine\x07\x1b[2J\x1b[31mfull\r\n\u202e"
WORDS = (
    json.dumps({"type": "error", "reason": ESCAPES}),
    json.dumps({"type": "welcome", "you": "1", "members": [{"id": ESCAPES * 9}]}),
    None,
)


def hostile_rooms(server: Server) -> Refusal:
    """Rooms of strangers, to which a link leads: one says what steers a terminal, one never welcomes anybody."""
    for says in WORDS:
        with _room_of_a_stranger(says) as link:
            refusal = _command(server.home, "call", "--camera", "browser", "--no-open", "--join", "-", given=link)
        check("does not let us in" in refusal.said, refusal.said)
        check(refusal.said.isprintable() and "secret" not in refusal.said, "it reached the terminal")
    return refusal


def locked_key(server: Server) -> Refusal:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        certificate, _ = own_certificate(folder, ["127.0.0.1"])
        key = serialization.load_pem_private_key(certificate.read_bytes(), None)
        word = serialization.BestAvailableEncryption(b"word")
        locked = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, word)
        (folder / "key.pem").write_bytes(locked)
        tls = ("--listen", "127.0.0.1:0", "--certificate", str(certificate), "--key", str(folder / "key.pem"))
        refusal = _command(server.home, "call", "--camera", "browser", "--no-open", *tls)
        return Refusal(refusal.met, refusal.said.replace(f"{folder}/", ""))


# Files


def _command(home: Path, *arguments: str, given: str = "") -> Refusal:
    """A command that must fail, in one line that says why. given: to its standard input."""
    environment = {**os.environ, "VISAVIS_HOME": str(home), ALLOW_VARIABLE: "0", "COLUMNS": "1000"}
    done = subprocess.run(
        [*COMMAND, *arguments],
        input=given,
        capture_output=True,
        text=True,
        timeout=300,
        env=environment,
        cwd=_root(),
    )
    check(done.returncode in (1, 2), f"exit code {done.returncode}")
    check("Traceback" not in done.stderr, "a traceback")
    return Refusal(f"exit code {done.returncode}", " ".join(done.stderr.split()).rpartition("Error: ")[2])


def _attacked_with(folder: Path, name: str, data: bytes, *command: str) -> Refusal:
    path = folder / name
    path.write_bytes(data)
    before = {file: file.stat().st_mtime_ns for file in folder.rglob("*")}
    refusal = _command(folder / "home", *(part.replace("FILE", str(path)) for part in command))
    left = [file.name for file in folder.rglob("*") if file.is_file() and file not in before]
    check(not left, f"{left} was written")
    return Refusal(refusal.met, refusal.said.replace(str(path), name))


def hostile_avatar(make: Callable[[Path], bytes]) -> Callable[[Server], Refusal]:
    def attack(_server: Server) -> Refusal:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            drive = ("drive", "FILE", "--input", str(folder / "talk.mp4"), "--output", str(folder / "out.mp4"))
            return _attacked_with(folder, "evil.avatar", make(folder), *drive)

    return attack


def hostile_motion(make: Callable[[Path], bytes]) -> Callable[[Server], Refusal]:
    def attack(_server: Server) -> Refusal:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            save_avatar(made_up_avatar(), folder / "anna.avatar")
            drive = ("drive", str(folder / "anna.avatar"), "--input", "FILE", "--output", str(folder / "out.mp4"))
            return _attacked_with(folder, "evil.motion", make(folder), *drive, *ENGINE)

    return attack


ATTACKS: dict[str, Callable[[Server], Refusal]] = {
    "bad session descriptions, 24 kinds": bad_sdp,
    "no token": no_token,
    "a guest's token for the owner's controls": guests_token,
    "foreign Host (DNS rebinding)": foreign_host,
    "foreign Origin": foreign_origin,
    "WebSocket of a foreign page": foreign_websocket,
    "hostile signalling messages, 10 kinds": hostile_message,
    "1,000 messages at once": flood_of_messages,
    "JSON of 10 MB": long_json,
    "90 messages of 120,000 values each": long_lists,
    "a fifth member": too_many_members,
    "40 sessions at once": too_many_sessions,
    "50 connections in a row": fifty_connects,
    "40 offers, each by joining again": offers_by_joining_again,
    "noise to the ports of the media": datagrams,
    "charsets that take long to decode": charsets,
    "numbers beyond all use": numbers_beyond_use,
    "choices of the page that cannot be": impossible_choices,
    "upload of 10 GB, announced": announced_ten_gigabytes,
    "upload of 10 GB, chunked": endless_upload,
    "compressed bomb of 50 MB": compressed_bomb,
    "zip bomb as a photo": lambda server: _as_photo(server, zip_bomb()),
    "picture bombs, 100,000² and 7,990²": lambda server: _as_photo(server, picture_bomb(), packed_picture()),
    "paths out of the page's folder": path_traversal,
    "names as paths": names_as_paths,
    "slow loris": slow_loris,
    "300 connections held": held_connections,
    "without TLS beyond loopback": plain_beyond_loopback,
    "rooms of strangers, 3 kinds": hostile_rooms,
    "a key with a passphrase": locked_key,
    "guessed tokens": wrong_token,  # after which those without one are slowed down
    "500 tokens that are no text": tokens_that_are_no_text,
    "guessed tokens where none is needed": wrong_tokens_on_the_page,
    "what is no HTTP, 8 kinds": no_http,
    ".avatar: a pickle": hostile_avatar(pickled),
    ".avatar: 300 MB in its manifest": hostile_avatar(bundle_bomb),
    ".avatar: members that climb out": hostile_avatar(climbing_members),
    ".avatar: cut off": hostile_avatar(cut_off),
    ".motion: a pickle": hostile_motion(pickled),
    ".motion: endless header": hostile_motion(motion_without_end),
    ".motion: a picture in it": hostile_motion(motion_of_something_else),
}


def carry_out(name: str, server: Server) -> Outcome:
    """One attack. Whatever the attacked program does, there is an outcome."""
    of_command = name.startswith(".")  # which is a child of this process
    since_s = time.monotonic()
    with _Growth(server, of_command) as growth:
        begin_s = time.monotonic()
        try:
            refusal, refused = ATTACKS[name](server), True
            check(server.process.is_running() and server.state(), "the server does not answer any more")
        except Exception as failure:  # an attack that breaks something breaks it in its own way
            refusal, refused = Refusal("not refused", f"{type(failure).__name__}: {failure}"), False
        seconds = time.monotonic() - begin_s
    if refused and growth.mb > (MOST_COMMAND_MB if of_command else MOST_GROWTH_MB):
        refusal, refused = Refusal("memory", f"{growth.mb:.0f} MB more"), False
    still_s = server.bystander.longest_gap_s(since_s)
    if refused and still_s > MOST_GAP_S:
        refusal, refused = Refusal("the call stopped", f"{still_s:.1f} s without a picture"), False
    return Outcome(name, refused, refusal.met, refusal.said, round(seconds, 2), round(growth.mb, 1), round(still_s, 2))


class _Growth:
    """By how much the server grows meanwhile, or what a command takes, in MB, children included."""

    def __init__(self, server: Server, of_command: bool) -> None:
        self.mb = 0.0
        self._server, self._bystander, self._of_command = server.process, server.bystander.pid, of_command
        self._before = 0 if of_command else self._size()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> _Growth:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.05):
            self.mb = max(self.mb, (self._size() - self._before) / 1e6)

    def _size(self) -> int:
        size = 0
        with suppress(psutil.NoSuchProcess):
            servers = {self._server, *self._server.children(recursive=True)}
            beside = servers | {psutil.Process(self._bystander)}
            watched = set(psutil.Process().children(recursive=True)) - beside if self._of_command else servers
            for process in watched:
                with suppress(psutil.NoSuchProcess):
                    if not _just_begun(process):
                        size += process.memory_info().rss
        return size


def _just_begun(process: psutil.Process) -> bool:
    """Whether it has not become its own program yet: until then its memory is its parent's, which is counted."""
    parent = process.parent()
    return parent is not None and parent.cmdline() == process.cmdline()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=ATTACKS, default=list(ATTACKS), metavar="NAME")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    outcomes: list[Outcome] = []
    console = Console(stderr=True, highlight=False)
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as server:
        for name in options.only:
            with console.status(name):
                outcomes.append(carry_out(name, server))
    if options.json:
        print(json.dumps([asdict(outcome) for outcome in outcomes], indent=2))
    else:
        rows = [(_row(outcome), None if outcome.refused else "red") for outcome in outcomes]
        print_table(COLUMNS, rows, markdown=options.markdown)
    sys.exit(0 if all(outcome.refused for outcome in outcomes) else 1)


COLUMNS = ("attack", "met with", "said", "time", "memory", "still")


def _row(outcome: Outcome) -> list[str]:
    said = outcome.said if len(outcome.said) <= 120 else outcome.said[:119] + "…"
    return [
        outcome.attack,
        outcome.met if outcome.refused else outcome.met.upper(),
        said.replace("|", "\\|"),
        f"{outcome.seconds:.1f} s",
        f"{outcome.memory_mb:.0f} MB",
        f"{outcome.still_s:.2f} s",
    ]


if __name__ == "__main__":
    main()
