"""Where the avatar's square goes in the published picture: head and shoulders, as before a webcam."""

from __future__ import annotations

from dataclasses import dataclass

from avatar.core.errors import UsageError

SQUARE_SHARE = 0.86  # of a wide picture's height: the head then takes half of it or more, its eyes are above the middle
MOST_CROPPED = 0.8  # of the square that a narrow picture shows at least


@dataclass(frozen=True, slots=True)
class Framing:
    """Where the square goes: its side, and its left and top edge in the picture, all in pixels, maybe outside of it."""

    side: int
    left: int
    top: int


def framing(width: int, height: int, room_above: bool) -> Framing:
    """Head and shoulders at the bottom of the picture, in the middle. `room_above`: the square shows the whole head."""
    if width > height:
        side = 2 * round(SQUARE_SHARE * height / 2) if room_above else height
    else:
        side = min(height, 2 * round(width / MOST_CROPPED / 2)) if width < height else height
    return Framing(side, (width - side) // 2, height - side)


def parse_size(text: str) -> tuple[int, int]:
    """ "1280x720" to (1280, 720). Raises UsageError."""
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise UsageError(f"--size {text!r} is not WIDTHxHEIGHT, for example 512x512 or 1280x720.")
    return int(width), int(height)
