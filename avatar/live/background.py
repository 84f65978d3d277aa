"""What is behind the avatar: the portrait's own picture, a blur of it, a colour or a picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from avatar.core.arrays import Picture
from avatar.core.errors import UsageError
from avatar.sources.photo import load_photo

Kind = Literal["portrait", "blur", "colour", "picture"]


@dataclass(frozen=True, slots=True)
class Background:
    """As it was asked for; `picture` is (H, W, 3), and for a colour (1, 1, 3)."""

    kind: Kind = "portrait"
    picture: Picture | None = None

    def cover(self, width: int, height: int) -> Picture:
        """(height, width, 3): the colour, or the picture cropped to cover."""
        assert self.picture is not None, "only of a colour or a picture"
        across, down = self.picture.shape[1], self.picture.shape[0]
        scale = max(width / across, height / down)
        # what is cut off anyway is not enlarged: of a picture one pixel wide, that would be gigabytes
        x, y = int((across - width / scale) / 2), int((down - height / scale) / 2)
        middle = self.picture[y : down - y, x : across - x]
        size = (max(width, round(middle.shape[1] * scale)), max(height, round(middle.shape[0] * scale)))
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        large = cv2.resize(middle, size, interpolation=how)
        left, top = (size[0] - width) // 2, (size[1] - height) // 2
        return np.ascontiguousarray(large[top : top + height, left : left + width], np.uint8)


def parse_background(text: str) -> Background:
    """ "portrait", "blur", "#rrggbb" or a picture's file name. Raises UsageError, and InputError for the file.

    >>> parse_background("#2040ff").picture.tolist()
    [[[32, 64, 255]]]
    """
    if text in ("portrait", "blur"):
        return Background("portrait" if text == "portrait" else "blur")
    if text.startswith("#"):
        try:
            colour = bytes.fromhex(text[1:])
        except ValueError:
            colour = b""
        if len(colour) != 3:
            raise UsageError(f"--background {text!r} is no colour. Write it as #rrggbb, for example '#2040ff'.")
        return Background("colour", np.frombuffer(colour, np.uint8).reshape(1, 1, 3))
    path = Path(text)
    if not path.is_file():
        raise UsageError(
            f"--background {text}: no such file. Use portrait, blur, a colour such as '#2040ff', or a picture."
        )
    return Background("picture", load_photo(path))
