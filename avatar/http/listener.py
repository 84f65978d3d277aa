"""One application at one or more addresses: on loopback as it is, for others by TLS."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import Any

from aiohttp import web

from avatar.core.errors import DeviceError
from avatar.http.safety import HEADERS, LARGEST_BODY, Gate, add_headers

LOOPBACK = "127.0.0.1"
LOOPBACK_NAMES = (LOOPBACK, "::1", "localhost")
MOST_CONNECTIONS = 128  # that others may hold open
HANDSHAKE_S = 10.0
SHUTDOWN_S = 3.0


class Listener:
    """`gate` stands before every handler of `app`, whose routes are added first. All runs on one asyncio loop."""

    def __init__(self, gate: Gate) -> None:
        self.app = web.Application(middlewares=[gate.middleware], client_max_size=LARGEST_BODY)
        self.app.on_response_prepare.append(add_headers)
        self._gate = gate
        self._runner: web.AppRunner | None = None
        self._listening: dict[int, asyncio.Task[None]] = {}  # by port

    async def start(self, host: str, port: int) -> int:
        """Set up, and `listen` without TLS: for loopback."""
        self._runner = web.AppRunner(self.app, shutdown_timeout=SHUTDOWN_S)
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
        taken = int(listening.getsockname()[1])
        self._listening[taken] = asyncio.ensure_future(self._accept_all(listening, tls))
        return taken

    async def stop_listening(self, port: int | None = None) -> None:
        """There, or anywhere. Who is connected stays so."""
        ports = list(self._listening) if port is None else [port]
        accepting = [self._listening.pop(one) for one in ports]
        for task in accepting:
            task.cancel()
        await asyncio.gather(*accepting, return_exceptions=True)

    async def _accept_all(self, listening: socket.socket, tls: ssl.SSLContext | None) -> None:
        """asyncio's own servers count nobody whose TLS handshake is not over."""
        assert self._runner is not None and self._runner.server is not None
        loop, server = asyncio.get_running_loop(), self._runner.server
        patience_s = None if tls is None else HANDSHAKE_S
        handshakes: dict[asyncio.BaseProtocol, asyncio.Task[None]] = {}

        async def connect(connection: socket.socket, protocol: asyncio.BaseProtocol) -> None:
            try:
                await loop.connect_accepted_socket(
                    lambda: protocol, connection, ssl=tls, ssl_handshake_timeout=patience_s
                )
            except OSError:  # whatever the other side does wrong
                pass
            finally:
                del handshakes[protocol]

        try:
            while True:
                try:
                    connection, _ = await loop.sock_accept(listening)
                except OSError:  # too many open files, for example
                    await asyncio.sleep(1)
                    continue
                # strangers do not reach this computer's own page, which comes without TLS and always gets in
                if tls is not None and len({*server.connections, *handshakes}) >= MOST_CONNECTIONS:
                    connection.close()
                    continue
                protocol = _Connection(server, self._gate)
                handshakes[protocol] = asyncio.ensure_future(connect(connection, protocol))
        finally:
            listening.close()
            for task in handshakes.values():
                task.cancel()

    async def close(self) -> None:
        """Cut off who is still connected, and free all."""
        await self.stop_listening()
        if self._runner is not None:
            await self._runner.cleanup()


class _Connection(web.RequestHandler):
    """One connection. What is no HTTP never reaches the gate's middleware, and is counted and answered here."""

    __slots__ = ("_gate",)

    def __init__(self, server: web.Server, gate: Gate) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]
            keepalive_timeout=30,
            lingering_time=0.1,  # how long the rest of a refused body is still swallowed
        )
        self._gate = gate

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        if isinstance(exc, ConnectionError):  # the other side has gone
            raise exc
        if isinstance(exc, UnicodeError):  # aiohttp's own answer repeats a header that is no text
            status = 400
        self._gate.tell(request.remote, exc or RuntimeError(message or status))
        if request.writer.output_size > 0:
            raise ConnectionAbortedError
        text = "Something unexpected went wrong here.\n" if status >= 500 else "That is not HTTP.\n"
        try:
            self._gate.count_wrong(request)
        except web.HTTPTooManyRequests as refusal:
            status, text = refusal.status, refusal.text or ""
        answer = web.Response(status=status, text=text, headers=HEADERS)
        answer.force_close()
        return answer

    def log_exception(self, *args: Any, exc_info: BaseException | None = None, **kw: Any) -> None:
        """Log what aiohttp runs into after the answer, as in the rest of a body."""
        self._gate.tell(None, exc_info or RuntimeError(*args))
