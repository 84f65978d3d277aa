"""One application at one or more addresses: on loopback as it is, for others by TLS."""

from __future__ import annotations

import asyncio
import socket
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
        self._listening: list[asyncio.Task[None]] = []

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
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            listening = socket.create_server((host, port), family=family, backlog=32)
        except OSError as error:
            raise DeviceError(f"{host}:{port} cannot be listened on ({error.strerror}). Try another port.") from error
        listening.setblocking(False)
        self._listening.append(asyncio.ensure_future(self._accept_all(listening, tls)))
        return int(listening.getsockname()[1])

    async def stop_listening(self) -> None:
        for accepting in self._listening:
            accepting.cancel()
        await asyncio.gather(*self._listening, return_exceptions=True)

    async def _accept_all(self, listening: socket.socket, tls: ssl.SSLContext | None) -> None:
        """asyncio's own servers count nobody whose TLS handshake is not over."""
        assert self._runner is not None and self._runner.server is not None
        loop, server = asyncio.get_running_loop(), self._runner.server
        patience_s = None if tls is None else HANDSHAKE_S
        shaking: dict[asyncio.BaseProtocol, asyncio.Task[None]] = {}

        async def connect(connection: socket.socket, protocol: asyncio.BaseProtocol) -> None:
            try:
                await loop.connect_accepted_socket(
                    lambda: protocol, connection, ssl=tls, ssl_handshake_timeout=patience_s
                )
            except OSError:  # whatever the other side does wrong
                pass
            finally:
                del shaking[protocol]

        try:
            while True:
                try:
                    connection, _ = await loop.sock_accept(listening)
                except OSError:  # too many open files, for example
                    await asyncio.sleep(1)
                    continue
                # strangers do not reach this computer's own page, which comes without TLS and always gets in
                if tls is not None and len({*server.connections, *shaking}) >= MOST_CONNECTIONS:
                    connection.close()
                    continue
                protocol = server()
                shaking[protocol] = asyncio.ensure_future(connect(connection, protocol))
        finally:
            listening.close()
            for task in shaking.values():
                task.cancel()

    async def close(self) -> None:
        """Cut off who is still connected, and free all."""
        await self.stop_listening()
        if self._runner is not None:
            await self._runner.cleanup()
