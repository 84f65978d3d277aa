"""The light that falls on a portrait, told by the whites of its eyes, its skin and its lips: colours for the mouth.

All colours come out of the portrait's own, so a grey photo gets grey teeth and a browned painting brown ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.core.arrays import Array, Picture
from avatar.face import regions as at

# Of 224 smiles: how much of what tints the whites of the eyes, and the skin, also tints teeth, as red and blue to green
TEETH_LIKE_EYES = np.array([0.33, 1, 0.75], np.float32)
TEETH_LIKE_SKIN = np.array([0.18, 1, 0.11], np.float32)
WARM_AS_SKIN = 0.35  # of the skin's tint teeth have at least
TEETH_BRIGHTNESS = 1.25  # against the whites of the eyes

_CHEEKS = (50, 205, 187, 147, 123), (280, 425, 411, 376, 352)
LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True, slots=True)
class MouthLight:
    """(3,) RGB in [0, 255]."""

    teeth: Array
    gums: Array
    tongue: Array
    cavity: Array  # just behind the lips
    throat: Array
    shadow: Array  # along the lips
    lips: Array


def mouth_light(portrait: Picture, landmarks: Array) -> MouthLight:
    """Of an (S, S, 3) portrait with (478, 3) landmarks in [0, 1]."""
    size = len(portrait)
    points = landmarks[:, :2] * size
    skin = _colour(portrait, np.logical_or(*(_filled(size, points, cheek) for cheek in _CHEEKS)))
    ring = _filled(size, points, at.LIPS_OUTER)
    ring[_filled(size, points, at.LIPS_INNER)] = False
    lips = _colour(portrait, ring) if ring.any() else skin
    eyes = _filled(size, points, at.RIGHT_EYE) | _filled(size, points, at.LEFT_EYE)
    for centre, rim in ((at.RIGHT_IRIS_CENTRE, at.RIGHT_IRIS), (at.LEFT_IRIS_CENTRE, at.LEFT_IRIS)):
        radius = float(np.linalg.norm(points[list(rim)] - points[centre], axis=1).mean())
        away = np.clip(points[centre], -size, 2 * size)
        y, x = np.ogrid[:size, :size]
        eyes &= (x - away[0]) ** 2 + (y - away[1]) ** 2 > (1.1 * radius) ** 2
    white = portrait[eyes].astype(np.float32) if eyes.any() else skin[None]
    bright = white @ LUMA
    sclera = np.maximum(white[bright >= np.percentile(bright, 70)].mean(0), 1)
    luma = float(np.clip(max(sclera @ LUMA, 1.05 * (skin @ LUMA)), 30, 190))
    hue = (sclera / sclera[1]) ** TEETH_LIKE_EYES * (skin / skin[1]) ** TEETH_LIKE_SKIN
    # cameras make small whites bluish
    warm = (skin / skin[1]) ** WARM_AS_SKIN
    hue = np.array([max(hue[0], warm[0]), 1, min(hue[2], warm[2])], np.float32)
    red = _redder(lips, 1.2)
    return MouthLight(
        teeth=_brought_to(hue, TEETH_BRIGHTNESS * luma),
        gums=_brought_to(_mixed(red, skin, 0.3), 0.62 * luma),
        tongue=_brought_to(_mixed(red, skin, 0.2), 0.56 * luma),
        cavity=_brought_to(_redder(lips, 1.7), 0.2 * luma),
        throat=_brought_to(_redder(lips, 1.7), 0.08 * luma),
        shadow=_brought_to(_redder(lips, 1.3), 0.28 * float(lips @ LUMA)),
        lips=lips,
    )


def _filled(size: int, points: Array, index: tuple[int, ...]) -> NDArray[np.bool_]:
    mask = np.zeros((size, size), np.uint8)
    cv2.fillPoly(mask, [np.rint(np.clip(points[list(index)], -size, 2 * size)).astype(np.int32)], 1)
    return mask > 0


def _colour(portrait: Picture, mask: NDArray[np.bool_]) -> Array:
    if not mask.any():
        return np.full(3, 128, np.float32)
    return np.maximum(np.median(portrait[mask].astype(np.float32), axis=0), 1)


def _mixed(one: Array, other: Array, share: float) -> Array:
    """The hue between two colours, at a luma of 1."""
    return np.asarray((1 - share) * one / (one @ LUMA) + share * other / (other @ LUMA), np.float32)


def _redder(colour: Array, power: float) -> Array:
    """What is not grey, more so."""
    return np.asarray((colour / (colour @ LUMA)) ** power, np.float32)


def _brought_to(colour: Array, luma: float) -> Array:
    return np.asarray(np.clip(colour * (luma / (colour @ LUMA)), 0, 255), np.float32)
