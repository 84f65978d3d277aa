"""The page onto which somebody drops a file to ask whether it is marked: of `verify --page`, and beside the call's.

    POST /api/verify?name=NAME   a video, photo or avatar, up to 2 GB → lines of JSON: {share: 0 to 1} while it
                                 is looked at, then {words: [answer, …], notes, found, as `verify --json`} or {error}

For the *owner* alone. The file is deleted before the last line is sent.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from aiohttp import web

from avatar.core.errors import InputError, VisavisError
from avatar.core.plain_text import plain_text
from avatar.dashboard.file_process import apart, command
from avatar.dashboard.page_files import add_page
from avatar.dashboard.refusals import BusyError, for_owner
from avatar.dashboard.upload_folder import UploadFolder, remove_stale
from avatar.dashboard.uploads import ANY_SIZE, Limit, body, store
from avatar.http.listener import LOOPBACK, Listener
from avatar.http.peer_text import json_object
from avatar.http.safety import Gate, Tokens
from avatar.sandbox.child_process import end_in_words

PATH = "/api/verify"
LIMIT = Limit(2 << 30, "Cut out some seconds of it: five are enough.")
LIMIT_S = 300.0  # to look at one
_ANSWER_S = 2 * LIMIT_S  # to send and look
_SUFFIX = re.compile(r"\.[a-z0-9]{1,5}")


class VerifyPage:
    def __init__(self) -> None:
        self._looking = False

    def add_routes(self, app: web.Application, gate: Gate) -> None:
        """Behind `gate`."""
        gate.allow_more({PATH: (ANY_SIZE, _ANSWER_S)})
        app.router.add_post(PATH, for_owner(gate, self._verify))

    async def _verify(self, request: web.Request) -> web.StreamResponse:
        if self._looking:
            raise BusyError("Another file is being looked at. Wait for its answer.")
        self._looking = True
        try:
            return await _answer(request)
        finally:
            self._looking = False


async def serve(tell: Callable[[str], None]) -> None:
    """On loopback alone, until it is cancelled. `tell` gets the link. Raises DeviceError."""
    gate = Gate(Tokens())
    listener = Listener(gate)
    VerifyPage().add_routes(listener.app, gate)
    add_page(listener.app, {"verify.html": "/"})
    await asyncio.to_thread(remove_stale)
    address = f"http://{LOOPBACK}:{await listener.start(LOOPBACK, 0)}"
    gate.allow({address})
    try:
        tell(f"{address}/#owner={gate.tokens.owner}")
        await asyncio.Event().wait()
    finally:
        await listener.close()


async def _answer(request: web.Request) -> web.StreamResponse:
    chunks = body(request, LIMIT)
    name = plain_text(request.query.get("name", ""), 80) or "the file"
    ending = Path(name).suffix.lower()
    folder = await asyncio.to_thread(UploadFolder)
    try:
        path = folder.path / f"dropped{ending if _SUFFIX.fullmatch(ending) else ''}"
        await store(chunks, path, LIMIT)
        answer = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await answer.prepare(request)

        async def send(line: dict[str, Any]) -> None:
            await answer.write(json.dumps(line).encode() + b"\n")

        try:
            last = await look_at(path, send)
        except VisavisError as error:
            last = {"error": error.on_page}
    finally:
        await asyncio.to_thread(folder.remove)
    await send(_named(last, str(path), name))
    return answer


async def _quietly(line: dict[str, Any]) -> None:
    pass


async def look_at(path: Path, tell: Callable[[dict[str, Any]], Awaitable[None]] = _quietly) -> dict[str, Any]:
    """What the process says last; before, what it says goes to `tell`. Raises InputError."""
    process = await asyncio.create_subprocess_exec(*command("avatar.dashboard.verify_process", str(path)), **apart())
    assert process.stdout is not None
    try:
        async with asyncio.timeout(LIMIT_S):
            async for line in process.stdout:
                said = json_object(line)
                if "share" not in said:
                    return said
                await tell(said)
            how = end_in_words(await process.wait())
    except TimeoutError as error:
        raise InputError(f"It had not been looked at after {LIMIT_S:g} s. {LIMIT.advice}") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    raise InputError(f"It cannot be read: the process that tried {how}. It is damaged, or was made to do harm.")


def _named(said: Any, path: str, name: str) -> Any:
    """With the name that its owner knows in place of ours."""
    if isinstance(said, str):
        return said.replace(path, name)
    if isinstance(said, list):
        return [_named(part, path, name) for part in said]
    return {key: _named(part, path, name) for key, part in said.items()} if isinstance(said, dict) else said
