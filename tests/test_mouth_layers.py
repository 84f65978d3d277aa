from collections.abc import Callable

import cv2
import numpy as np
import pytest

from avatar.core.arrays import Array, Picture
from avatar.face.face_model import face_model
from avatar.face.gaps import set_mouth_gaps
from avatar.face.head_pose import HeadPose, turned_by
from avatar.face.regions import INNER_LIP_PAIRS, LEFT_EYE, LIPS_INNER, LIPS_OUTER, RIGHT_EYE
from avatar.face.state import BLENDSHAPE_INDEX
from avatar.render.arch import MILLIMETRE, Arch, Box
from avatar.render.conditioning import mouth_frame
from avatar.render.drawn_teeth import BEND
from avatar.render.mouth_layers import CHIN, HINTS, MouthLayers
from avatar.render.view import View

SIZE = 512
SKIN, LIPS, TEETH = (196, 150, 128), (170, 92, 88), (222, 214, 196)
INSIDE, UPPER, LOWER, TONGUE = range(len(HINTS))


def pose(degrees: float = 0.0) -> HeadPose:
    turn = turned_by(np.array([0, np.radians(degrees), 0], np.float32))
    return HeadPose(turn, 0.25, np.array([0.5, 0.42, 0], np.float32))


def shape(**scores: float) -> Array:
    """The mean face with shut lips, and what ARKit scores add."""
    values = np.zeros(len(BLENDSHAPE_INDEX), np.float32)
    for name, score in scores.items():
        values[BLENDSHAPE_INDEX[name]] = score
    shut = set_mouth_gaps(face_model().mean_shape, np.zeros(len(INNER_LIP_PAIRS), np.float32))
    return np.asarray(shut + face_model().expression(values), np.float32)


def portrait(landmarks: Array, teeth: bool = False) -> Picture:
    """A face of three colours."""
    picture = np.full((SIZE, SIZE, 3), SKIN, np.uint8)
    for line, colour in (
        (LIPS_OUTER, LIPS),
        (RIGHT_EYE, TEETH),
        (LEFT_EYE, TEETH),
        (LIPS_INNER, TEETH if teeth else LIPS),
    ):
        cv2.fillPoly(picture, [np.rint(landmarks[list(line), :2] * SIZE).astype(np.int32)], colour)
    return picture


def smile() -> Array:
    return pose().apply(set_mouth_gaps(shape(), np.full(len(INNER_LIP_PAIRS), 0.1, np.float32)))


def shut_layers() -> MouthLayers:
    landmarks = pose().apply(shape())
    return MouthLayers(portrait(landmarks), landmarks)


def drawn(layers: MouthLayers, driving: Array, colour: int = 90) -> tuple[Picture, Picture]:
    picture = np.full((SIZE, SIZE, 3), colour, np.uint8)
    return picture, layers.draw(picture, View.whole(SIZE), driving)


def lent_layers() -> MouthLayers:
    return MouthLayers(portrait(smile(), teeth=True), smile())


