"""The owner's page beside the call: avatars, enrolment and the live session, over HTTP and one WebSocket.

Mounted behind the server's Gate by `Dashboard.add_routes`. Everything is for the *owner* alone. Below /api/dashboard:

    GET    (nothing more)          → {avatars, enrolment, finetuning, live, pages: how many are open}
    GET    /choices                → {cameras, virtual_camera, engines, sizes, cut_off: recordings}: looks anew
    GET    /recordings/NAME        → the video; ranges of it too
    POST   /recordings/NAME/show   → {}: in the desktop's file manager
    POST   /recordings/NAME/keep   → {name, seconds, bytes}: one that a killed program has left
    DELETE /recordings/NAME        → {}: such a one
    POST   /recordings/NAME/verify → {words, notes, found}: what `verify` says of it
    GET    /avatars/NAME/thumbnail → JPEG, 256 px
    PATCH  /avatars/NAME           {name: a new one} → {}
    DELETE /avatars/NAME           → {}
    …                              of making an avatar: see `enrolment_routes`; of fine-tuning: `finetuning_routes`
    POST   /background             a picture, up to 32 MB → {}: what the background "picture" is from now on
    POST   /live                   {avatar, camera ("": none, it idles), engine?, virtual_camera?, recording?, size?,
                                    background?, mirror?, follow?, expression?, remember?,
                                    label?: {corner, size, left_out}} → {}: start
    PATCH  /live                   {avatar?, camera?, size?, background?, virtual_camera?, recording?, mirror?,
                                    follow?, expression?, paused?, frozen?, gains?, calibrate?, remember?, label?,
                                    unlock?: why somebody else drives} → {}: once it is done, while the picture goes on
    DELETE /drivers                forget what is remembered of drivers → {}
    DELETE /live                   stop → {}
    GET    /events                 WebSocket

Events, to the page: {type: "state", avatars, enrolment, finetuning, live, pages} at the start and after every change;
{type: "second", figures} once a second while live; and a binary message, the newest published picture as JPEG, once for
each "frame" that the page sends: so a slow page gets fewer pictures and none is late, and one not looked at gets none.
For each "points" it gets {type: "points", points: [[x, y]…] in [0, 1] of the camera's picture}, where the tracker sees
the driver's face; at most 15 a second.

Errors are {error: "what happened, what to do"} with 400, 401, 403, 404, 408, 409 (busy), 413 or 429.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from aiohttp import web

from avatar.core.avatar_name import avatar_name
from avatar.core.errors import UsageError
from avatar.dashboard import cut_off_recordings
from avatar.dashboard.avatars import Shelf, delete, existing, rename
from avatar.dashboard.enrolment import Enrolment
from avatar.dashboard.enrolment_routes import EnrolmentRoutes
from avatar.dashboard.finetuning import FineTuning
from avatar.dashboard.finetuning_routes import FineTuningRoutes
from avatar.dashboard.live_choices import Given, Wish
from avatar.dashboard.live_run import Listener, LiveRun
from avatar.dashboard.open_pages import OpenPages
from avatar.dashboard.photo_check import ShotChecker
from avatar.dashboard.recordings import recording, show_in_folder
from avatar.dashboard.refusals import BusyError, Handler, for_owner
from avatar.dashboard.upload_folder import UploadFolder, remove_stale
from avatar.dashboard.uploads import MOST_BYTES, OneAtATime, body, store
from avatar.dashboard.verify_page import VerifyPage, look_at
from avatar.dashboard.virtual_camera_setup import VirtualCameraSetup
from avatar.http.peer_text import json_body
from avatar.http.safety import LARGEST_BODY, Gate
from avatar.identity.bundle import avatar_path
from avatar.sources.photo import load_photo

PREFIX = "/api/dashboard"
# Larger or slower requests than the Gate lets through elsewhere: path → bytes and seconds
ALLOWANCES = {
    f"{PREFIX}/background": (MOST_BYTES, 120.0),
    f"{PREFIX}/events": (0, None),
    f"{PREFIX}/live": (LARGEST_BODY, 60.0),  # a camera, or a recording's end, takes its time
    f"{PREFIX}/recordings/": (LARGEST_BODY, None),
}
TICK_S = 5.0
MOST_CHANGES = 4  # of a live run at a time


class Dashboard:
    """All of it, for one server. `live` may be started before the server is, and from any thread."""

    def __init__(self, tracker_model: Callable[[], Path], given: Given) -> None:
        self._pages = OpenPages(self._state, lambda: self.live.preview.newest, lambda: self.live.points)
        self._pictures = OneAtATime()
        self._shelf = Shelf()
        # threads of their own: changes that wait for each other must not hold up the pictures
        self._changing = ThreadPoolExecutor(MOST_CHANGES, "visavis-change")
        self._ticking: asyncio.Task[None] | None = None
        self.checker = ShotChecker(tracker_model)
        self.enrolment = Enrolment(tracker_model, self.checker, self._pages.changed)
        self.finetuning = FineTuning(self._pages.changed)
        pages = self._pages
        listener = Listener(pages.changed, pages.second, pages.frame, watching=lambda: pages.count > 0)
        self.live = LiveRun(tracker_model, listener, given)

    def add_routes(self, app: web.Application, gate: Gate) -> None:
        """Behind `gate`. The app starts and ends what is needed for them."""
        gate.allow_more(ALLOWANCES)
        VerifyPage().add_routes(app, gate)
        EnrolmentRoutes(self.enrolment, self.checker, self._pictures).add_routes(app, gate, PREFIX)
        FineTuningRoutes(self.finetuning).add_routes(app, gate, PREFIX)
        VirtualCameraSetup().add_routes(app, gate)
        routes: tuple[tuple[str, str, Handler], ...] = (
            ("GET", "", self._get_state),
            ("GET", "/choices", self._choices),
            ("GET", "/avatars/{name}/thumbnail", self._thumbnail),
            ("PATCH", "/avatars/{name}", self._rename),
            ("DELETE", "/avatars/{name}", self._delete),
            ("POST", "/background", self._set_background),
            ("GET", "/recordings/{name}", self._get_recording),
            ("POST", "/recordings/{name}/show", self._show_recording),
            ("POST", "/recordings/{name}/verify", self._verify_recording),
            ("POST", "/recordings/{name}/keep", self._keep_recording),
            ("DELETE", "/recordings/{name}", self._delete_recording),
            ("POST", "/live", self._start),
            ("PATCH", "/live", self._change),
            ("DELETE", "/live", self._stop),
            ("DELETE", "/drivers", self._forget_drivers),
            ("GET", "/events", self._pages.serve),
        )
        for method, path, handler in routes:
            app.router.add_route(method, PREFIX + path, for_owner(gate, handler))
        app.on_startup.append(self._on_start)
        app.on_shutdown.append(self._on_shutdown)
        app.on_cleanup.append(self._on_cleanup)

    async def _on_start(self, _app: web.Application) -> None:
        self._pages.start()
        self._ticking = asyncio.create_task(self._tick())
        await asyncio.to_thread(remove_stale)

    async def _on_shutdown(self, _app: web.Application) -> None:
        await self._pages.close()

    async def _on_cleanup(self, _app: web.Application) -> None:
        self._pages.stop()
        if self._ticking is not None:
            self._ticking.cancel()
        await asyncio.to_thread(self._close)
        self._changing.shutdown(wait=False, cancel_futures=True)

    def _close(self) -> None:
        self.live.close()
        self.enrolment.close()
        self.finetuning.close()
        self.checker.rest()

    async def _tick(self) -> None:
        """What time itself ends."""
        while True:
            await asyncio.sleep(TICK_S)
            await asyncio.to_thread(self.enrolment.tick)
            await asyncio.to_thread(self.checker.tick)
            await asyncio.to_thread(self.live.tick)

    async def _state(self) -> dict[str, Any]:
        return {
            "avatars": await asyncio.to_thread(self._shelf.cards),
            "enrolment": self.enrolment.report(),
            "finetuning": self.finetuning.report(),
            "live": self.live.report(),
            "pages": self._pages.count,
        }

    async def _get_state(self, _request: web.Request) -> web.StreamResponse:
        return web.json_response(await self._state())

    async def _choices(self, _request: web.Request) -> web.StreamResponse:
        return web.json_response(await asyncio.to_thread(self.live.choices.table))

    async def _thumbnail(self, request: web.Request) -> web.StreamResponse:
        picture = await asyncio.to_thread(self._shelf.thumbnail, request.match_info["name"])
        return web.Response(body=picture, content_type="image/jpeg")

    async def _rename(self, request: web.Request) -> web.StreamResponse:
        old, new = request.match_info["name"], (await json_body(request)).get("name")
        if not isinstance(new, str):
            raise UsageError("Give the avatar a name.")
        avatar_name(new)  # what is no name is refused before the face has to leave the stage
        self._require_off_stage(old)
        await asyncio.to_thread(rename, old, new)
        self._pages.changed()
        return web.json_response({})

    async def _delete(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        self._require_off_stage(name)
        await asyncio.to_thread(delete, name)
        self._pages.changed()
        return web.json_response({})

    async def _set_background(self, request: web.Request) -> web.StreamResponse:
        folder = UploadFolder()
        path = folder.path / "picture"
        try:
            await store(body(request), path)
            self.live.choices.picture = await self._pictures.run(lambda: load_photo(path))
        finally:
            folder.remove()
        return web.json_response({})

    async def _get_recording(self, request: web.Request) -> web.StreamResponse:
        path = await asyncio.to_thread(recording, request.match_info["name"])
        return web.FileResponse(path, headers={"Content-Type": "video/mp4"})

    async def _show_recording(self, request: web.Request) -> web.StreamResponse:
        await asyncio.to_thread(lambda: show_in_folder(recording(request.match_info["name"])))
        return web.json_response({})

    async def _verify_recording(self, request: web.Request) -> web.StreamResponse:
        path = await asyncio.to_thread(recording, request.match_info["name"])
        return web.json_response(await look_at(path))

    async def _keep_recording(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(await asyncio.to_thread(cut_off_recordings.keep, request.match_info["name"]))

    async def _delete_recording(self, request: web.Request) -> web.StreamResponse:
        await asyncio.to_thread(cut_off_recordings.delete, request.match_info["name"])
        return web.json_response({})

    async def _start(self, request: web.Request) -> web.StreamResponse:
        await asyncio.to_thread(self._check_and_start, Wish.of(await json_body(request)))
        return web.json_response({})

    async def _change(self, request: web.Request) -> web.StreamResponse:
        wanted = await json_body(request)
        await asyncio.get_running_loop().run_in_executor(self._changing, self.live.change, wanted)
        return web.json_response({})

    async def _stop(self, _request: web.Request) -> web.StreamResponse:
        await asyncio.to_thread(self.live.stop)
        return web.json_response({})

    async def _forget_drivers(self, _request: web.Request) -> web.StreamResponse:
        await asyncio.to_thread(self.live.forget_drivers)
        return web.json_response({})

    def _check_and_start(self, wish: Wish) -> None:
        existing(wish.avatar)
        self.live.choices.check(wish)
        self.live.start(wish)

    def _require_off_stage(self, name: str) -> None:
        shown = self.live.shows
        if existing(name) == (shown and avatar_path(shown)):
            raise BusyError(f"{name} is live. Stop first, or show another avatar.")
