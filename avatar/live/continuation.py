"""What is around the avatar's square: the square continued, ever more blurred with the distance, in two layers.

What is behind the person is mirrored and smeared outwards; of the person, shoulders that the square cuts off fall away,
and hair is rounded off. Both are drawn small, from the square's own pixels, so that no seam shows as the avatar moves:
the person anew for every frame, what is behind once where all of it is known.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.core.arrays import Array, Picture
from avatar.live.framing import Framing
from avatar.live.layers import Matte, over

HEAD_RADIUS = 0.26  # least of a crown, in squares: a head with its hair
SMALL_PX = 180  # height at which the continuation is drawn
HIDDEN_PX = 48  # size at which what the person hides is made up
MIRRORED = 0.2  # share of the square that is seen mirrored before the smearing starts
FALL, BEND = 0.5, 2.0  # how shoulders fall beyond the square: FALL·d + BEND·d², d in squares
REACH = 0.34  # how far shoulders go, in squares
BLUR_FAR, FAR = 0.06, 0.25  # from FAR squares on, what is behind is blurred by BLUR_FAR squares
BLUR_CLOTHES, FAR_CLOTHES = 0.05, 0.1  # the same of shoulders

Layer = Array


class Continuation:
    """The picture around the square, drawn about SMALL_PX high."""

    def __init__(self, place: Framing, cut: tuple[float, float], width: int, height: int) -> None:
        """`cut`: from where to where along the square's top row it cuts off hair, in [0, 1]."""
        self._full = (width, height)
        self._plate: Picture | None = None  # the last one
        self._beyond: Picture | None = None  # and how it goes on
        self._kept: dict[str, Any] = {}  # memory that is used again: fresh megabytes a frame cost more than the work
        factor = max(1, round(height / SMALL_PX))
        across_px, down_px = round(width / factor), round(height / factor)
        self._size = (across_px, down_px)
        self._side = max(8, round(place.side / factor))
        x = (np.arange(across_px, dtype=np.float32) + 0.5) / across_px * width
        y = (np.arange(down_px, dtype=np.float32) + 0.5) / down_px * height
        across, down = (  # 0..1 in the square
            part.astype(np.float32) for part in np.meshgrid((x - place.left) / place.side, (y - place.top) / place.side)
        )
        beside = np.maximum(np.maximum(-across, across - 1), 0)
        outside = np.maximum(beside, -down)
        share = np.clip(outside / FAR, 0, 1)
        self._far = np.ascontiguousarray(share * share * (3 - 2 * share), np.float32)
        self._near = 1 - self._far
        self._behind_map = self._pixels(_mirrored(across, MIRRORED), _mirrored(down, MIRRORED))
        # where the person can be: a part of the small picture that is also a whole part of the full one
        if (width, height) == (across_px * factor, down_px * factor):
            reach_px = REACH * place.side
            left = max(0, int((place.left - reach_px) // factor))
            right = min(across_px, int(-(-(place.left + place.side + reach_px) // factor)))
            top = max(0, int((place.top - _crown_height(*cut) * place.side) // factor))
            self.person = slice(top * factor, height), slice(left * factor, right * factor)  # of the full picture
        else:
            left, right, top = 0, across_px, 0
            self.person = slice(0, height), slice(0, width)
        self._part = part = slice(top, down_px), slice(left, right)
        fallen = np.clip(down - FALL * beside - BEND * beside * beside, 0, 1)
        height_of = np.asarray(np.where(down < 0, _mirrored(down, MIRRORED), fallen), np.float32)
        self._person_map = self._pixels(_mirrored(across, 0.02)[part], height_of[part])
        self._cloth = np.ascontiguousarray(np.clip(beside[part] / FAR_CLOTHES, 0, 1), np.float32)
        reaches = np.where(down < 0, _crown(across, down, *cut), beside < REACH)
        self._reaches = np.rint(reaches[part] * 255).astype(np.uint8)

    def around(self, square: Picture, alpha: Matte, plate: Picture | None = None) -> Picture:
        """(height, width, 3): all of it, also where the square will be. `plate`: as of `Canvas.place`."""
        small, cover = self._small(square, alpha)
        picture = self._behind(small, cover) if plate is None else self._behind_all(plate).copy()
        person, reach = self._person(small, cover)
        picture[self._part] = over(np.ascontiguousarray(picture[self._part]), person, reach)
        return _enlarged(picture, self._full)

    def of_person(self, square: Picture, alpha: Matte) -> tuple[Picture, Matte]:
        """The person alone, and how much of each pixel is the person, in the part `person` of the full picture."""
        person, cover = self._person(*self._small(square, alpha))
        rows, columns = self.person
        size = (columns.stop - columns.start, rows.stop - rows.start)
        kept = self._kept
        kept["person"] = cv2.resize(person, size, dst=kept.get("person"), interpolation=cv2.INTER_LINEAR)
        kept["cover"] = cv2.resize(cover, size, dst=kept.get("cover"), interpolation=cv2.INTER_LINEAR)
        return kept["person"], kept["cover"]

    def blurred(self, square: Picture, alpha: Matte) -> Picture:
        """(height, width, 3): what is behind the person, out of focus."""
        small = self._behind(*self._small(square, alpha))
        return _enlarged(np.asarray(cv2.GaussianBlur(small, (0, 0), SMALL_PX / 25), np.uint8), self._full)

    def _small(self, square: Picture, alpha: Matte) -> tuple[Picture, Matte]:
        small, cover = (_reduced(part, self._side) for part in (square, alpha))
        return small, cover

    def _behind_all(self, plate: Picture) -> Picture:
        if self._beyond is None or plate is not self._plate:
            self._plate, self._beyond = plate, self._spread(_reduced(plate, self._side))
        return self._beyond

    def _behind(self, small: Picture, cover: Matte) -> Picture:
        return self._spread(_without_person(small, cover))

    def _spread(self, clean: Picture) -> Picture:
        near = np.asarray(
            cv2.remap(clean, *self._behind_map, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8
        )
        far = _blurred(near, BLUR_FAR * self._side)
        return np.asarray(cv2.blendLinear(near, far, self._near, self._far), np.uint8)

    def _person(self, small: Picture, cover: Matte) -> tuple[Picture, Matte]:
        both = cv2.merge([*cv2.split(small), cover])
        person = cv2.remap(both, *self._person_map, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        reach = np.asarray(cv2.min(cv2.extractChannel(person, 3), self._reaches), np.uint8)
        sharp = np.asarray(cv2.cvtColor(person, cv2.COLOR_RGBA2RGB), np.uint8)
        # folds and seams of the clothes would else go on as stripes
        share = cv2.merge([reach] * 3)
        alone = _blurred(np.asarray(cv2.multiply(sharp, share, scale=1 / 255), np.uint8), BLUR_CLOTHES * self._side)
        blurred = cv2.divide(alone, _blurred(np.asarray(share, np.uint8), BLUR_CLOTHES * self._side), scale=255)
        return np.asarray(cv2.blendLinear(sharp, blurred, 1 - self._cloth, self._cloth), np.uint8), reach

    def _pixels(self, across: Layer, down: Layer) -> tuple[NDArray[Any], NDArray[Any]]:
        """Shares of the square as the maps of cv2.remap, in its fast form."""
        x, y = (np.ascontiguousarray(part * self._side - 0.5, np.float32) for part in (across, down))
        places, fractions = cv2.convertMaps(x, y, cv2.CV_16SC2)
        return np.asarray(places), np.asarray(fractions)


def _crown(across: Layer, down: Layer, left: float, right: float) -> Layer:
    """1 within the circle that rounds off hair which is cut from `left` to `right`, softly 0 outside of it."""
    if right <= left:
        return np.zeros_like(across)
    radius = _crown_radius(left, right)
    distance = np.hypot(across - (left + right) / 2, down - (radius - _crown_height(left, right)))
    return np.asarray(np.clip((radius - distance) / 0.012, 0, 1), np.float32)


def _crown_radius(left: float, right: float) -> float:
    return max(HEAD_RADIUS, (right - left) / 2 * 1.1)


def _crown_height(left: float, right: float) -> float:
    """Of the circle's segment above the cut."""
    radius, half = _crown_radius(left, right), (right - left) / 2
    return float(radius - (radius * radius - half * half) ** 0.5)


def _mirrored(place: Layer, depth: float) -> Layer:
    """Shares of the square: unchanged in [0, 1]; outside mirrored at first, then standing still at `depth` inside."""
    below, above = np.maximum(-place, 0), np.maximum(place - 1, 0)
    inside = np.clip(place, 0, 1) + depth * (1 - np.exp(-below / depth)) - depth * (1 - np.exp(-above / depth))
    return np.asarray(inside, np.float32)


def _without_person(small: Picture, cover: Matte) -> Picture:
    """The background also where the person hides it, from what is seen around: fine where near, else coarse."""
    hides = cv2.dilate(cover, np.ones((5, 5), np.uint8))
    coarse_px = (HIDDEN_PX, HIDDEN_PX)
    seen = (255 - cv2.resize(hides, coarse_px, interpolation=cv2.INTER_AREA)).astype(np.float32) * np.float32(1 / 255)
    seen *= seen * seen
    shown = cv2.resize(small, coarse_px, interpolation=cv2.INTER_AREA) * seen[..., None]
    filled: Layer | None = None
    for box in (HIDDEN_PX * 2 - 1, HIDDEN_PX // 2 | 1, HIDDEN_PX // 8 | 1):
        weight = cv2.blur(seen, (box, box))[..., None]
        spread = cv2.blur(shown, (box, box)) / np.maximum(weight, 1e-5)
        trust = np.minimum(weight * 5, 1)
        filled = np.asarray(spread if filled is None else filled + trust * (spread - filled), np.float32)
    assert filled is not None
    fill = cv2.resize(np.clip(filled, 0, 255).astype(np.uint8), small.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return over(small, np.asarray(fill, np.uint8), np.asarray(hides, np.uint8))


def _blurred(picture: Picture, sigma_px: float) -> Picture:
    """A wide blur, done small."""
    factor = max(1, int(sigma_px))
    size = tuple(max(2, side // factor) for side in picture.shape[1::-1])
    tiny = cv2.GaussianBlur(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), (0, 0), 1.0)
    return _enlarged(np.asarray(tiny, np.uint8), (picture.shape[1], picture.shape[0]))


def _enlarged(picture: Picture, size: tuple[int, int]) -> Picture:
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def _reduced(picture: Picture, side: int) -> Picture:
    if len(picture) >= 2 * side and len(picture) % 2 == 0:  # OpenCV is quick at halving
        half = (len(picture) // 2, len(picture) // 2)
        picture = np.asarray(cv2.resize(picture, half, interpolation=cv2.INTER_AREA), np.uint8)
    return np.asarray(cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
