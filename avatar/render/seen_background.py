"""What other portraits show of the background that the person hides in one: a camera that stood still saw it all."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np

from avatar.core.arrays import Array, Picture
from avatar.render.push_pull import push_pull
from avatar.render.refined_matte import Matte

GRID = 32  # places along each side at which pictures are compared, and their change of light is found
LEAST_COMMON = 0.03  # share of these that two portraits must both show behind the person
ALIKE = 9.0  # of 255: mean difference of one background, its light made the same; of another place it is larger
LIKE = 0.85  # share of the common places that must be so
CONFIRMED = 14.0  # of 255: two portraits that show the same there. One alone may show a strand that its matte missed


def fill_from(portrait: Picture, hole: Matte, others: Iterable[tuple[Picture, Matte]]) -> tuple[Picture, Matte]:
    """The portrait (S, S, 3) and its hole (S, S; 1 where the person hides the background), filled from others.

    `others`: portraits and their holes, of which those count that show the same background in the same place. What
    fewer than two of them show alike stays hole.
    """
    picture, left = portrait.astype(np.float32), hole.copy()
    once = np.zeros_like(hole)  # where one portrait showed what is in `picture`
    for other, theirs in others:
        new = cv2.bitwise_and(left, 1 - theirs)
        if not new.any() or (light := _change_of_light(portrait, hole, other, theirs)) is None:
            continue
        shown = other + light
        same = (np.abs(shown - picture).mean(2) < CONFIRMED).astype(np.uint8)
        alike = np.asarray(cv2.bitwise_and(cv2.bitwise_and(new, once), same), np.uint8)
        left = np.asarray(left - alike, np.uint8)
        once = np.asarray(cv2.bitwise_or(once, new), np.uint8)
        cv2.copyTo(shown, new - alike, picture)
    filled = np.clip(np.rint(picture), 0, 255).astype(np.uint8)
    cv2.copyTo(portrait, left, filled)
    return filled, left


def _change_of_light(portrait: Picture, hole: Matte, other: Picture, theirs: Matte) -> Array | None:
    """(S, S, 3) to be added to another portrait's background. None where it is not the same background."""
    known = 1 - cv2.bitwise_or(hole, theirs).astype(np.float32)
    share = _coarse(known)
    common = share > 0.5
    if common.mean() < LEAST_COMMON:
        return None
    apart = portrait.astype(np.float32) - other
    slow = np.asarray(_coarse(apart * known[..., None]) / np.maximum(share, 1e-3)[..., None], np.float32)
    whole = np.median(slow[common], axis=0)
    differs = np.abs(slow - whole).mean(2)
    fine = _coarse(np.abs(apart - whole).mean(2) * known) / np.maximum(share, 1e-3)
    if (np.maximum(differs, fine)[common] < ALIKE).mean() < LIKE:
        return None
    filled = push_pull(slow, common.astype(np.float32))
    return np.asarray(cv2.resize(filled, hole.shape[::-1], interpolation=cv2.INTER_LINEAR), np.float32)


def _coarse(layer: Array) -> Array:
    return np.asarray(cv2.resize(layer, (GRID, GRID), interpolation=cv2.INTER_AREA), np.float32)
