"""The published picture: the avatar framed as by a webcam, before a background.

The avatar's picture is a square around the head that ends at the shoulders. A wider picture shows more: above it and
beside it the square is continued.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from avatar.core.arrays import Picture
from avatar.core.errors import UsageError
from avatar.core.resizing import resized
from avatar.live.background import Background
from avatar.live.continuation import Continuation
from avatar.live.framing import framing
from avatar.live.layers import Edges, Matte, over

SMALLEST_PX, LARGEST_PX = 64, 4096
MOST_CUT = 0.42  # of the square's top row that hair may take; then the picture starts there, else its crown is added


class Canvas:
    """Places (square_px, square_px, 3) avatar pictures in (height, width, 3) ones. For one thread."""

    def __init__(
        self,
        portrait: Picture,
        width: int,
        height: int,
        background: Background | None = None,
        matte: Matte | None = None,
    ) -> None:
        """`matte` (S, S) of `Avatar.mattes` tells the person in the (S, S, 3) portrait from what is behind.

        Without one, the square is taken to be all background, which only the portrait's own can be used with.
        Raises UsageError for a size that no camera could have.
        """
        if width % 2 or height % 2 or not all(SMALLEST_PX <= side <= LARGEST_PX for side in (width, height)):
            raise UsageError(
                f"A picture of {width}x{height} cannot be published: both sides must be even and from {SMALLEST_PX} to "
                f"{LARGEST_PX}, for example --size 1280x720."
            )
        self.width, self.height = width, height
        background = background or Background()
        assert matte is not None or background.kind == "portrait", "another background needs a matte"
        cut = (0.5, 0.5) if matte is None else _cut_hair(matte)
        self.framing = framing(width, height, cut[1] - cut[0] < MOST_CUT)
        self.square_px = self.framing.side
        self._matte = resized(np.zeros(portrait.shape[:2], np.uint8) if matte is None else matte, self.square_px)
        self._continuation = Continuation(self.framing, cut, width, height)
        self._edges = Edges(self.framing, width, height)
        self._scratch: dict[str, Any] = {}
        self._behind: Picture | None = None  # a background that stays; None: the square's own
        if background.kind == "blur":
            self._behind = self._continuation.blurred(resized(portrait, self.square_px), self._matte)
        elif background.kind != "portrait":
            self._behind = background.cover(width, height)

    @property
    def shows_matte(self) -> bool:
        """Whether `place` looks at where the person is: not where the square is all of the picture."""
        return self._behind is not None or not self.square_px == self.width == self.height

    def place(self, square: Picture, alpha: Matte | None = None, plate: Picture | None = None) -> Picture:
        """(square_px, square_px, 3) to (height, width, 3).

        `alpha` (square_px, square_px) is the matte as the avatar moves; else the portrait's own is taken. `plate`: as
        of `Painter`, at any size.
        """
        alpha = self._matte if alpha is None else alpha
        if not self.shows_matte:
            return square
        if self._behind is None:
            picture = self._continuation.around(square, alpha, plate)
            self._edges.paste(picture, square)
            return picture
        if self.square_px == self.width == self.height:
            return over(self._behind, square, alpha)
        person, cover = self._continuation.of_person(square, alpha)
        part = self._continuation.person
        corner = (part[0].start, part[1].start)
        self._edges.paste(person, square, corner)
        self._edges.paste(cover, alpha, corner)
        picture = self._behind.copy()
        picture[part] = over(self._behind[part], person, cover, self._scratch)
        return picture


def _cut_hair(matte: Matte) -> tuple[float, float]:
    """From where to where along its top row the person is, in [0, 1]."""
    columns = np.flatnonzero((matte[: max(1, len(matte) // 100)] > 127).all(0))
    return (0.5, 0.5) if len(columns) == 0 else (float(columns[0] / len(matte)), float((columns[-1] + 1) / len(matte)))
