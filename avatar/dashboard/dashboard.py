"""The owner's page beside the call: avatars, enrolment and the live session, over HTTP and one WebSocket.

Mounted behind the server's Gate by `Dashboard.add_routes`. Everything is for the *owner* alone. Below /api/dashboard:

    GET    (nothing more)          → {avatars, enrolment, live}, as the events below
    GET    /choices                → {cameras, virtual_camera, engines, sizes}: looks at the devices anew
    GET    /avatars/NAME/thumbnail → JPEG, 256 px
    PATCH  /avatars/NAME           {name: a new one} → {}
    DELETE /avatars/NAME           → {}
    POST   /check?pose=POSE        a JPEG of the webcam, up to 2 MB → {good, say, face, light, sharp, pose}
    POST   /photos                 a photo, up to 32 MB → {number, reason, warnings, score}
    DELETE /photos/NUMBER          → {}
    POST   /enrolment              {name, consent, same_person?} → {}: make the avatar of the photos
    DELETE /enrolment              give up, and delete the photos → {}
    POST   /background             a picture, up to 32 MB → {}: what the background "picture" is from now on
    POST   /live                   {avatar, camera, engine?, virtual_camera?, recording?, size?,
                                    background?, mirror?} → {}: start
    PATCH  /live                   {avatar?, mirror?, paused?, frozen?, gains?, calibrate?} → {}
    DELETE /live                   stop → {}
    GET    /events                 WebSocket

Events, to the page: {type: "state", avatars, enrolment, live} at the start and after every change; {type: "second",
figures} once a second while live; and a binary message, the newest published picture as JPEG, once for each "frame"
that the page sends: so a slow page gets fewer pictures and none is late, and a page that is not looked at gets none.

Errors are {error: "what happened, what to do"} with 400, 401, 403, 404, 408, 409 (busy), 413 or 429.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import Any

from aiohttp import WSMsgType, web

from avatar.core.errors import UsageError, VisavisError
from avatar.dashboard.avatars import NotThereError, Shelf, delete, existing, rename
from avatar.dashboard.enrolment import BusyError, Enrolment
from avatar.dashboard.live_choices import Given, Wish
from avatar.dashboard.live_run import Listener, LiveRun
from avatar.dashboard.photo_check import POSES, ShotChecker, decode_shot
from avatar.dashboard.preview import as_jpeg
from avatar.dashboard.upload_folder import UploadFolder, remove_stale
from avatar.dashboard.uploads import MOST_BYTES, TooLargeError, store
from avatar.http.peer_text import json_body
from avatar.http.safety import PROTOCOL, Gate, close_sockets
from avatar.sources.photo import load_photo

PREFIX = "/api/dashboard"
MOST_SHOT_BYTES = 2 << 20
# Larger or slower requests than the Gate lets through elsewhere: path → bytes and seconds
ALLOWANCES = {
    f"{PREFIX}/photos": (MOST_BYTES, 120.0),
    f"{PREFIX}/background": (MOST_BYTES, 120.0),
    f"{PREFIX}/check": (MOST_SHOT_BYTES, 30.0),
    f"{PREFIX}/events": (0, None),
}
MOST_PAGES = 4
HEARTBEAT_S, SEND_S, TICK_S, CHECKER_REST_S = 10.0, 10.0, 5.0, 60.0
MOST_WAITING = 64
TOGETHER_S = 0.05  # changes within it are told once

Message = dict[str, Any]
Handler = Callable[["Dashboard", web.Request], Awaitable[web.StreamResponse]]


class TooManyError(VisavisError):
    """More at once than one page needs."""


def _owner(handler: Handler) -> Handler:
    """For the owner alone; what is wrong becomes {error}."""

    @wraps(handler)
    async def checked(dashboard: Dashboard, request: web.Request) -> web.StreamResponse:
        assert dashboard.gate is not None, "add_routes comes first"
        dashboard.gate.require(request, "owner")
        try:
            return await handler(dashboard, request)
        except TooLargeError as error:
            refusal = _error(413, error)
            refusal.force_close()  # the rest of the body is not read
            return refusal
        except BusyError as error:
            return _error(409, error)
        except TooManyError as error:
            return _error(429, error)
        except NotThereError as error:
            return _error(404, error)
        except VisavisError as error:
            return _error(400, error)
        except (TimeoutError, ConnectionError):
            raise
        except OSError as error:  # a full disk, for example
            return _error(500, VisavisError(f"That cannot be kept or read here: {error.strerror or error}."))

    return checked


class Dashboard:
    """All of it, for one server. `live` may be started before the server is, and from any thread."""

    def __init__(
        self,
        tracker_model: Callable[[], Path],
        given: Given,
    ) -> None:
        self.gate: Gate | None = None
        self.checker = ShotChecker(tracker_model)
        self.enrolment = Enrolment(tracker_model, self.checker, self._changed)
        self.live = LiveRun(tracker_model, Listener(self._changed, self._second, self._frame), given)
        self._shelf = Shelf()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pages: set[_Page] = set()
        self._telling: asyncio.Task[None] | None = None
        self._news = False
        self._checking = asyncio.Semaphore(1)
        self._waiting_checks = 0
        self._checked_s = 0.0
        self._ticking: asyncio.Task[None] | None = None

    def add_routes(self, app: web.Application, gate: Gate) -> None:
        """Behind `gate`. The app starts and ends what is needed for them."""
        self.gate = gate
        gate.allow_more(ALLOWANCES)
        routes: tuple[tuple[str, str, Handler], ...] = (
            ("GET", "", Dashboard._get_state),
            ("GET", "/choices", Dashboard._choices),
            ("GET", "/avatars/{name}/thumbnail", Dashboard._thumbnail),
            ("PATCH", "/avatars/{name}", Dashboard._rename),
            ("DELETE", "/avatars/{name}", Dashboard._delete),
            ("POST", "/check", Dashboard._check),
            ("POST", "/photos", Dashboard._add_photo),
            ("DELETE", "/photos/{number:[0-9]{1,6}}", Dashboard._remove_photo),
            ("POST", "/enrolment", Dashboard._enrol),
            ("DELETE", "/enrolment", Dashboard._give_up),
            ("POST", "/background", Dashboard._set_background),
            ("POST", "/live", Dashboard._start),
            ("PATCH", "/live", Dashboard._change),
            ("DELETE", "/live", Dashboard._stop),
            ("GET", "/events", Dashboard._events),
        )
        for method, path, handler in routes:
            app.router.add_route(method, PREFIX + path, self._bound(handler))
        app.on_startup.append(self._on_start)
        app.on_shutdown.append(self._on_shutdown)
        app.on_cleanup.append(self._on_cleanup)

    def _bound(self, handler: Handler) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def call(request: web.Request) -> web.StreamResponse:
            return await handler(self, request)

        return call

    async def _on_start(self, _app: web.Application) -> None:
        self._loop = asyncio.get_running_loop()
        self._ticking = asyncio.create_task(self._tick())
        await asyncio.to_thread(remove_stale)

    async def _on_shutdown(self, _app: web.Application) -> None:
        await close_sockets([page.socket for page in self._pages], b"visavis ends")

    async def _on_cleanup(self, _app: web.Application) -> None:
        for task in (self._ticking, self._telling):
            if task is not None:
                task.cancel()
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self.live.close()
        self.enrolment.close()
        self.checker.rest()

    async def _tick(self) -> None:
        """What time itself ends."""
        assert self._loop is not None
        while True:
            await asyncio.sleep(TICK_S)
            await asyncio.to_thread(self.enrolment.tick)
            if self._checked_s and self._loop.time() - self._checked_s > CHECKER_REST_S:
                self._checked_s = 0.0
                await asyncio.to_thread(self.checker.rest)

    # News for the pages, from any thread

    def _changed(self) -> None:
        self._call(self._tell_soon)

    def _second(self, figures: Message) -> None:
        self._call(lambda: self._to_pages({"type": "second", "figures": figures}))

    def _frame(self) -> None:
        if self._pages:
            self._call(self._wake_pages)

    def _call(self, function: Callable[[], None]) -> None:
        if self._loop is not None:
            with suppress(RuntimeError):  # closed
                self._loop.call_soon_threadsafe(function)

    def _wake_pages(self) -> None:
        for page in self._pages:
            page.new_frame.set()

    def _tell_soon(self) -> None:
        self._news = True
        if self._telling is None or self._telling.done():
            self._telling = asyncio.create_task(self._tell())

    async def _tell(self) -> None:
        while self._news:
            self._news = False
            await asyncio.sleep(TOGETHER_S)
            if self._pages:
                self._to_pages({"type": "state", **await self._state()})

    def _to_pages(self, message: Message) -> None:
        for page in self._pages:
            page.tell(message)

    async def _state(self) -> Message:
        return {
            "avatars": await asyncio.to_thread(self._shelf.cards),
            "enrolment": self.enrolment.report(),
            "live": self.live.report(),
        }

    # Requests

    @_owner
    async def _get_state(self, _request: web.Request) -> web.StreamResponse:
        return web.json_response(await self._state())

    @_owner
    async def _choices(self, _request: web.Request) -> web.StreamResponse:
        return web.json_response(await asyncio.to_thread(self.live.choices.table))

    @_owner
    async def _thumbnail(self, request: web.Request) -> web.StreamResponse:
        picture = await asyncio.to_thread(self._shelf.thumbnail, request.match_info["name"])
        return web.Response(body=picture, content_type="image/jpeg")

    @_owner
    async def _rename(self, request: web.Request) -> web.StreamResponse:
        old, new = request.match_info["name"], str((await json_body(request)).get("name", ""))
        self._require_off_stage(old)
        await asyncio.to_thread(rename, old, new)
        self._changed()
        return web.json_response({})

    @_owner
    async def _delete(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        self._require_off_stage(name)
        await asyncio.to_thread(delete, name)
        self._changed()
        return web.json_response({})

    @_owner
    async def _check(self, request: web.Request) -> web.StreamResponse:
        pose = POSES.get(request.query.get("pose", "front"))
        if pose is None:
            raise UsageError(f"pose is one of {', '.join(POSES)}.")
        data = bytearray()
        async for chunk in _body(request):
            data += chunk
            if len(data) > MOST_SHOT_BYTES:
                raise TooLargeError("The shot is larger than 2 MB.")
        found = await self._one_at_a_time(lambda: self.checker.shot(decode_shot(bytes(data)), pose))
        return web.json_response(found)

    @_owner
    async def _add_photo(self, request: web.Request) -> web.StreamResponse:
        if (request.content_length or 0) > MOST_BYTES:
            raise TooLargeError(f"The file has more than {MOST_BYTES >> 20} MB. Save a smaller copy.")
        path = await self.enrolment.add(_body(request))
        try:
            photo = await self._one_at_a_time(lambda: self.enrolment.check(path))
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return web.json_response(
            {"number": photo.number, "reason": photo.reason, "warnings": photo.warnings, "score": photo.score}
        )

    @_owner
    async def _remove_photo(self, request: web.Request) -> web.StreamResponse:
        self.enrolment.remove(int(request.match_info["number"]))
        return web.json_response({})

    @_owner
    async def _enrol(self, request: web.Request) -> web.StreamResponse:
        wish = await json_body(request)
        name, consent = wish.get("name"), wish.get("consent")
        if not isinstance(name, str) or not isinstance(consent, str):
            raise UsageError("Give the avatar a name, and say that the person shown agrees.")
        self.enrolment.start(name, consent, wish.get("same_person") is True, replace=False)
        return web.json_response({})

    @_owner
    async def _give_up(self, _request: web.Request) -> web.StreamResponse:
        self.enrolment.give_up()
        return web.json_response({})

    @_owner
    async def _set_background(self, request: web.Request) -> web.StreamResponse:
        if (request.content_length or 0) > MOST_BYTES:
            raise TooLargeError(f"The file has more than {MOST_BYTES >> 20} MB. Save a smaller copy.")
        folder = UploadFolder()
        path = folder.path / "picture"
        try:
            await store(_body(request), path)
            self.live.choices.picture = await self._one_at_a_time(lambda: load_photo(path))
        finally:
            folder.remove()
        return web.json_response({})

    @_owner
    async def _start(self, request: web.Request) -> web.StreamResponse:
        wanted = await json_body(request)
        try:
            wish = Wish(**wanted)
        except TypeError:
            raise UsageError("A live session needs an avatar and a camera.") from None
        strings = (wish.avatar, wish.camera, wish.engine, wish.size, wish.background)
        if not all(isinstance(value, str) for value in strings) or not all(
            isinstance(value, bool) for value in (wish.virtual_camera, wish.recording, wish.mirror)
        ):
            raise UsageError("avatar, camera, engine, size and background are texts; the others true or false.")
        await asyncio.to_thread(self._check_and_start, wish)
        return web.json_response({})

    @_owner
    async def _change(self, request: web.Request) -> web.StreamResponse:
        wanted = await json_body(request)
        await asyncio.to_thread(self.live.change, wanted)
        return web.json_response({})

    @_owner
    async def _stop(self, _request: web.Request) -> web.StreamResponse:
        await asyncio.to_thread(self.live.stop)
        return web.json_response({})

    @_owner
    async def _events(self, request: web.Request) -> web.StreamResponse:
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
        sending = [asyncio.create_task(page.send_all()), asyncio.create_task(page.send_frames(self.live))]
        try:
            page.tell({"type": "state", **await self._state()})
            async for message in socket:
                if message.type is WSMsgType.TEXT and message.data == "frame":
                    page.wanted.set()
        except ConnectionError:
            pass
        finally:
            self._pages.discard(page)
            for task in sending:
                task.cancel()
        return socket

    def _check_and_start(self, wish: Wish) -> None:
        self.live.choices.check(wish)
        self.live.start(wish)

    async def _one_at_a_time(self, work: Callable[[], Any]) -> Any:
        if self._waiting_checks >= 4:
            raise TooManyError("Too many pictures at once. Wait for the last ones.")
        self._waiting_checks += 1
        try:
            async with self._checking:
                assert self._loop is not None
                self._checked_s = self._loop.time()
                return await asyncio.to_thread(work)
        finally:
            self._waiting_checks -= 1

    def _require_off_stage(self, name: str) -> None:
        existing(name)
        if self.live.shows == name:
            raise BusyError(f"{name} is live. Stop first, or show another avatar.")


class _Page:
    """One open page: a queue of messages, and pictures as fast as it asks for them."""

    def __init__(self, socket: web.WebSocketResponse, transport: asyncio.Transport | None) -> None:
        self.socket = socket
        self.wanted, self.new_frame = asyncio.Event(), asyncio.Event()
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

    async def send_frames(self, live: LiveRun) -> None:
        while True:
            await self.wanted.wait()
            self.new_frame.clear()
            await self.new_frame.wait()
            frame = live.preview.newest
            if frame is not None:
                self.wanted.clear()
                await self._send(self.socket.send_bytes(await asyncio.to_thread(as_jpeg, frame)))

    async def _send(self, sending: Awaitable[None]) -> None:
        try:
            async with asyncio.timeout(SEND_S):
                await sending
        except (TimeoutError, ConnectionError):
            if self._transport is not None:
                self._transport.abort()


async def _body(request: web.Request) -> AsyncIterator[bytes]:
    async for chunk in request.content.iter_chunked(64 << 10):
        yield chunk


def _error(status: int, error: VisavisError) -> web.Response:
    return web.json_response({"error": error.on_page}, status=status)
