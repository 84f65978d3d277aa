"""The small picture of a bundle, by which file managers and people know it."""

from __future__ import annotations

import io
import struct

from PIL import Image

from avatar.core.arrays import Picture
from avatar.core.private_file import UnfitError

THUMBNAIL = "thumbnail.png"
THUMBNAIL_PX = 128


def thumbnail(portrait: Picture) -> bytes:
    """A PNG of the portrait."""
    data = io.BytesIO()
    Image.fromarray(portrait).resize((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.LANCZOS).save(data, "PNG")
    return data.getvalue()


def check_thumbnail(data: bytes) -> None:
    """Raises UnfitError for anything else than a whole PNG of its size."""
    try:
        with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
            size = image.size
            if size == (THUMBNAIL_PX, THUMBNAIL_PX):
                image.load()
                return
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError) as error:
        raise UnfitError(f"{THUMBNAIL} is damaged ({error})") from None
    raise UnfitError(f"{THUMBNAIL} is {size[0]} x {size[1]} instead of {THUMBNAIL_PX} x {THUMBNAIL_PX} pixels")
