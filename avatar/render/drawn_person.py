"""One portrait made ready to be moved, and the person drawn from it before a background."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from avatar.core.arrays import Array, Picture
from avatar.face.body import AS_IT_IS, BodyFit
from avatar.render.cutout import in_layers
from avatar.render.eye_geometry import EyePlace
from avatar.render.eye_layers import EyeLayers
from avatar.render.mouth_layers import MouthLayers
from avatar.render.rasteriser import Drawn
from avatar.render.relief import Relief
from avatar.render.view import View

OUTLINE_PACE = 3.0  # how much faster than the face an outline changes, while another sheet comes through


@dataclass(frozen=True, slots=True)
class Sheet:
    """One portrait made ready to be moved."""

    rgba: Picture  # (H, H, 4) the person alone, continued beyond the portrait
    margin_px: int  # of the sheet, on each side
    relief: Relief
    mouth: MouthLayers
    eyes: EyeLayers
    fit: BodyFit = AS_IT_IS  # to the first portrait's body


class DrawnPerson(NamedTuple):
    picture: Picture  # (S, S, 3)
    alpha: Picture  # (S, S): where the person is in it
    seen: Drawn  # which place of the portrait it shows
    eyes: list[EyePlace | None]  # of the driving's face


def draw_person(sheet: Sheet, plate: Picture, driving: Array, fit: BodyFit = AS_IT_IS) -> DrawnPerson:
    """By (478, 3) landmarks in [0, 1], before an (S, S, 3) plate; `fit`: of the body."""
    view = View.whole(len(plate))
    seen = sheet.relief.draw(sheet.relief.place(driving, fit), view)
    rgba = seen.sample(sheet.rgba, sheet.margin_px)
    alpha = np.asarray(cv2.multiply(cv2.extractChannel(rgba, 3), seen.cover, scale=1 / 255), np.uint8)
    picture = _over(plate, np.asarray(cv2.cvtColor(rgba, cv2.COLOR_RGBA2RGB), np.uint8), alpha)
    eyes = sheet.eyes.places(driving)
    sheet.eyes.draw_at(eyes, picture, view)
    sheet.mouth.draw(picture, view, driving)
    return DrawnPerson(picture, alpha, seen, eyes)


def _over(plate: Picture, person: Picture, alpha: Picture) -> Picture:
    """The person before the plate, (S, S, 3) both. In bytes it takes a third of the time of `cv2.blendLinear`."""
    share = cv2.merge([alpha, alpha, alpha])
    front, back = cv2.multiply(person, share, scale=1 / 255), cv2.multiply(plate, cv2.bitwise_not(share), scale=1 / 255)
    return np.asarray(cv2.add(front, back), np.uint8)


def fade(person: DrawnPerson, former: DrawnPerson, share: float) -> None:
    """Show a share of the person, the rest as the former one, in place.

    Where one of them alone covers the background, it comes or goes in a third of the time: half an outline is a ghost.
    """
    sudden = float(np.clip((share - 0.5) * OUTLINE_PACE + 0.5, 0, 1))
    apart = cv2.absdiff(person.alpha, former.alpha)
    shares = cv2.addWeighted(apart, (sudden - share) / 255, apart, 0, share, dtype=cv2.CV_32F)
    for new, old in ((person.picture, former.picture), (person.alpha, former.alpha)):
        new[:] = cv2.blendLinear(new, old, shares, 1 - shares)


def made_ready(
    landmarks: Array,
    alpha: Picture,
    mouth: MouthLayers,
    eyes: EyeLayers,
    others: Iterable[tuple[Picture, Picture]] = (),
) -> tuple[Sheet, Picture]:
    """The sheet of a portrait with (478, 3) landmarks and `usable_matte` (S, S); and its background (S, S, 3).

    `others`: portraits with their mattes that may show more of it.
    """
    cutout = in_layers(mouth.skin, alpha, others)
    relief = Relief(landmarks, cutout.alpha, cutout.margin_px)
    rgba = np.dstack([cutout.person, cutout.alpha])
    return Sheet(rgba, cutout.margin_px, relief, mouth, eyes), cutout.plate
