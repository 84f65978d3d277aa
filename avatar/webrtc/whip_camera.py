"""`--camera whip`: this computer waits for a source by WHIP, on loopback, and that drives the avatar."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress

from aiohttp import web

from avatar.core.errors import UsageError
from avatar.http.listener import LOOPBACK, Listener
from avatar.http.safety import Gate, Tokens
from avatar.webrtc.ice import Ice
from avatar.webrtc.media_thread import MediaThread
from avatar.webrtc.peers import Peers
from avatar.webrtc.remote_camera import RemoteCamera
from avatar.webrtc.sound import Sound
from avatar.webrtc.whip_source import WhipSource, source_advice, source_token
from engines import Say, on_stderr

STOP_S = 15.0


class WhipCamera(RemoteCamera):
    """Listens from the start until it is closed; nothing but WHIP is served, to nobody but who has the token.

    A process that uses it must keep its network.
    """

    def __init__(self, port: int = 0, sounds: Collection[Sound] = (), say: Say = on_stderr) -> None:
        """port: 0 takes a free one. sounds: as of WhipSource. Raises DeviceError where the port is taken."""
        super().__init__("a source by WHIP", say)
        self.tokens = Tokens(source=source_token())
        self._peers = Peers(Ice(), most=2)
        self._thread = MediaThread("visavis-whip-source")
        try:
            self.url = self._thread.wait(self._start(port, sounds))
        except BaseException:
            self._thread.close()
            raise
        say(source_advice([self.url], self.tokens.source))

    def close(self) -> None:
        super().close()
        if self._thread.alive:
            with suppress(TimeoutError):  # closing the thread ends what is left
                self._thread.wait(self._stop(), STOP_S)
            self._thread.close()

    async def _start(self, port: int, sounds: Collection[Sound]) -> str:
        gate = Gate(self.tokens)
        self._listener = Listener(gate)
        source = WhipSource(self._peers, lambda: self, sounds)

        def allowed(request: web.Request) -> bool:
            return gate.role(request) == "source"

        source.endpoint(allowed).add_routes(self._listener.app)
        port = await self._listener.start(LOOPBACK, port)
        gate.allow({f"http://{LOOPBACK}:{port}", f"http://localhost:{port}"})
        return f"http://{LOOPBACK}:{port}/whip"

    async def _stop(self) -> None:
        await self._listener.stop_listening()
        await self._peers.close_all()
        await self._listener.close()


def whip_port(spec: str) -> int:
    """The port in "whip" (0: any) or "whip:8080". Raises UsageError.

    >>> whip_port("whip:8080")
    8080
    """
    port = spec.removeprefix("whip").removeprefix(":")
    if port and not (port.isascii() and port.isdecimal() and 0 < int(port) < 65536):
        raise UsageError(
            f"--camera {spec} is not whip or whip:PORT. To publish the avatar to a server, type --to whip:URL"
        )
    return int(port or 0)
