"""What peers send as text, read strictly: UTF-8 and nothing else, JSON objects whose every value means something."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from avatar.core.errors import VisavisError
from avatar.core.strict_json import parse_json

UTF_8 = ("utf-8", "utf8")
MOST_VALUES = 4000  # in one JSON text; reading more takes so long that a call stands still
CLIENT = {"User-Agent": "visavis"}  # who we are to servers: aiohttp would tell its version and Python's


class PeerTextError(VisavisError):
    """A text that cannot be what it should. The message says why, and holds nothing of it."""


def json_object(text: str | bytes) -> dict[str, Any]:
    """Raises PeerTextError."""
    try:
        letters = text.decode() if isinstance(text, bytes) else text
        if sum(map(letters.count, ",[{")) > MOST_VALUES:  # those within texts are few
            raise ValueError("too many values")
        message = parse_json(letters)
        json.dumps(message, ensure_ascii=False).encode()  # half a surrogate pair would fail wherever it is sent on
    except ValueError as error:
        raise PeerTextError("That is not JSON, or its size, numbers or nesting are beyond all use.") from error
    if not isinstance(message, dict):
        raise PeerTextError("A message is a JSON object.")
    return message


def media_type(request: web.Request) -> str:
    """Without parameters, in small letters. aiohttp's own reading of the header can be made to take seconds."""
    return request.headers.get("Content-Type", "").partition(";")[0].strip().lower()


async def text_body(request: web.Request) -> str:
    """Raises HTTPUnsupportedMediaType or HTTPBadRequest for what is not UTF-8."""
    _require_utf_8(request)
    try:
        return (await request.read()).decode("utf-8")
    except UnicodeDecodeError as error:
        raise web.HTTPBadRequest(text="That is not UTF-8.\n") from error


async def json_body(request: web.Request) -> dict[str, Any]:
    """Raises HTTPUnsupportedMediaType or PeerTextError."""
    _require_utf_8(request)
    return json_object(await request.read())


def _require_utf_8(request: web.Request) -> None:
    """Python would decode by any charset that a stranger names, and for some of them that takes seconds."""
    for parameter in request.headers.get("Content-Type", "").split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset" and value.strip().strip('"').lower() not in UTF_8:
            raise web.HTTPUnsupportedMediaType(text="Send text as UTF-8.\n")
