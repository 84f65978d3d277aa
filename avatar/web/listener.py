"""One application at one or more addresses: on loopback as it is, for others by TLS."""

from __future__ import annotations

import asyncio
import ssl

from aiohttp import web

from avatar.errors import DeviceError
from avatar.web.server_safety import LARGEST_BODY, Gate

LOOPBACK = "127.0.0.1"
MOST_CONNECTIONS = 128  # that others may hold open
HANDSHAKE_S = 10.0
SHUTDOWN_S = 3.0


class Listener:
    """`gate` stands before every handler of `app`, whose routes are added first. All runs on one asyncio loop."""

    def __init__(self, gate: Gate) -> None:
        self.app = web.Application(middlewares=[gate.middleware], client_max_size=LARGEST_BODY)
        self._runner: web.AppRunner | None = None
        self._listening: list[asyncio.Server] = []

    async def start(self, host: str, port: int) -> int:
        """Set up, and `listen` without TLS: for loopback."""
        self._runner = web.AppRunner(
            self.app,
            access_log=None,
            keepalive_timeout=30,
            lingering_time=0.1,  # how long the rest of a refused body is still swallowed
            shutdown_timeout=SHUTDOWN_S,
        )
        await self._runner.setup()
        return await self.listen(host, port, None)

    async def listen(self, host: str, port: int, tls: ssl.SSLContext | None) -> int:
        """Serve at one more address; port 0 takes a free one. Returns the port. Raises DeviceError."""
        assert self._runner is not None and self._runner.server is not None, "start comes first"
        server = self._runner.server

        def accept() -> asyncio.BaseProtocol:
            # strangers do not reach this computer's own page, which comes without TLS and always gets in
            return _Refused() if tls is not None and len(server.connections) >= MOST_CONNECTIONS else server()

        try:
            listening = await asyncio.get_running_loop().create_server(
                accept, host, port, ssl=tls, backlog=32, ssl_handshake_timeout=None if tls is None else HANDSHAKE_S
            )
        except OSError as error:
            raise DeviceError(f"{host}:{port} cannot be listened on ({error.strerror}). Try another port.") from error
        self._listening.append(listening)
        return int(listening.sockets[0].getsockname()[1])

    def stop_listening(self) -> None:
        for listening in self._listening:
            listening.close()

    async def close(self) -> None:
        """Cut off who is still connected, and free all."""
        self.stop_listening()
        if self._runner is not None:
            await self._runner.cleanup()


class _Refused(asyncio.Protocol):
    """One connection too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.abort()
