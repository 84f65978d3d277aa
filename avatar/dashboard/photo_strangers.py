"""Which of the photos on the page show another person than the rest: what `enroll` will say of them, said at once."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from avatar.dashboard.photo_check import Photo
from avatar.identity.same_person import strangers


def stranger_numbers(photos: Iterable[Photo]) -> tuple[int, ...]:
    """Numbers of those that do not belong, the worst first. The best photo leads, as it does when `enroll` compares."""
    described = [(photo, photo.descriptor) for photo in photos if photo.descriptor is not None]
    if len(described) < 2:
        return ()
    described.sort(key=lambda one: one[0].score, reverse=True)
    return tuple(described[index][0].number for index in strangers(np.stack([found for _, found in described])))
