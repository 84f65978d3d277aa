"""Mouths that portraits show: again where a driver opens the mouth as far, and nothing of them elsewhere."""

import cv2
import numpy as np
import pytest

from avatar.core.arrays import Array, Picture
from avatar.face.gaps import set_mouth_gaps
from avatar.face.regions import INNER_LIP_PAIRS, LIPS_INNER
from avatar.render.own_mouths import OwnMouths
from avatar.render.view import View
from tests.test_mouth_layers import SIZE, TEETH, portrait, pose, shape

GREEN, BLUE = (40, 190, 60), (120, 140, 250)
WHOLE = View.whole(SIZE)


def opened(gap: float, degrees: float = 0.0) -> Array:
    """(478, 3) landmarks of lips that are `gap` distances of the outer eye corners apart."""
    arched = np.sin(np.linspace(0.25, np.pi - 0.25, len(INNER_LIP_PAIRS))).astype(np.float32)
    return pose(degrees).apply(set_mouth_gaps(shape(), gap * arched))


def showing(landmarks: Array, colour: tuple[int, int, int]) -> Picture:
    """A portrait with a colour between the lips, and dark above the lower one."""
    picture = portrait(landmarks)
    between = cv2.fillPoly(np.zeros((SIZE, SIZE), np.uint8), [_ring(landmarks)], 1) > 0
    picture[between] = colour
    top, bottom = landmarks[[13, 14], 1] * SIZE
    between[: round(float(top + 0.75 * (bottom - top)))] = False
    picture[between] = (25, 8, 8)
    return picture


def drawn(mouths: OwnMouths, driving: Array) -> tuple[Array, Array]:
    """The picture (S, S, 3) before grey, and the share of own mouths in it, in [0, 1]."""
    picture = np.full((SIZE, SIZE, 3), 90, np.uint8)
    shown = mouths.shown(driving)
    share = np.zeros((SIZE, SIZE), np.uint8) if shown is None else shown.draw(picture, WHOLE)
    return picture.astype(np.float32), np.asarray(share / 255, np.float32)


def middle(picture: Array, driving: Array) -> Array:
    """What is halfway between the lips."""
    x, y = (driving[[13, 14], :2].mean(0) * SIZE).astype(int)
    return np.asarray(picture[y - 1 : y + 2, x - 4 : x + 5].mean((0, 1)))


def _ring(landmarks: Array) -> Array:
    return np.rint(landmarks[list(LIPS_INNER), :2] * SIZE).astype(np.int32)


@pytest.fixture(scope="module")
def two() -> OwnMouths:
    """One portrait is green between its lips, one that opens them further is blue; others keep them shut, or show
    nothing but lips between them."""
    faces = [opened(0.0), opened(0.15), opened(0.3), opened(0.6)]
    pictures = [portrait(faces[0]), showing(faces[1], GREEN), showing(faces[2], BLUE), portrait(faces[3])]
    return OwnMouths(pictures, np.stack(faces))


@pytest.mark.parametrize(("gap", "colour"), [(0.15, GREEN), (0.3, BLUE)])
def test_the_mouth_of_that_opening_shows(two: OwnMouths, gap: float, colour: tuple[int, int, int]) -> None:
    driving = opened(gap)
    picture, share = drawn(two, driving)
    between = np.zeros((SIZE, SIZE), np.uint8)
    cv2.fillPoly(between, [_ring(driving)], 1)
    within, around = cv2.erode(between, np.ones((7, 7))) > 0, cv2.dilate(between, np.ones((9, 9))) > 0
    assert np.abs(picture - showing(driving, colour))[within].max() <= 2
    assert share[within].min() > 0.85 and share[within].mean() > 0.99 and not share[~around].any()
    assert (picture[~around] == 90).all()


def test_it_turns_with_the_head(two: OwnMouths) -> None:
    driving = opened(0.15, 10)
    np.testing.assert_allclose(middle(drawn(two, driving)[0], driving), GREEN, atol=2)


@pytest.mark.parametrize("gap", [0.0, 0.6])
def test_an_opening_that_no_portrait_shows_is_left_to_the_layers(two: OwnMouths, gap: float) -> None:
    picture, share = drawn(two, opened(gap))
    assert (picture == 90).all() and not share.any()


def test_one_mouth_passes_into_another_without_a_jump(two: OwnMouths) -> None:
    gaps = np.arange(0.1, 0.5, 0.002)
    colours = np.stack([middle(drawn(two, driving)[0], driving) for driving in map(opened, gaps)])
    assert np.abs(np.diff(colours, axis=0)).max() < 30
    assert np.ptp(colours[:, 2]) > 150


def test_upper_teeth_stay_where_they_are_while_the_lower_lip_falls() -> None:
    face = opened(0.2)
    picture = showing(face, TEETH)
    top, bottom = face[[13, 14], 1] * SIZE
    edge = round(float(top + 0.5 * (bottom - top)))
    between = cv2.fillPoly(np.zeros((SIZE, SIZE), np.uint8), [_ring(face)], 1) > 0
    between[:edge] = False
    picture[between] = (25, 8, 8)
    lower = list(LIPS_INNER[11:])
    edges = []
    for further in (0.0, 0.02):
        driving = face.copy()
        driving[lower, 1] += further * pose().scale
        column = drawn(OwnMouths([picture], face[None]), driving)[0][:, SIZE // 2, 1]
        edges.append(int(np.flatnonzero(column > 150).max()))
    assert abs(edges[0] - (edge - 1)) <= 1 and edges[1] == edges[0]
