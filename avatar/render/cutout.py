"""What a portrait is made into before anything moves: the person cut out, and the background behind.

The person's sheet is larger than the portrait: below and beside it the body is continued, so that a body that moves up
or aside never shows where the photo ended.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from avatar.core.arrays import Array, Picture
from avatar.render.plate import background_plate
from avatar.render.push_pull import push_pull
from avatar.render.refined_matte import Matte, face_oval, refine_matte

MARGIN = 0.25  # of the portrait's side, on each side of the sheet
# a matte that can be used; of 82 portraits the least were 0.99 and 2.0, the most 0.75
LEAST_OVAL = 0.9  # share of the face's oval that is person
LEAST_AREA = 1.6  # areas of the face's oval that the person takes
MOST_AREA = 0.97  # of the portrait
BLURS = 0.09, 0.012  # boxes over which the person's colours are estimated, in shares of the side
FALL, BEND = 0.5, 2.0  # how shoulders fall beyond the portrait: FALL·d + BEND·d², d in sides
WIDEN = 0.7  # how much wider the body gets for each side that it goes down
CLOSE = 1.0  # how much of a neckline's half width closes for each side that it goes down
SEAM = 0.02  # over which its two sides pass into each other, in sides
CROWN = 0.4  # height of a head that the portrait cuts off above, in half widths of what it cuts
FADE = 0.06  # over which mirrored texture passes into its mean, in sides


@dataclass(frozen=True, slots=True)
class Cutout:
    """A portrait (S, S, 3) in layers. The sheets are (S + 2·margin_px, …): the portrait's (0, 0) is theirs at
    (margin_px, margin_px).
    """

    person: Picture  # sheet (…, 3): the person's colours, continued beyond the silhouette in all directions
    alpha: Matte  # sheet: 255 where the person is
    plate: Picture  # (S, S, 3): the background, also where the person hides it
    margin_px: int
    whole: bool  # no matte could be trusted: all of it is taken for the person, and the plate is the portrait

    @property
    def portrait_alpha(self) -> Matte:
        """(S, S): the part of `alpha` that the portrait shows."""
        return self.alpha[self.margin_px : -self.margin_px, self.margin_px : -self.margin_px]

    def sheet_pixels(self, places: Array) -> Array:
        """(..., 2) places in the portrait, in [0, 1], to pixels of the sheets (see `View`)."""
        return np.asarray(places * np.float32(len(self.plate)) + np.float32(self.margin_px), np.float32)


def cut_out(portrait: Picture, matte: Matte, landmarks: Array) -> Cutout:
    """matte: (S, S) of `person_mattes`, for the (S, S, 3) portrait; landmarks: (478, 3) in [0, 1]. About 0.3 s."""
    return in_layers(portrait, usable_matte(portrait, matte, landmarks))


def usable_matte(portrait: Picture, matte: Matte, landmarks: Array) -> Matte:
    """The matte (S, S) of `person_mattes`, refined; 255 everywhere if it misses the face or finds no background."""
    oval = face_oval(landmarks, len(portrait)) > 0
    found = matte > 127
    area, face_area = int(found.sum()), int(oval.sum())
    covered = int(found[oval].sum()) >= LEAST_OVAL * face_area
    if not covered or not LEAST_AREA * face_area <= area <= MOST_AREA * found.size:
        return np.full_like(matte, 255)
    return refine_matte(portrait, matte, landmarks)


def in_layers(portrait: Picture, alpha: Matte, others: Iterable[tuple[Picture, Matte]] = ()) -> Cutout:
    """Of a portrait (S, S, 3) and its `usable_matte` (S, S). `others`: as of `background_plate`."""
    whole = bool((alpha == 255).all())
    plate = background_plate(portrait, alpha, others)
    margin_px = round(MARGIN * len(portrait))
    person, cover = _continued(portrait if whole else _person(portrait, alpha, plate), alpha, margin_px)
    return Cutout(person, np.full_like(cover, 255) if whole else cover, plate, margin_px, whole)


def _person(portrait: Picture, alpha: Matte, plate: Picture) -> Picture:
    """(S, S, 3): the person's own colours where background shines through, and beyond the silhouette.

    Source: Forte, Approximate Fast Foreground Colour Estimation, ICIP 2021 (blur fusion, twice).
    """
    size = len(portrait)
    share = np.asarray(alpha[..., None] / np.float32(255), np.float32)
    image, behind = portrait.astype(np.float32), plate.astype(np.float32)
    front = image
    for blur in BLURS:
        box = (2 * max(1, round(blur * size / 2)) + 1,) * 2
        weight = cv2.blur(share, box)[..., None]
        mean = cv2.blur(front * share, box) / np.maximum(weight, 1e-4)
        front = np.clip(mean + share * (image - share * mean - (1 - share) * behind), 0, 255).astype(np.float32)
    known = np.clip(share[..., 0] * 4 - 1, 0, 1)  # less than a quarter of a person tells nothing of its colour
    return np.asarray(np.rint(push_pull(front, known)), np.uint8)


def _continued(person: Picture, alpha: Matte, margin_px: int) -> tuple[Picture, Matte]:
    """The sheets: beyond the portrait, shoulders fall, the body goes on and texture fades into its mean.

    Below, the last row goes on, for what is mirrored there shows two collars; a neckline closes to a V.
    """
    size = len(person)
    side = size + 2 * margin_px
    x, y = np.meshgrid(*(((np.arange(side, dtype=np.float32) - margin_px + 0.5) / size,) * 2))
    beside = np.maximum(np.maximum(-x, x - 1), 0)
    fallen = y - FALL * beside - BEND * beside**2
    below, above = np.maximum(fallen - 1, 0), np.maximum(-y, 0)
    (hips, half_hips), (crown, half_crown) = _extent(alpha[-1]), _extent(alpha[0])
    down = hips + (x - hips) / (1 + WIDEN * below)
    height = np.float32(max(CROWN * half_crown, 1e-3))
    up = crown + (x - crown) / np.sqrt(np.maximum(1 - (above / height) ** 2, 1e-4))
    inwards = np.maximum(1 - np.abs(down - hips) / max(half_hips, 1e-3), 0)
    closed = down + np.tanh((x - hips) / SEAM) * CLOSE * below * inwards
    columns, rows = (
        (places * size - 0.5).astype(np.float32) for places in (closed, np.minimum(fallen, 1 - 0.5 / size))
    )
    mirrored = cv2.remap(person, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    calm = cv2.GaussianBlur(person, (0, 0), FADE / 3 * size)
    mean = cv2.remap(calm, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    outside = np.maximum(np.maximum(beside, below), above)
    near = np.exp(-((outside / FADE) ** 2)).astype(np.float32)
    colours = cv2.blendLinear(mirrored, mean, near, 1 - near)
    across = (np.where(above > 0, up, down) * size - 0.5).astype(np.float32)
    reach = cv2.remap(
        alpha, across, (fallen * size - 0.5).astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    reach[above > height] = 0
    inner = slice(margin_px, margin_px + size)
    colours[inner, inner], reach[inner, inner] = person, alpha
    return np.asarray(colours, np.uint8), np.asarray(reach, np.uint8)


def _extent(row: Matte) -> tuple[float, float]:
    """Middle and half width of the person along a row, in [0, 1]; (0.5, 0) where nobody is."""
    where = np.nonzero(row > 127)[0]
    if not where.size:
        return 0.5, 0.0
    first, last = float(where[0]) / len(row), float(where[-1] + 1) / len(row)
    return (first + last) / 2, (last - first) / 2
