"""How the page fine-tunes an avatar. All for the *owner* alone.

Below /api/dashboard:

    POST   /finetuning          {avatar, minutes?} → {}: begin; it goes on when the page is closed
    GET    /finetuning/WHICH    before or after → JPEG, 512 px: the avatar with the same expression
    POST   /finetuning/kept     → {}: keep the new one
    DELETE /finetuning          stop it, or keep the avatar as it was → {}

The state of it comes with the news: `FineTuning.report`.
"""

from __future__ import annotations

import asyncio

from aiohttp import web

from avatar.core.errors import UsageError
from avatar.dashboard.finetuning import MINUTES, FineTuning
from avatar.dashboard.refusals import Handler, for_owner
from avatar.http.peer_text import json_body
from avatar.http.safety import Gate


class FineTuningRoutes:
    def __init__(self, tuning: FineTuning) -> None:
        self._tuning = tuning

    def add_routes(self, app: web.Application, gate: Gate, prefix: str) -> None:
        """Below `prefix`, behind `gate`."""
        routes: tuple[tuple[str, str, Handler], ...] = (
            ("POST", "/finetuning", self._start),
            ("GET", "/finetuning/{which}", self._picture),
            ("POST", "/finetuning/kept", self._keep),
            ("DELETE", "/finetuning", self._give_up),
        )
        for method, path, handler in routes:
            app.router.add_route(method, prefix + path, for_owner(gate, handler))

    async def _start(self, request: web.Request) -> web.StreamResponse:
        wish = await json_body(request)
        name, minutes = wish.get("avatar"), wish.get("minutes", MINUTES)
        if not isinstance(name, str) or type(minutes) is not int:
            raise UsageError("Say which avatar, and how many minutes at most.")
        await asyncio.to_thread(self._tuning.start, name, minutes)
        return web.json_response({})

    async def _picture(self, request: web.Request) -> web.StreamResponse:
        picture = await asyncio.to_thread(self._tuning.picture, request.match_info["which"])
        return web.Response(body=picture, content_type="image/jpeg")

    async def _keep(self, _request: web.Request) -> web.StreamResponse:
        await asyncio.to_thread(self._tuning.keep)
        return web.json_response({})

    async def _give_up(self, _request: web.Request) -> web.StreamResponse:
        await asyncio.to_thread(self._tuning.give_up)
        return web.json_response({})
