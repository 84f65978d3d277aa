"""The files of our pages."""

from __future__ import annotations

import mimetypes
from collections.abc import Awaitable, Callable, Mapping
from importlib.resources import files

from aiohttp import web


def add_page(app: web.Application, pages: Mapping[str, str]) -> None:
    """Serve what lies in `page`, to everybody and by exact name; of the .html files only `pages`: name → path.

    They are read once, so that no request's path ever names a file.
    """
    for file in files("avatar.dashboard").joinpath("page").iterdir():
        if not file.is_file() or file.name.startswith(("_", ".")):
            continue
        if file.name.endswith(".html") and file.name not in pages:
            continue
        kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        app.router.add_get(pages.get(file.name, f"/{file.name}"), _serve(file.read_bytes(), kind))


def _serve(body: bytes, content_type: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    charset = "utf-8" if content_type.startswith("text/") or content_type.endswith(("javascript", "json")) else None

    async def serve(_request: web.Request) -> web.Response:
        return web.Response(body=body, content_type=content_type, charset=charset)

    return serve
