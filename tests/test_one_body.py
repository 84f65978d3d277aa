"""Bodies of several portraits: brought to one place while sheets change, then where each has its own."""

import cv2
import numpy as np
import pytest

from avatar.core.arrays import Array, Picture
from avatar.face.body import AS_IT_IS, BodyFit
from avatar.render.one_body import SLIDE_NS, BodyPlace, OneBody
from avatar.render.relief import Relief
from tests.test_mouth_layers import pose, shape

SIZE, MARGIN = 256, 64


def person(aside: float) -> tuple[Relief, Picture, Array]:
    """One whose shoulders stand `aside`, in sides of the portrait, and the landmarks of the face."""
    face = pose().apply(shape())
    sheet = np.zeros((SIZE + 2 * MARGIN,) * 2 + (4,), np.uint8)
    sheet[..., :3] = (90, 40, 30)
    middle = (round(0.5 * SIZE) + MARGIN, round(0.45 * SIZE) + MARGIN)
    cv2.ellipse(sheet, middle, (60, 85), 0, 0, 360, (200, 150, 120, 255), -1)
    left = MARGIN + round((0.5 + aside) * SIZE) - 90
    top = MARGIN + round(0.84 * SIZE)
    cv2.rectangle(sheet, (left, top), (left + 180, len(sheet)), (40, 60, 140, 255), -1)
    return Relief(face, np.ascontiguousarray(sheet[..., 3]), MARGIN), sheet, face


@pytest.fixture(scope="module")
def first() -> OneBody:
    relief, sheet, face = person(0.0)
    return OneBody(relief, sheet, MARGIN, face)


@pytest.mark.parametrize("aside", [-0.05, 0.0, 0.04])
def test_shoulders_that_stood_aside_are_brought_back(first: OneBody, aside: float) -> None:
    relief, sheet, _ = person(aside)
    fit = first.fit(relief, sheet, MARGIN)
    np.testing.assert_allclose(np.array(fit.shift) * relief.pose.scale, (-aside, 0), atol=0.008)
    assert fit.log_scale == pytest.approx(0, abs=1e-6)


def test_of_a_portrait_without_a_background_nothing_is_moved() -> None:
    relief, sheet, face = person(0.0)
    sheet[..., 3] = 255
    assert OneBody(relief, sheet, MARGIN, face).fit(relief, sheet, MARGIN) == AS_IT_IS


def test_a_body_stays_at_a_change_and_slides_to_its_own_place() -> None:
    place, other = BodyPlace(), BodyFit(0.1, (0.2, -0.1))
    place.slide(AS_IT_IS, 10**9)
    place.slide(other, 10**9)  # at the change
    assert place.of(AS_IT_IS) == AS_IT_IS, "the sheet that goes"
    assert place.of(other) == other, "the sheet that comes, brought to it"
    shifts = []
    for step in range(1, 61):
        place.slide(other, 10**9 + step * 33_000_000)
        shifts.append(place.of(other).shift[0])
    assert np.abs(np.diff([0.2, *shifts])).max() < 0.2 * 33e6 / SLIDE_NS + 1e-6
    assert shifts[-1] == pytest.approx(0, abs=1e-3) and place.of(other).log_scale == pytest.approx(0, abs=1e-3)
