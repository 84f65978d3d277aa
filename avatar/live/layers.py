"""One picture laid over another: through a matte, or as a square whose edges pass into what is around it."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.core.arrays import Picture
from avatar.live.framing import Framing

RAMP = 0.06  # share of the square over which it passes into its continuation

Matte = NDArray[np.uint8]


def over(behind: Picture, person: Picture, alpha: Matte, scratch: dict[str, Any] | None = None) -> Picture:
    """`person` before `behind`. With `scratch` memory is used again, the result's too."""
    kept = {} if scratch is None else scratch
    share = kept["share"] = cv2.merge([alpha] * 3, dst=kept.get("share"))
    front = kept["front"] = cv2.multiply(person, share, dst=kept.get("front"), scale=1 / 255)
    rest = kept["rest"] = cv2.bitwise_not(share, dst=kept.get("rest"))
    back = kept["back"] = cv2.multiply(behind, rest, dst=kept.get("back"), scale=1 / 255)
    return np.asarray(cv2.add(front, back, dst=back), np.uint8)


class Edges:
    """Pastes the square so that its left, right and upper edge pass into what is there already."""

    def __init__(self, place: Framing, width: int, height: int) -> None:
        self._left, self._top = max(0, place.left), max(0, place.top)
        self._right, self._bottom = min(width, place.left + place.side), min(height, place.top + place.side)
        self._cut = max(0, -place.left), max(0, -place.top)  # of the square, outside of the picture
        ramp = max(2, round(RAMP * place.side))
        soft_sides, soft_top = place.left > 0, place.top > 0
        columns, rows = self._right - self._left, self._bottom - self._top
        weight = np.ones((rows, columns), np.float32)
        rise = (np.arange(ramp, dtype=np.float32) + 0.5) / ramp
        rise = rise * rise * (3 - 2 * rise)
        strips: list[tuple[slice, slice]] = []
        if soft_top:
            weight[:ramp] *= rise[:, None]
            strips.append((slice(0, ramp), slice(0, columns)))
        if soft_sides:
            weight[:, :ramp] *= rise
            weight[:, -ramp:] *= rise[::-1]
            below = slice(ramp if soft_top else 0, rows)
            strips += [(below, slice(0, ramp)), (below, slice(columns - ramp, columns))]
        self._strips = [
            (where, np.ascontiguousarray(weight[where]), np.ascontiguousarray(1 - weight[where])) for where in strips
        ]
        self._core = (slice(ramp if soft_top else 0, rows), slice(ramp, columns - ramp) if soft_sides else slice(None))

    def paste(self, picture: Picture, square: Picture, corner: tuple[int, int] = (0, 0)) -> None:
        """In place; both (…, 3) or both without channels. `corner`: row and column of the picture's first pixel."""
        (down, across) = corner
        target = picture[self._top - down : self._bottom - down, self._left - across : self._right - across]
        rows, columns = target.shape[:2]
        source = square[self._cut[1] : self._cut[1] + rows, self._cut[0] : self._cut[0] + columns]
        for where, weight, rest in self._strips:
            target[where] = cv2.blendLinear(
                np.ascontiguousarray(source[where]), np.ascontiguousarray(target[where]), weight, rest
            )
        target[self._core] = source[self._core]
