"""The owner's open pages: each hears of every change and every second, and gets pictures as fast as it asks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from aiohttp import WSMsgType, web

from avatar.core.frame import Frame
from avatar.dashboard.preview import as_jpeg
from avatar.dashboard.refusals import TooManyError
from avatar.http.safety import PROTOCOL, close_sockets
from avatar.live.driver_points import Points

MOST_PAGES = 4
MOST_WAITING = 64  # messages for one page
HEARTBEAT_S, SEND_S = 10.0, 10.0
POINTS_S = 1 / 15  # between two answers to "points"
TOGETHER_S = 0.05  # changes within it are told once

Message = dict[str, Any]


class OpenPages:
    """`changed`, `second` and `frame` may come from any thread, and before `start`; the rest belongs to the event loop.

    state: what a page is told at its start and after each change. newest: the picture for a page that asks for one.
    points: of the driver's face, likewise.
    """

    def __init__(
        self,
        state: Callable[[], Awaitable[Message]],
        newest: Callable[[], Frame | None],
        points: Callable[[], Points],
    ) -> None:
        self._state, self._newest, self._points = state, newest, points
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pages: set[_Page] = set()
        self._telling: asyncio.Task[None] | None = None
        self._news = False

    @property
    def count(self) -> int:
        """How many are open."""
        return len(self._pages)

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()

    async def close(self) -> None:
        await close_sockets([page.socket for page in self._pages], b"visavis ends")

    def stop(self) -> None:
        """Nobody is told anything more."""
        if self._telling is not None:
            self._telling.cancel()

    def changed(self) -> None:
        self._call(self._tell_soon)

    def second(self, figures: Message) -> None:
        self._call(lambda: self._to_all({"type": "second", "figures": figures}))

    def frame(self) -> None:
        if self._pages:
            self._call(self._wake_all)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """A page's WebSocket, until it closes. Raises TooManyError."""
        if len(self._pages) >= MOST_PAGES:
            raise TooManyError("This page is open too often. Close the other windows.")
        socket = web.WebSocketResponse(
            protocols=(PROTOCOL,),
            heartbeat=HEARTBEAT_S,
            max_msg_size=1024,
            compress=False,  # its pictures are JPEG already, thirty a second
        )
        await socket.prepare(request)
        page = _Page(socket, request.transport)
        self._pages.add(page)
        if len(self._pages) > 1:
            self._tell_soon()
        senders = page.send_all(), page.send_frames(self._newest), page.send_points(self._points)
        sending = [asyncio.create_task(sender) for sender in senders]
        try:
            page.tell({"type": "state", **await self._state()})
            async for message in socket:
                if message.type is WSMsgType.TEXT and message.data == "frame":
                    page.wanted.set()
                elif message.type is WSMsgType.TEXT and message.data == "points":
                    page.points_wanted.set()
        except ConnectionError:
            pass
        finally:
            self._pages.discard(page)
            self._tell_soon()
            for task in sending:
                task.cancel()
        return socket

    def _call(self, function: Callable[[], None]) -> None:
        if self._loop is not None:
            with suppress(RuntimeError):  # closed
                self._loop.call_soon_threadsafe(function)

    def _tell_soon(self) -> None:
        self._news = True
        if self._telling is None or self._telling.done():
            self._telling = asyncio.create_task(self._tell())

    async def _tell(self) -> None:
        while self._news:
            self._news = False
            await asyncio.sleep(TOGETHER_S)
            if self._pages:
                self._to_all({"type": "state", **await self._state()})

    def _to_all(self, message: Message) -> None:
        for page in self._pages:
            page.tell(message)

    def _wake_all(self) -> None:
        for page in self._pages:
            page.new_frame.set()


class _Page:
    """One open page: a queue of messages, and pictures as fast as it asks for them."""

    def __init__(self, socket: web.WebSocketResponse, transport: asyncio.Transport | None) -> None:
        self.socket = socket
        self.wanted, self.new_frame = asyncio.Event(), asyncio.Event()
        self.points_wanted = asyncio.Event()
        self._transport = transport
        self._queue: asyncio.Queue[Message] = asyncio.Queue(MOST_WAITING)

    def tell(self, message: Message) -> None:
        if not self._queue.full():
            self._queue.put_nowait(message)
        elif self._transport is not None:  # a slow reader
            self._transport.abort()

    async def send_all(self) -> None:
        while True:
            message = await self._queue.get()
            await self._send(self.socket.send_json(message))

    async def send_frames(self, newest: Callable[[], Frame | None]) -> None:
        while True:
            await self.wanted.wait()
            self.new_frame.clear()
            await self.new_frame.wait()
            frame = newest()
            if frame is not None:
                self.wanted.clear()
                await self._send(self.socket.send_bytes(await asyncio.to_thread(as_jpeg, frame)))

    async def send_points(self, points: Callable[[], Points]) -> None:
        while True:
            await self.points_wanted.wait()
            self.points_wanted.clear()
            await self._send(self.socket.send_json({"type": "points", "points": points()}))
            await asyncio.sleep(POINTS_S)

    async def _send(self, sending: Awaitable[None]) -> None:
        try:
            async with asyncio.timeout(SEND_S):
                await sending
        except (TimeoutError, ConnectionError):
            if self._transport is not None:
                self._transport.abort()
