"""The visible label: it says in a corner of every published picture that the picture was made by AI.

As the EU's code of practice on marking and labelling (June 2026) has it: an icon with the letters "AI", beside it a
word that says what AI has done; half-transparent, part of the picture itself, never moving.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from avatar.core.arrays import Picture
from avatar.core.errors import UsageError
from avatar.core.plain_text import plain_text

Corner = Literal["top-left", "top-right", "bottom-left", "bottom-right"]
ICON, WORD = "AI", "generated"
WORDS = "AI generated"  # the same for those who do not see it
LEAST, USUAL, MOST = 0.04, 0.06, 0.2  # heights, in shares of the picture's shorter side
LEAST_PX = 14  # whose letters can still be told apart
LONGEST_REASON = 200
_FINE = 8  # pixels of the drawing to one of the picture
_SHADE = 0.62  # opacity of the ground: white letters keep 5 : 1 on a white picture (WCAG 2.2 asks for 4.5 : 1)


@dataclass(frozen=True, slots=True)
class LabelStyle:
    """Where the label is, how high in shares of the picture's shorter side, and, if there is none, why."""

    corner: Corner = "top-left"
    height: float = USUAL
    left_out: str = ""

    @classmethod
    def of(cls, corner: object, percent: object, left_out: object) -> LabelStyle:
        """As somebody has typed it; left_out: None where there shall be a label. Raises UsageError."""
        if corner not in get_args(Corner):
            raise UsageError(f"The label's place is {', '.join(get_args(Corner))}, not {plain_text(corner, 40)}.")
        if isinstance(percent, bool) or not isinstance(percent, int | float) or not LEAST <= percent / 100 <= MOST:
            raise UsageError(f"The label's size is from {100 * LEAST:.0f} to {100 * MOST:.0f} % of the picture.")
        why = "" if left_out is None else plain_text(left_out, LONGEST_REASON)
        if left_out is not None and not why:
            raise UsageError("Say why there shall be no label, in a few words: the reason is recorded.")
        return cls(cast(Corner, corner), percent / 100, why)

    @classmethod
    def from_json(cls, told: object) -> LabelStyle:
        """Of what `as_json` tells. Raises UsageError."""
        if not isinstance(told, dict) or set(told) != {"corner", "size", "left_out"}:
            raise UsageError("A label has a corner, a size, and a reason why it is left out, or null.")
        return cls.of(told["corner"], told["size"], told["left_out"])

    def as_json(self) -> dict[str, Any]:
        """size: in % of the picture's shorter side. left_out: null where there is a label."""
        return {"corner": self.corner, "size": round(100 * self.height, 2), "left_out": self.left_out or None}


class Label:
    """Draws the label. `style` may be changed from any thread, and holds from the next picture on."""

    def __init__(self, style: LabelStyle | None = None) -> None:
        self.style = style or LabelStyle()
        self._stamp: _Stamp | None = None

    def draw(self, picture: Picture) -> None:
        """Into an (H, W, 3) RGB picture, in place."""
        style, size = self.style, (picture.shape[1], picture.shape[0])
        if style.left_out:
            return
        if self._stamp is None or (self._stamp.style, self._stamp.size) != (style, size):
            self._stamp = _Stamp.of(style, size)
        stamp = self._stamp
        part = picture[stamp.rows, stamp.columns]
        part[:] = cv2.add(cv2.multiply(part, stamp.kept, scale=1 / 255), stamp.ink)


@dataclass(frozen=True, slots=True)
class _Stamp:
    """The label, ready for pictures of one size."""

    style: LabelStyle
    size: tuple[int, int]
    rows: slice
    columns: slice
    kept: Picture  # of 255, what shows of the picture
    ink: Picture

    @classmethod
    def of(cls, style: LabelStyle, size: tuple[int, int]) -> _Stamp:
        width, height = size
        shorter = min(size)
        high = _even(min(max(style.height * shorter, LEAST_PX), shorter / 2))
        edge = _even(high / 2)
        opacity, white = _drawn(high, width - 2 * edge)
        high, wide = opacity.shape
        left = edge if style.corner.endswith("left") else width - edge - wide
        top = edge if style.corner.startswith("top") else height - edge - high
        kept, ink = 255 * (1 - opacity), 255 * opacity * white
        return cls(style, size, slice(top, top + high), slice(left, left + wide), _grey(kept), _grey(ink))


def _drawn(high: int, widest: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(high, width) opacity and lightness, in [0, 1]. The icon alone where both would be wider than `widest`."""
    side = _FINE * high
    bold, plain = (cast(ImageFont.FreeTypeFont, ImageFont.load_default(share * side)) for share in (0.66, 0.58))
    icon, gap = round(1.2 * side), round(0.26 * side)
    wide = icon + 2 * gap + round(plain.getlength(WORD))
    wide = wide if wide <= _FINE * widest else icon
    ground, light = Image.new("L", (wide, side)), Image.new("L", (wide, side))
    ImageDraw.Draw(ground).rounded_rectangle((0, 0, wide - 1, side - 1), 0.26 * side, round(255 * _SHADE))
    rim = round(0.1 * side)
    tile = (rim, rim, icon - rim, side - 1 - rim)
    for image in (ground, light):  # letters are dark on any picture: nothing shows through the icon
        ImageDraw.Draw(image).rounded_rectangle(tile, 0.17 * side, 255)
    middle = 0.515 * side
    stroke = 0.022 * side
    ImageDraw.Draw(light).text((icon / 2, middle), ICON, 0, bold, anchor="mm", stroke_width=stroke, stroke_fill=0)
    if wide > icon:
        base = 0.5 * side + 0.5 * plain.getbbox("d", anchor="ls")[1] * -0.93
        ImageDraw.Draw(light).text((icon + 0.7 * gap, base), WORD, 255, plain, anchor="ls", stroke_width=stroke / 2)
    size = (_even(wide / _FINE), high)
    shade, lightness = (_small(image, size) for image in (ground, light))
    opacity = np.maximum(shade, lightness)  # what is white lets nothing through
    return opacity, np.divide(lightness, opacity, out=np.zeros_like(opacity), where=opacity > 0)


def _small(image: Image.Image, size: tuple[int, int]) -> NDArray[np.float32]:
    return np.asarray(cv2.resize(np.asarray(image, np.float32) / 255, size, interpolation=cv2.INTER_AREA), np.float32)


def _grey(plane: NDArray[np.float32]) -> Picture:
    return np.repeat(np.rint(plane).astype(np.uint8)[:, :, None], 3, 2)


def _even(pixels: float) -> int:
    """Both sides even: edges fall together with those of the coded colours."""
    return max(2, 2 * round(pixels / 2))
