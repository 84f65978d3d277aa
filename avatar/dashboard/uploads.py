"""Files that a page sends: stored under names given here, within a limit of size. Pictures are looked at one by one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from aiohttp import web

from avatar.dashboard.refusals import TooLargeError, TooManyError

MOST_BYTES = 32 << 20  # of one picture
MOST_SHOT_BYTES = 2 << 20  # of a webcam's
ANY_SIZE = 1 << 50  # for the Gate, where a Limit's words say more
MOST_WAITING = 4  # pictures to be looked at
_CHUNK_BYTES = 64 << 10

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Limit:
    """Of a file's size. advice: what to do about one that is larger."""

    most_bytes: int
    advice: str

    @property
    def refusal(self) -> str:
        return f"The file has more than {self.most_bytes >> 20} MB. {self.advice}"


PICTURE = Limit(MOST_BYTES, "Save a smaller copy: 4096 pixels wide will do.")


def body(request: web.Request, limit: Limit = PICTURE) -> AsyncIterator[bytes]:
    """Chunk by chunk. Raises TooLargeError at once where the page says that there will be too many."""
    if (request.content_length or 0) > limit.most_bytes:
        raise TooLargeError(limit.refusal)
    return request.content.iter_chunked(_CHUNK_BYTES)


async def read_shot(request: web.Request) -> bytes:
    """All of a picture of the webcam. Raises TooLargeError."""
    data = bytearray()
    async for chunk in request.content.iter_chunked(_CHUNK_BYTES):
        data += chunk
        if len(data) > MOST_SHOT_BYTES:
            raise TooLargeError(f"The shot is larger than {MOST_SHOT_BYTES >> 20} MB.")
    return bytes(data)


async def store(chunks: AsyncIterator[bytes], path: Path, limit: Limit = PICTURE) -> None:
    """Write a new file. Raises TooLargeError; whatever is raised, no part of it stays."""
    size = 0
    try:
        with path.open("xb") as file:
            async for chunk in chunks:
                size += len(chunk)
                if size > limit.most_bytes:
                    raise TooLargeError(limit.refusal)
                file.write(chunk)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


class OneAtATime:
    """Decoding and checking a picture takes a core for a while: one is, the next few wait."""

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(1)
        self._here = 0

    async def run(self, work: Callable[[], Found]) -> Found:
        """`work`, in a thread. Raises TooManyError."""
        if self._here >= MOST_WAITING:
            raise TooManyError("Too many pictures at once. Wait for the last ones.")
        self._here += 1
        try:
            async with self._free:
                return await asyncio.to_thread(work)
        finally:
            self._here -= 1
