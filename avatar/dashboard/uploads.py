"""Pictures that a page sends: stored under names given here, within a limit of size."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

from avatar.core.errors import InputError

MOST_BYTES = 32 << 20  # of one picture


class TooLargeError(InputError):
    """An upload is larger than any picture."""


async def store(chunks: AsyncIterator[bytes], path: Path) -> None:
    """Write a new file. Raises TooLargeError; whatever is raised, no part of it stays."""
    size = 0
    try:
        with path.open("xb") as file:
            async for chunk in chunks:
                size += len(chunk)
                if size > MOST_BYTES:
                    raise TooLargeError(
                        f"The file has more than {MOST_BYTES >> 20} MB. Save a smaller copy: 4096 pixels wide will do."
                    )
                file.write(chunk)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
