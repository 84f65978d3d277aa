"""Portraits of one person in one light."""

import cv2
import numpy as np
import pytest

from avatar.core.arrays import Array, Picture
from avatar.render.one_light import OneLight
from tests.clips import astronaut_avatar

Pair = tuple[Picture, Array]


@pytest.fixture(scope="module")
def astronaut() -> Pair:
    avatar = astronaut_avatar()
    return avatar.portraits[0], avatar.landmarks[0]


def face_of(picture: Picture | Array, landmarks: Array) -> Array:
    low, high = (landmarks[:, :2].min(0) * 512).astype(int), (landmarks[:, :2].max(0) * 512).astype(int)
    return picture[low[1] : high[1], low[0] : high[0]].astype(np.float32)


def fine_part(picture: Array) -> Array:
    return np.asarray(picture - cv2.GaussianBlur(picture, (0, 0), 4), np.float32)


def test_the_same_portrait_stays_as_it_is(astronaut: Pair) -> None:
    assert np.array_equal(OneLight(*astronaut).on(*astronaut), astronaut[0])


@pytest.mark.parametrize("factors", [(0.7, 0.7, 0.7), (0.8, 0.85, 1.0), (1.0, 0.9, 0.75)])
def test_another_exposure_and_white_balance_are_undone(astronaut: Pair, factors: tuple[float, ...]) -> None:
    portrait, landmarks = astronaut
    other = np.rint(portrait * np.array(factors)).astype(np.uint8)
    lit = OneLight(portrait, landmarks).on(other, landmarks)
    assert np.abs(lit.astype(int) - portrait).mean() < 1.5
    assert np.abs(other.astype(int) - portrait).mean() > 8


def test_a_lamp_from_the_side_is_undone_in_the_face(astronaut: Pair) -> None:
    portrait, landmarks = astronaut
    centre, scale = landmarks[1, 0], np.ptp(landmarks[:, 0])
    across = (np.arange(512) + 0.5) / 512
    side = np.clip(0.85 + 0.2 * (across - centre) / scale, 0.7, 1)
    other = np.rint(portrait * side[None, :, None]).astype(np.uint8)
    lit = OneLight(portrait, landmarks).on(other, landmarks)
    wanted, before, after = (face_of(part, landmarks) for part in (portrait, other, lit))
    slow = [cv2.GaussianBlur(part - wanted, (0, 0), 12) for part in (before, after)]
    assert np.abs(slow[1]).mean() < 0.4 * np.abs(slow[0]).mean()


def test_what_is_fine_stays_the_portraits_own(astronaut: Pair) -> None:
    portrait, landmarks = astronaut
    freckles = np.random.default_rng(0).normal(0, 6, portrait.shape)
    other = np.clip(0.8 * portrait + freckles, 0, 255).astype(np.uint8)
    lit = OneLight(portrait, landmarks).on(other, landmarks).astype(np.float32)
    fine, own = (face_of(fine_part(part), landmarks).ravel() for part in (lit, other.astype(np.float32)))
    likeness = float(fine @ own) / float(np.linalg.norm(fine) * np.linalg.norm(own))
    assert likeness > 0.99


def test_a_hand_before_the_face_is_no_light(astronaut: Pair) -> None:
    """What differs by more than light does is left."""
    portrait, landmarks = astronaut
    black = np.zeros_like(portrait)
    lit = OneLight(portrait, landmarks).on(black + 20, landmarks)
    assert lit.max() <= 20 * 1.6 * 1.3 + 1