@pytest.mark.parametrize("layers", [shut_layers, lent_layers])
def test_teeth_keep_their_size_however_far_the_jaw_falls(layers: Callable[[], MouthLayers]) -> None:
    made, upper_lip = layers(), list(LIPS_INNER[:11])
    heights = []
    for jaw_open in (0.2, 0.9):
        face = shape(jawOpen=jaw_open)
        face[upper_lip] = shape(jawOpen=0.2)[upper_lip]  # it rises a little, and shows more of them
        hints = drawn(made, pose().apply(face))[1]
        heights.append(float(hints[UPPER, :, SIZE // 2 - 4 : SIZE // 2 + 4].sum(0).mean()) / 255)
    assert heights[0] > 3
    assert 0.95 < heights[1] / heights[0] < 1.05


def test_lower_teeth_go_with_the_lip_and_hardly_pass_it() -> None:
    """The tracker's chin falls less than the jaw: teeth that went with it alone would hang in the middle."""
    made, unit = shut_layers(), 0.25 * SIZE
    for jaw_open in (0.2, 0.5, 0.9):
        face = shape(jawOpen=jaw_open)
        still = list(CHIN)
        face[still] = shape()[still]
        driving = pose().apply(face)
        middle = drawn(made, driving)[1][LOWER, :, SIZE // 2 - 4 : SIZE // 2 + 4]
        shown = np.flatnonzero(middle.mean(1) > 127)
        lip = driving[14, 1] * SIZE
        assert (lip - shown.min() if len(shown) else 0) < 3 * MILLIMETRE * unit


@pytest.mark.parametrize("nose_mm", [-3, 0, 4])
def test_the_upper_row_stands_out_below_a_lip_at_rest_by_a_little(nose_mm: float) -> None:
    face = shape()
    face[2, 1] += nose_mm * MILLIMETRE
    landmarks = pose().apply(face)
    opened = pose().apply(set_mouth_gaps(face, np.full(len(INNER_LIP_PAIRS), 0.2, np.float32), upper=0.0))
    hints = drawn(MouthLayers(portrait(landmarks), landmarks), opened)[1]
    seen_mm = hints[UPPER, :, SIZE // 2 - 4 : SIZE // 2 + 4].sum(0).mean() / 255 / (0.25 * SIZE * MILLIMETRE)
    assert 1.5 < seen_mm < 4.5


def test_hints_say_what_is_drawn_where() -> None:
    driving = pose().apply(shape(jawOpen=0.8))
    hints = drawn(shut_layers(), driving)[1]
    assert hints.shape == (len(HINTS), SIZE, SIZE)
    assert hints.dtype == np.uint8
    between = np.zeros((SIZE, SIZE), np.uint8)
    cv2.fillPoly(between, [np.rint(driving[list(LIPS_INNER), :2] * SIZE).astype(np.int32)], 1)
    both = ((hints[INSIDE] > 127) & (between > 0)).sum()
    assert both > 0.9 * between.sum()
    rows = np.arange(SIZE)[:, None]
    upper, tongue, lower = (float((rows * hints[i]).sum() / hints[i].sum()) for i in (UPPER, TONGUE, LOWER))
    assert upper < tongue < lower
    assert (hints[1:] <= hints[INSIDE]).all()


def test_only_what_is_between_the_lips_is_touched() -> None:
    picture, hints = drawn(shut_layers(), pose().apply(shape(jawOpen=0.8)))
    far = cv2.dilate(hints[INSIDE], np.ones((7, 7), np.uint8)) == 0
    assert (picture[far] == 90).all()
    assert (picture[hints[UPPER] > 250].mean(0) > 120).all()


def test_shut_lips_show_nothing_but_their_own_line() -> None:
    landmarks = pose().apply(shape())
    photo = portrait(landmarks)
    picture = photo.copy()
    hints = MouthLayers(photo, landmarks).draw(picture, View.whole(SIZE), landmarks)
    assert not hints.any()
    assert np.abs(picture.astype(int) - photo).max() < 20  # at the corners, where the line ends on skin


def test_a_toothy_smile_can_be_shut() -> None:
    layers = lent_layers()
    assert layers.shows_teeth
    x, y = np.rint(smile()[[13, 14], :2].mean(0) * SIZE).astype(int)
    assert np.abs(portrait(smile(), teeth=True)[y, x] - np.array(TEETH)).max() < 3
    filled = layers.skin[y, x].astype(float)
    assert (filled <= np.array(LIPS) + 5).all()
    picture, hints = drawn(layers, pose().apply(shape()))
    assert not hints.any()
    assert picture.max() <= max(LIPS)


def test_teeth_are_told_from_lips() -> None:
    assert MouthLayers(portrait(smile(), teeth=True), smile()).shows_teeth
    assert not MouthLayers(portrait(smile()), smile()).shows_teeth
    assert not shut_layers().shows_teeth


def test_a_grey_photo_gets_a_grey_mouth() -> None:
    for teeth in (False, True):
        grey = portrait(smile(), teeth).mean(2, keepdims=True).repeat(3, 2).astype(np.uint8)
        picture, _ = drawn(MouthLayers(grey, smile()), pose().apply(shape(jawOpen=0.7)))
        assert np.ptp(picture.astype(int), axis=2).max() <= 3


@pytest.mark.parametrize("move", [(-0.55, 0.0), (0.5, 0.0), (0.0, 0.4), (0.0, -0.6), (3.0, -3.0)])
def test_a_mouth_at_the_pictures_edge_or_outside(move: tuple[float, float]) -> None:
    driving = pose().apply(shape(jawOpen=0.8)) + np.array([*move, 0], np.float32)
    _, hints = drawn(shut_layers(), driving)
    assert hints.shape == (len(HINTS), SIZE, SIZE)
    MouthLayers(portrait(driving), driving)


@pytest.mark.parametrize("degrees", [-80, -45, -25, 25, 45, 80])
def test_a_turned_head_hides_no_more_than_it_should(degrees: int) -> None:
    landmarks = pose(degrees).apply(shape(jawOpen=0.8))
    hints = drawn(shut_layers(), landmarks)[1]
    assert abs(degrees) > 30 or (hints[UPPER] > 127).sum() > 40
    MouthLayers(portrait(landmarks), landmarks).draw(np.zeros((SIZE, SIZE, 3), np.uint8), View.whole(SIZE), landmarks)


def test_a_region_shows_what_the_whole_does() -> None:
    driving = pose().apply(shape(jawOpen=0.8))
    view = View.region(mouth_frame(driving, pose()).inverse(), 96, 64)
    layers = shut_layers()
    crop = np.full((64, 96, 3), 90, np.uint8)
    layers.draw(crop, view, driving)
    whole, _ = drawn(layers, driving)
    wanted = cv2.warpAffine(cv2.GaussianBlur(whole, (0, 0), 0.6), view.matrix / np.array([SIZE, SIZE, 1]), (96, 64))
    assert np.abs(crop.astype(int) - wanted).mean() < 6


def test_places_on_an_arch_are_where_its_points_are_seen() -> None:
    arch, view, head = Arch(-0.2, BEND), View.whole(SIZE), pose(20)
    places = arch.places(view, head, Box(0, 0, SIZE, SIZE))
    assert places is not None
    row, column = 280, 250
    x, y = (np.array(axis[row, column], np.float32) for axis in places)
    pixel = view.pixels(head.apply(arch.points(x, y)))
    np.testing.assert_allclose(pixel, [column + 0.5, row + 0.5], atol=0.01)


def test_a_row_of_teeth_seen_edge_on_is_not_drawn() -> None:
    assert Arch(-0.2, BEND).places(View.whole(SIZE), pose(90), Box(0, 0, SIZE, SIZE)) is None
