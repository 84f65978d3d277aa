"""The page's way to a virtual camera where there is none: what is missing, and a button that asks for the password.

For the *owner* alone:

    GET  /api/dashboard/virtual-camera                → {kind: "v4l2loopback", "pipewire" or "none", device, working,
                                                        missing, asks: [{run, why, root}], problem,
                                                        copy: [commands]}
    POST /api/dashboard/virtual-camera {run: [texts]} → the same, once all was run: minutes, at most

`asks` is what is to be run, by root or as the user; nothing is run that was not shown so, and pressed. Where there can
be no button, `problem` says why, and `copy` has the commands for a terminal.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import asdict
from typing import Any

from aiohttp import web

from avatar.core.errors import DeviceError, UsageError
from avatar.dashboard.refusals import BusyError, for_owner
from avatar.http.peer_text import json_body
from avatar.http.safety import LARGEST_BODY, Gate
from avatar.publish.advice import CAMERA_NAME, virtual_camera_commands
from avatar.publish.loopback_setup import LIMIT_S, Step, lacks_pyvirtualcam, run_steps, steps, why_not_asked
from avatar.publish.pipewire import why_no_pipewire
from avatar.sources.v4l2 import VideoDevice, video_devices

PATH = "/api/dashboard/virtual-camera"
SEEN_S = 5.0  # the kernel has the device at once; who may open it is settled a moment later


class VirtualCameraSetup:
    """One for a server. What was begun goes on when the page that asked for it is closed."""

    def __init__(self) -> None:
        self._running: Future[None] | None = None

    def add_routes(self, app: web.Application, gate: Gate) -> None:
        gate.allow_more({PATH: (LARGEST_BODY, LIMIT_S + 2 * SEEN_S)})
        app.router.add_get(PATH, for_owner(gate, self._look))
        app.router.add_post(PATH, for_owner(gate, self._set_up))

    async def _look(self, _request: web.Request) -> web.StreamResponse:
        return web.json_response(await asyncio.to_thread(self._found))

    async def _set_up(self, request: web.Request) -> web.StreamResponse:
        wanted = (await json_body(request)).get("run")
        asked = await asyncio.to_thread(steps)
        if not asked or wanted != [step.run for step in asked]:
            raise UsageError("What is to be run has changed meanwhile: look at it again, then press.")
        if problem := why_not_asked():
            raise UsageError(problem)
        if self._working:
            raise BusyError("It is being done already: a window may still ask for the password.")
        self._running = _begin(asked)
        await asyncio.shield(asyncio.wrap_future(self._running))
        return web.json_response(await asyncio.to_thread(self._found))

    @property
    def _working(self) -> bool:
        return self._running is not None and not self._running.done()

    def _found(self) -> dict[str, Any]:
        device, no_pipewire = usable_loopback(), why_no_pipewire()
        ready = device is not None and not lacks_pyvirtualcam()
        kind = "v4l2loopback" if ready else "none" if no_pipewire else "pipewire"
        asked = [] if ready else steps()
        return {
            "kind": kind,
            "device": device.path if device else "",
            "working": self._working,
            "missing": _missing(kind),
            "asks": [asdict(step) for step in asked],
            "problem": why_not_asked() if asked else "",
            "copy": [] if ready else virtual_camera_commands(),
        }


def usable_loopback() -> VideoDevice | None:
    """The device of v4l2loopback that may be written to."""
    return next((device for device in video_devices() if device.loopback and not device.locked), None)


def _begin(asked: Sequence[Step]) -> Future[None]:
    """In a thread that keeps no program from ending: nobody may answer the window that asks for the password."""
    done: Future[None] = Future()
    done.set_running_or_notify_cancel()

    def run() -> None:
        try:
            _run(asked)
        except Exception as error:
            done.set_exception(error)
        else:
            done.set_result(None)

    threading.Thread(target=run, name="visavis-set-up", daemon=True).start()
    return done


def _run(asked: Sequence[Step]) -> None:
    """Until the device is there. Raises DeviceError."""
    run_steps(asked)
    end_s = time.monotonic() + SEEN_S
    while usable_loopback() is None:
        if time.monotonic() > end_s:
            raise DeviceError("All was run, but no camera came that this user may open: log out and in again.")
        time.sleep(0.1)


def _missing(kind: str) -> str:
    if kind == "v4l2loopback":
        return ""
    if kind == "pipewire":
        return (
            f"Programs that take cameras from PipeWire can see “{CAMERA_NAME}” already. For the others, this computer "
            "lacks a driver for virtual cameras."
        )
    return "Other programs cannot see the avatar yet: this computer lacks a driver for virtual cameras."
