"""WHIP into Janus, a media server of others: visavis → Janus → a viewer.

The bridge does what Janus' `simple-whip-server` does, which Janus lacks: it passes the offer on to VideoRoom.
"""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiortc import RTCPeerConnection, RTCSessionDescription

from avatar.webrtc.ice import Ice
from avatar.webrtc.media_thread import MediaThread
from avatar.webrtc.whip import WhipPublisher
from avatar.webrtc.whip_target import WhipTarget
from tests.e2e.moving_avatar import MovingAvatar

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.realtime,
    pytest.mark.skipif(shutil.which("janus") is None, reason="no Janus: apt-get install janus"),
]
PLUGINS = next(iter(Path("/usr/lib").glob("*/janus")), Path("/usr/lib/janus"))
TOKEN, ROOM, PUBLISHER = "let-me-in", 1234, 42


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def janus(tmp_path: Path) -> Iterator[str]:
    """Janus with VideoRoom and HTTP alone, on loopback. Gives the address of its API."""
    port, transports, plugins = free_port(), tmp_path / "transports", tmp_path / "plugins"
    for folder, source, name in ((transports, "transports", "http"), (plugins, "plugins", "videoroom")):
        folder.mkdir()
        for library in (PLUGINS / source).glob(f"libjanus_{name}.so"):
            (folder / library.name).symlink_to(library)
    (tmp_path / "janus.jcfg").write_text(
        f'general: {{ configs_folder = "{tmp_path}"; plugins_folder = "{plugins}"; transports_folder = "{transports}"\n'
        "log_to_stdout = true }\nmedia: {}\nnat: {}\nplugins: {}\ntransports: {}\n"
    )
    (tmp_path / "janus.transport.http.jcfg").write_text(
        f'general: {{ json = "compact"; base_path = "/janus"; http = true; port = {port}; ip = "127.0.0.1" }}\n'
        "admin: { admin_http = false }\n"
    )
    (tmp_path / "janus.plugin.videoroom.jcfg").write_text(
        f'general: {{}}\nroom-{ROOM}: {{ publishers = 4; videocodec = "h264,vp8"; bitrate = 2000000 }}\n'
    )
    log = (tmp_path / "janus.log").open("w")
    process = subprocess.Popen(
        ["janus", "-F", str(tmp_path), "-C", str(tmp_path / "janus.jcfg")], stdout=log, stderr=subprocess.STDOUT
    )
    try:
        end_s = time.monotonic() + 20
        while True:
            assert process.poll() is None and time.monotonic() < end_s, (tmp_path / "janus.log").read_text()[-3000:]
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/janus"
    finally:
        process.terminate()
        process.wait(10)
        log.close()


class JanusHandle:
    """A session of Janus' HTTP API with one handle on VideoRoom."""

    def __init__(self, http: aiohttp.ClientSession, api: str) -> None:
        self._http, self._api = http, api

    async def open(self) -> None:
        self.session = f"{self._api}/{(await self._ask(self._api, janus='create'))['data']['id']}"
        attached = await self._ask(self.session, janus="attach", plugin="janus.plugin.videoroom")
        self.handle = f"{self.session}/{attached['data']['id']}"

    async def say(self, body: dict[str, Any], jsep: dict[str, str] | None = None) -> dict[str, Any]:
        """Send a message to the plug-in, and wait for its event."""
        message: dict[str, Any] = {"janus": "message", "body": body} | ({"jsep": jsep} if jsep else {})
        reply = await self._ask(self.handle, **message)
        while reply["janus"] == "ack" or reply["janus"] in ("webrtcup", "media", "keepalive"):
            async with self._http.get(self.session) as response:
                reply = await response.json()
        assert "error" not in str(reply.get("plugindata", {}).get("data", {})), reply
        return reply

    async def end(self) -> None:
        await self._ask(self.session, janus="destroy")

    async def _ask(self, url: str, **message: Any) -> dict[str, Any]:
        async with self._http.post(url, json={"transaction": "t", **message}) as response:
            reply: dict[str, Any] = await response.json()
        assert reply["janus"] != "error", reply
        return reply


class Bridge:
    """A WHIP endpoint before Janus, and one viewer behind it."""

    def __init__(self, api: str) -> None:
        self.thread, self._api = MediaThread("bridge"), api
        self.frames, self.deleted = {"video": 0, "audio": 0}, 0
        self.size = (0, 0)
        self.port = self.thread.wait(self._serve())

    async def _serve(self) -> int:
        self._http = aiohttp.ClientSession()
        app = web.Application()
        app.router.add_post("/whip", self._post)
        app.router.add_delete("/session", self._delete)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return int(self._runner.addresses[0][1])

    async def _post(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return web.Response(status=401)
        self._publisher = JanusHandle(self._http, self._api)
        await self._publisher.open()
        await self._publisher.say({"request": "join", "ptype": "publisher", "room": ROOM, "id": PUBLISHER})
        offer = {"type": "offer", "sdp": await request.text()}
        answered = await self._publisher.say({"request": "publish"}, offer)
        headers = {"Location": "/session"}
        answer = answered["jsep"]["sdp"]
        return web.Response(status=201, text=answer, content_type="application/sdp", headers=headers)

    async def _delete(self, _request: web.Request) -> web.Response:
        self.deleted += 1
        await self._publisher.end()
        return web.Response()

    async def view(self) -> None:
        """Subscribe to the publisher as any viewer of the room does."""
        viewer = JanusHandle(self._http, self._api)
        await viewer.open()
        streams = [{"feed": PUBLISHER}]
        offered = await viewer.say({"request": "join", "ptype": "subscriber", "room": ROOM, "streams": streams})
        self._viewer = RTCPeerConnection(Ice().configuration())
        self._viewer.on("track", lambda track: asyncio.ensure_future(self._count(track)))
        sdp = offered["jsep"]["sdp"].replace("a=setup:actpass", "a=setup:active")
        await self._viewer.setRemoteDescription(RTCSessionDescription(sdp, "offer"))
        await self._viewer.setLocalDescription(await self._viewer.createAnswer())
        answer = {"type": "answer", "sdp": self._viewer.localDescription.sdp}
        await viewer.say({"request": "start"}, answer)

    async def _count(self, track: Any) -> None:
        while True:
            frame = await track.recv()
            self.frames[track.kind] += 1
            if track.kind == "video":
                self.size = frame.width, frame.height

    async def _stop(self) -> None:
        await self._viewer.close()
        await self._runner.cleanup()
        await self._http.close()

    def close(self) -> None:
        self.thread.wait(self._stop())
        self.thread.close()


@pytest.mark.parametrize("codec", ["h264", "vp8"])
def test_the_avatar_goes_through_janus_to_a_viewer(janus: str, codec: str) -> None:
    bridge = Bridge(janus)
    publisher = WhipPublisher(WhipTarget(f"http://127.0.0.1:{bridge.port}/whip", TOKEN), codec=codec)
    publisher.open(512, 512, 30)
    avatar = MovingAvatar(publisher.send)
    try:
        bridge.thread.wait(bridge.view(), 20)
        end_s = time.monotonic() + 20
        while bridge.frames["video"] < 30 or bridge.frames["audio"] < 30:
            assert time.monotonic() < end_s, bridge.frames
            time.sleep(0.05)
        print(codec, bridge.frames)
    finally:
        avatar.stop()
        publisher.close()
        bridge.close()
    assert bridge.size == (512, 512) and bridge.deleted == 1
