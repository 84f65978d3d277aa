"""How the page makes an avatar: photos or a clip in, checks, consent, and the challenge. All for the *owner* alone.

Below /api/dashboard:

    POST   /check?pose=POSE   a JPEG of the webcam, up to 2 MB → {good, say, face, light, sharp, pose};
                              &yaw=DEG&pitch=DEG: of the head when it looked straight
    POST   /photos            a photo, up to 32 MB → {number, reason, warnings, score, face};
                              ?pose=POSE: it is a shot of the webcam, and judged as `check` does
    DELETE /photos/NUMBER     → {}
    POST   /clip              a selfie clip instead of photos, up to 512 MB → {reason, seconds, note}
    DELETE /clip              → {}
    POST   /enrolment         {name, consent: {kind, person?}, photos?, same_person?, proof?} → {}: make the avatar.
                              photos: the numbers of those that the person sees. proof: then the person is asked to show
                              that they are there, and it is locked to them
    DELETE /enrolment         give up, and delete what was sent → {}
    POST   /challenge         → {}: begin to ask for gestures
    POST   /challenge/see     a JPEG of the webcam → {say, gesture, done, asked, tries_left, failure}
    DELETE /challenge         → {}: keep the avatar without it, with the statement alone

The state of it all comes with the news: `Enrolment.report`. An error that is about the name says {about: "name"}.
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict

from aiohttp import web

from avatar.core.avatar_name import avatar_name
from avatar.core.errors import UsageError
from avatar.dashboard.enrolment import Enrolment
from avatar.dashboard.making import Wanted, require_free
from avatar.dashboard.page_clip import CLIP
from avatar.dashboard.photo_check import ShotChecker, decode_shot, pose_of, rest_of
from avatar.dashboard.refusals import Handler, for_owner
from avatar.dashboard.uploads import ANY_SIZE, MOST_BYTES, MOST_SHOT_BYTES, OneAtATime, body, read_shot
from avatar.http.peer_text import json_body
from avatar.http.safety import Gate
from avatar.identity.consent import LIVING, Statement


class EnrolmentRoutes:
    def __init__(self, enrolment: Enrolment, checker: ShotChecker, pictures: OneAtATime) -> None:
        self._enrolment, self._checker, self._pictures = enrolment, checker, pictures

    def add_routes(self, app: web.Application, gate: Gate, prefix: str) -> None:
        """Below `prefix`, behind `gate`."""
        gate.allow_more(
            {
                f"{prefix}/photos": (MOST_BYTES, 120.0),
                f"{prefix}/clip": (ANY_SIZE, 900.0),
                f"{prefix}/check": (MOST_SHOT_BYTES, 30.0),
                f"{prefix}/challenge/see": (MOST_SHOT_BYTES, 30.0),
            }
        )
        routes: tuple[tuple[str, str, Handler], ...] = (
            ("POST", "/check", self._check),
            ("POST", "/photos", self._add_photo),
            ("DELETE", "/photos/{number:[0-9]{1,6}}", self._remove_photo),
            ("POST", "/clip", self._add_clip),
            ("DELETE", "/clip", self._remove_clip),
            ("POST", "/enrolment", self._enrol),
            ("DELETE", "/enrolment", self._give_up),
            ("POST", "/challenge", self._prove),
            ("POST", "/challenge/see", self._see),
            ("DELETE", "/challenge", self._leave_unproven),
        )
        for method, path, handler in routes:
            app.router.add_route(method, prefix + path, for_owner(gate, handler))

    async def _check(self, request: web.Request) -> web.StreamResponse:
        pose, rest_deg = pose_of(request.query.get("pose", "front")), rest_of(request.query)
        data = await read_shot(request)
        found = await self._pictures.run(lambda: self._checker.shot(decode_shot(data), pose, rest_deg))
        return web.json_response(found)

    async def _add_photo(self, request: web.Request) -> web.StreamResponse:
        pose = pose_of(request.query["pose"]) if "pose" in request.query else None
        path = await self._enrolment.add(body(request))
        try:
            photo = await self._pictures.run(lambda: self._enrolment.check(path, pose))
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return web.json_response(photo.told())

    async def _remove_photo(self, request: web.Request) -> web.StreamResponse:
        self._enrolment.remove(int(request.match_info["number"]))
        return web.json_response({})

    async def _add_clip(self, request: web.Request) -> web.StreamResponse:
        path = await self._enrolment.add_clip(body(request, CLIP))
        return web.json_response(asdict(await asyncio.to_thread(self._enrolment.check_clip, path)))

    async def _remove_clip(self, _request: web.Request) -> web.StreamResponse:
        await asyncio.to_thread(self._enrolment.remove_clip)
        return web.json_response({})

    async def _enrol(self, request: web.Request) -> web.StreamResponse:
        wish = await json_body(request)
        name, consent = wish.get("name"), wish.get("consent")
        if not isinstance(name, str) or not isinstance(consent, dict):
            raise UsageError("Give the avatar a name, and say whom it shows.")
        try:
            require_free(name)
        except UsageError as error:
            return web.json_response({"error": error.on_page, "about": "name"}, status=400)
        statement = Statement.of(consent.get("kind"), person=consent.get("person", ""))
        proof = wish.get("proof") is True and statement.kind in LIVING
        shown = wish.get("photos")
        if shown is not None and not (isinstance(shown, list) and all(type(number) is int for number in shown)):
            raise UsageError("photos are the numbers of those that are shown.")
        self._enrolment.start(Wanted(avatar_name(name), statement, wish.get("same_person") is True, proof), shown)
        return web.json_response({})

    async def _give_up(self, _request: web.Request) -> web.StreamResponse:
        self._enrolment.give_up()
        return web.json_response({})

    async def _prove(self, _request: web.Request) -> web.StreamResponse:
        self._enrolment.prove()
        return web.json_response({})

    async def _see(self, request: web.Request) -> web.StreamResponse:
        data = await read_shot(request)
        return web.json_response(await self._pictures.run(lambda: self._enrolment.see(decode_shot(data))))

    async def _leave_unproven(self, _request: web.Request) -> web.StreamResponse:
        await asyncio.to_thread(self._enrolment.leave_unproven)
        return web.json_response({})
