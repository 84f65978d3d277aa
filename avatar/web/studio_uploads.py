"""Pictures that a page sends: stored under names given here, within limits of size and pixels."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from avatar.errors import InputError
from avatar.sources.photo import FORMATS, load_photo

MOST_BYTES = 32 << 20  # of one picture
MOST_PIXELS = 64_000_000  # of one picture; the packed size tells nothing


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


def load_upload(path: Path) -> NDArray[np.uint8]:
    """`load_photo`, once the header says that no more than MOST_PIXELS will be decoded. Raises InputError."""
    _refuse_bomb(path)
    return load_photo(path)


def _refuse_bomb(path: Path) -> None:
    saved = Image.MAX_IMAGE_PIXELS
    try:
        Image.MAX_IMAGE_PIXELS = None
        with Image.open(path, formats=FORMATS) as image:
            width, height = image.size
    except (OSError, SyntaxError, ValueError, EOFError, TypeError, KeyError, IndexError, OverflowError):
        return  # `load_photo` says better what is wrong with it
    finally:
        Image.MAX_IMAGE_PIXELS = saved
    if width * height > MOST_PIXELS:
        raise InputError(
            f"{path} has {width} x {height} pixels, more than the {MOST_PIXELS // 1_000_000} million that are read. "
            "Save a smaller copy: 4096 pixels wide is plenty."
        )
