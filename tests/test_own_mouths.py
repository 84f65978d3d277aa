"""Mouths that portraits show: again where a driver's lips are as there, and nothing of them elsewhere."""

import cv2
import numpy as np
import pytest

from avatar.core.arrays import Array, Picture
from avatar.face.gaps import set_mouth_gaps
from avatar.face.regions import INNER_LIP_PAIRS, LIPS_INNER, LIPS_OUTER
from avatar.render.own_mouths import OwnMouths
from avatar.render.view import View
from tests.test_mouth_layers import SIZE, SKIN, portrait, pose, shape

GREEN, BLUE = (40, 190, 60), (120, 140, 250)
WHOLE = View.whole(SIZE)


def opened(gap: float, degrees: float = 0.0) -> Array:
    """(478, 3) landmarks of lips that are `gap` distances of the outer eye corners apart."""
    arched = np.sin(np.linspace(0.25, np.pi - 0.25, len(INNER_LIP_PAIRS))).astype(np.float32)
    return pose(degrees).apply(set_mouth_gaps(shape(), gap * arched))


def ring(landmarks: Array, line: tuple[int, ...] = LIPS_INNER) -> Array:
    """(S, S) 1 inside of a line."""
    points = np.rint(landmarks[list(line), :2] * SIZE).astype(np.int32)
    return np.asarray(cv2.fillPoly(np.zeros((SIZE, SIZE), np.uint8), [points], 1), np.uint8)


def showing(landmarks: Array, colour: tuple[int, int, int]) -> Picture:
    """A portrait with a colour between the lips."""
    picture = portrait(landmarks)
    picture[ring(landmarks) > 0] = colour
    return picture


def drawn(mouths: OwnMouths, driving: Array, skin: tuple[int, int, int] = SKIN) -> Picture:
    """Over a face without a mouth."""
    picture = np.full((SIZE, SIZE, 3), skin, np.uint8)
    shown = mouths.shown(driving)
    if shown is not None:
        shown.draw(picture, WHOLE)
    return picture


def middle(picture: Picture, driving: Array) -> Array:
    """What is halfway between the lips."""
    x, y = (driving[[13, 14], :2].mean(0) * SIZE).astype(int)
    return np.asarray(picture[y - 1 : y + 2, x - 4 : x + 5].mean((0, 1)))


@pytest.fixture(scope="module")
def two() -> OwnMouths:
    """One portrait is green between its lips, one that opens them further is blue."""
    faces = [opened(0.15), opened(0.3)]
    return OwnMouths([showing(faces[0], GREEN), showing(faces[1], BLUE)], np.stack(faces))


@pytest.mark.parametrize(("gap", "colour"), [(0.15, GREEN), (0.3, BLUE)])
def test_the_mouth_whose_lips_are_nearest_shows(two: OwnMouths, gap: float, colour: tuple[int, int, int]) -> None:
    driving = opened(gap)
    picture, wanted = drawn(two, driving), showing(driving, colour)
    edges = cv2.max(cv2.Canny(ring(driving) * 255, 1, 1), cv2.Canny(ring(driving, LIPS_OUTER) * 255, 1, 1))
    clear = cv2.dilate(edges, np.ones((7, 7))) == 0
    lips = cv2.dilate(ring(driving, LIPS_OUTER), np.ones((9, 9))) > 0
    assert np.abs(picture.astype(int) - wanted)[lips & clear].max() <= 3
    assert (picture[~cv2.dilate(ring(driving, LIPS_OUTER), np.ones((121, 121))).astype(bool)] == SKIN).all()


def test_it_turns_with_the_head(two: OwnMouths) -> None:
    driving = opened(0.15, 10)
    np.testing.assert_allclose(middle(drawn(two, driving), driving), GREEN, atol=3)


def test_it_is_shown_in_the_light_of_the_face(two: OwnMouths) -> None:
    driving = opened(0.15)
    darker = tuple(value - 60 for value in SKIN)
    picture = drawn(two, driving, (darker[0], darker[1], darker[2]))
    np.testing.assert_allclose(middle(picture, driving), np.clip(np.array(GREEN) - 60, 0, 255), atol=4)


@pytest.mark.parametrize("gap", [0.0, 0.9])
def test_lips_that_no_portrait_shows_are_left_as_they_are(gap: float) -> None:
    face = opened(0.35)
    assert (drawn(OwnMouths([showing(face, BLUE)], face[None]), opened(gap)) == SKIN).all()


def test_one_mouth_passes_into_another_without_a_jump(two: OwnMouths) -> None:
    gaps = np.arange(0.1, 0.4, 0.002)
    colours = np.stack([middle(drawn(two, driving), driving) for driving in map(opened, gaps)])
    assert np.abs(np.diff(colours, axis=0)).max() < 30
    assert np.ptp(colours[:, 2]) > 150


def test_a_profile_lends_no_mouth() -> None:
    face = opened(0.15, 50)
    assert OwnMouths([showing(face, GREEN)], face[None]).shown(face) is None
