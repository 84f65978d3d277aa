"""A portrait in layers: the person, its matte, the background behind and the body beyond the picture."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from avatar.core.arrays import Array, Picture
from avatar.face.face_model import face_model
from avatar.render.cutout import Cutout, cut_out, in_layers
from avatar.render.plate import background_plate
from avatar.render.push_pull import push_pull
from avatar.render.refined_matte import Matte, face_oval, refine_matte
from avatar.tracking.person_matte import person_mattes
from tests.clips import astronaut_avatar

SIZE = 512
SKIN = np.array([190, 140, 110], np.float32)


def drawn_face() -> Array:
    """(478, 3) in [0, 1]: the mean face, upright in the picture's middle."""
    mean = face_model().mean_shape
    middle = (mean[:, :2].min(0) + mean[:, :2].max(0)) / 2
    face = mean * np.float32(0.4 / np.ptp(mean[:, 1]))
    face[:, :2] += np.float32(0.5) - middle * np.float32(0.4 / np.ptp(mean[:, 1]))
    return np.asarray(face, np.float32)


def drawn_person() -> tuple[Picture, Array, Picture]:
    """A head and shoulders with strands of hair before a background with grain: picture, share of the person in [0, 1],
    and the background alone.
    """
    large = np.zeros((4 * SIZE, 4 * SIZE), np.uint8)
    cv2.ellipse(large, (4 * 256, 4 * 250), (4 * 130, 4 * 160), 0, 0, 360, 255, -1)
    cv2.ellipse(large, (4 * 256, 4 * 560), (4 * 230, 4 * 180), 0, 0, 360, 255, -1)
    for angle in range(200, 340, 10):  # strands, 1.5 px wide and 20 px long
        direction = np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
        ends = [
            np.rint(4 * (np.array([256, 250]) + direction * reach)).astype(int) for reach in ((125, 155), (150, 180))
        ]
        cv2.line(large, tuple(map(int, ends[0])), tuple(map(int, ends[1])), 255, 6, cv2.LINE_AA)
    share = np.asarray(cv2.resize(large, (SIZE, SIZE), interpolation=cv2.INTER_AREA) / np.float32(255), np.float32)
    rng = np.random.default_rng(0)
    across, down = np.meshgrid(np.linspace(0, 1, SIZE), np.linspace(0, 1, SIZE))
    behind = np.dstack([60 + 40 * across, 90 + 30 * down, 150 - 30 * across]) + rng.normal(0, 2, (SIZE, SIZE, 3))
    front = SKIN + rng.normal(0, 4, (SIZE, SIZE, 3))
    picture = front * share[..., None] + behind * (1 - share[..., None])
    return (
        np.rint(np.clip(picture, 0, 255)).astype(np.uint8),
        share,
        np.rint(np.clip(behind, 0, 255)).astype(np.uint8),
    )


def coarse(share: Array) -> Matte:
    """What a segmenter makes of it that knows no strands and sees a quarter of the picture's pixels."""
    small = cv2.resize(cv2.medianBlur((share * 255).astype(np.uint8), 11), (SIZE // 4, SIZE // 4))
    return np.asarray(cv2.resize(small, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR), np.uint8)


def over(colours: Picture, alpha: Matte, behind: Picture) -> Array:
    share = alpha[..., None] / np.float32(255)
    return np.asarray(colours * share + behind * (1 - share), np.float32)


def moved(layers: Cutout, right_px: int, down_px: int) -> Array:
    """(S, S, 3): the person moved before the plate."""
    size, margin = len(layers.plate), layers.margin_px
    part = slice(margin - down_px, margin - down_px + size), slice(margin - right_px, margin - right_px + size)
    return over(layers.person[part], layers.alpha[part], layers.plate)


@pytest.fixture(scope="module")
def astronaut_layers() -> tuple[Picture, Cutout]:
    avatar = astronaut_avatar()
    portrait = np.asarray(avatar.portraits[0])
    return portrait, cut_out(portrait, person_mattes([portrait])[0], avatar.landmarks[0])


def test_known_colours_stay_and_the_others_lie_between_them() -> None:
    known = np.zeros((37, 50), np.float32)
    known[:, :5] = known[:, -5:] = 1
    colours = np.zeros((37, 50, 3), np.float32)
    colours[:, -5:] = 100
    filled = push_pull(colours, known)
    assert np.array_equal(filled[known > 0], colours[known > 0])
    assert (np.diff(filled.mean((0, 2))) >= -1).all() and 30 < filled[:, 25].mean() < 70


def test_strands_that_the_segmenter_does_not_know_are_found_and_gaps_stay_open() -> None:
    picture, share, _ = drawn_person()
    given = coarse(share)
    refined = refine_matte(picture, given, drawn_face()) / 255
    off = [float(np.abs(matte - share).mean()) for matte in (given / 255, refined)]
    assert off[1] < 0.35 * off[0]
    strands = (share > 0.7) & (given < 50)
    between = (share < 0.02) & (cv2.dilate(strands.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0)
    assert refined[strands].mean() > 0.7 and refined[between].mean() < 0.1
    certain = (refined > 0.5), (share > 0.5)
    assert (certain[0] & certain[1]).sum() / (certain[0] | certain[1]).sum() > 0.99


def test_the_silhouette_is_as_sharp_as_the_photo() -> None:
    picture, share, _ = drawn_person()
    given = coarse(share)
    refined = refine_matte(picture, given, drawn_face())
    rim = cv2.dilate((share > 0.5).astype(np.uint8), np.ones((9, 9))) != cv2.erode(
        (share > 0.5).astype(np.uint8), np.ones((9, 9))
    )
    energy = [
        float((np.hypot(*(cv2.Sobel(matte / 255, cv2.CV_64F, *axis) for axis in ((1, 0), (0, 1)))) ** 2)[rim].sum())
        for matte in (given, refined, share * 255)
    ]
    assert energy[0] / energy[2] < 0.5 and 0.7 < energy[1] / energy[2] < 1.3


def test_the_face_is_always_inside_and_what_hangs_nowhere_is_dropped() -> None:
    picture, share, _ = drawn_person()
    given = coarse(share)
    cv2.circle(given, (256, 250), 8, 0, -1)  # a hole in the face
    cv2.circle(given, (40, 60), 25, 255, -1)  # somebody else
    refined = refine_matte(picture, given, drawn_face())
    assert (refined[face_oval(drawn_face(), SIZE, 0.94) > 0] == 255).all()
    assert refined[20:100, :90].max() == 0


def test_no_person_is_left_in_the_plate() -> None:
    picture, share, behind = drawn_person()
    plate = background_plate(picture, (share * 255).astype(np.uint8))
    hidden, seen = share > 0, cv2.dilate((share > 0).astype(np.uint8), np.ones((31, 31), np.uint8)) == 0
    assert np.abs(cv2.blur(plate, (9, 9)).astype(int) - cv2.blur(behind, (9, 9)))[hidden].max() < 12
    assert np.array_equal(plate[seen], picture[seen])
    grain = [float(np.std((part.astype(int) - cv2.blur(part, (5, 5)))[hidden])) for part in (plate, behind)]
    rim = (cv2.distanceTransform(hidden.astype(np.uint8), cv2.DIST_L2, 3) < 20) & hidden
    near = [float(np.std((part.astype(int) - cv2.blur(part, (5, 5)))[rim])) for part in (plate, behind)]
    assert 0 < grain[0] < grain[1] and 0.6 < near[0] / near[1] < 1.1


def test_a_horizon_goes_on_behind_the_person() -> None:
    picture = np.full((SIZE, SIZE, 3), 220, np.uint8)
    picture[SIZE // 2 :] = 60
    person = np.zeros((SIZE, SIZE), np.uint8)
    person[100:, 180:340] = 255
    plate = background_plate(picture, person)[..., 0].astype(int)
    for beside in (200, 320):  # 20 px behind the silhouette
        assert plate[150 : SIZE // 2 - 40, beside].min() > 210
        assert plate[SIZE // 2 + 40 :, beside].max() < 100


def test_the_rim_has_the_persons_own_colours_inside_and_beyond() -> None:
    picture, share, _ = drawn_person()
    layers = cut_out(picture, coarse(share), drawn_face())
    margin = layers.margin_px
    person = layers.person[margin:-margin, margin:-margin]
    body = (share > 0.5).astype(np.uint8)
    rim = (cv2.dilate(body, np.ones((17, 17), np.uint8)) != cv2.erode(body, np.ones((7, 7), np.uint8))) & (share < 0.9)
    off = np.abs(cv2.blur(person, (3, 3)) - SKIN)[rim]
    assert np.median(off) < 5 and np.percentile(off, 95) < 16


def test_at_rest_the_layers_are_the_photo(astronaut_layers: tuple[Picture, Cutout]) -> None:
    portrait, layers = astronaut_layers
    off = np.abs(moved(layers, 0, 0) - portrait).mean(2)
    assert not layers.whole
    assert off.mean() < 1 and np.percentile(off, 99) < 10


def test_the_body_goes_on_where_the_portrait_ends(astronaut_layers: tuple[Picture, Cutout]) -> None:
    portrait, layers = astronaut_layers
    size, margin = len(portrait), layers.margin_px
    assert layers.person.shape == (size + 2 * margin, size + 2 * margin, 3) and layers.alpha.shape == (768, 768)
    assert np.array_equal(layers.portrait_alpha, layers.alpha[margin : margin + size, margin : margin + size])
    last, below = layers.alpha[margin + size - 1], layers.alpha[margin + size :]
    assert (below[:, last == 255].mean(0) > 250).mean() > 0.98
    assert (below[-1] > 127).sum() >= (last > 127).sum()
    lifted = moved(layers, 0, -60)
    seam = np.abs(np.diff(lifted[size - 62 : size - 58].mean(2), axis=0))
    assert np.median(seam) < 3
    corner = layers.sheet_pixels(np.array([[0, 0], [1, 1]], np.float32))
    assert np.array_equal(corner, [[margin, margin], [margin + size, margin + size]])


def test_the_body_below_shows_no_second_collar_and_closes_the_neckline() -> None:
    portrait = np.full((SIZE, SIZE, 3), 40, np.uint8)
    portrait[:, 226:286] = 200  # a neck in a dark shirt
    portrait[SIZE - 30 : SIZE - 20] = (250, 0, 0)  # a collar
    matte = np.zeros((SIZE, SIZE), np.uint8)
    matte[100:, 100:412] = 255
    layers = in_layers(portrait, matte)
    below = layers.person[layers.margin_px + SIZE :, layers.margin_px : -layers.margin_px]
    assert below[:40, 150:220, 0].max() < 80
    widths = [int((below[row, :, 1] > 120).sum()) for row in (2, 14, 26)]
    assert widths[0] > widths[1] > widths[2]


def test_nothing_of_the_person_stays_behind_when_it_moves(astronaut_layers: tuple[Picture, Cutout]) -> None:
    """Her hair is darker than her background by a hundred levels."""
    portrait, layers = astronaut_layers
    aside = moved(layers, 40, 0)
    uncovered = (layers.portrait_alpha > 200) & (np.roll(layers.portrait_alpha, 40, axis=1) < 3)
    uncovered[320:] = uncovered[:, :40] = False  # her suit
    background = np.median(portrait[:100, :60], axis=(0, 1))
    assert uncovered.sum() > 2000
    assert np.percentile(np.abs(aside - background).mean(2)[uncovered], 95) < 40


@pytest.mark.parametrize("how", ["nobody", "everything", "somebody beside", "half a face", "a mask"])
def test_a_matte_that_fails_leaves_the_picture_whole(how: str) -> None:
    picture, share, _ = drawn_person()
    matte = coarse(share)
    if how == "nobody":
        matte[:] = 0
    elif how == "everything":
        matte[:] = 255
    elif how == "somebody beside":
        matte[:] = 0
        cv2.circle(matte, (60, 300), 60, 255, -1)
    elif how == "half a face":
        matte[:, 256:] = 0
    else:
        matte = np.where(face_oval(drawn_face(), SIZE) > 0, matte, 0).astype(np.uint8)
    layers = cut_out(picture, matte, drawn_face())
    assert layers.whole and np.array_equal(layers.plate, picture)
    for right, down in ((0, 0), (60, 0), (-60, -60), (0, 100)):
        shown = moved(layers, right, down)
        assert shown.min() > 20  # a continuation, no black edge
    assert np.array_equal(moved(layers, 0, 0), picture)


@pytest.mark.parametrize("size", [64, 257, 512])
def test_any_size_of_portrait(size: int) -> None:
    picture, share, _ = drawn_person()
    small: list[NDArray[np.uint8]] = [
        np.asarray(cv2.resize(part, (size, size), interpolation=cv2.INTER_AREA), np.uint8)
        for part in (picture, coarse(share))
    ]
    layers = cut_out(small[0], small[1], drawn_face())
    assert not layers.whole and layers.plate.shape == (size, size, 3)
    expected = cv2.resize(share, (size, size), interpolation=cv2.INTER_AREA)
    assert float(np.abs(layers.portrait_alpha / 255 - expected).mean()) < 0.02


@pytest.mark.parametrize("how", ["nobody", "noise", "one pixel", "grey", "all but a corner"])
def test_any_matte_that_a_file_may_bring_gives_layers(how: str) -> None:
    picture, _, _ = drawn_person()
    alpha: Matte = np.zeros((SIZE, SIZE), np.uint8)
    if how == "noise":
        alpha = np.random.default_rng(0).integers(0, 256, alpha.shape, np.uint8)
    elif how == "one pixel":
        alpha[200, 200] = 255
    elif how == "grey":
        alpha[:] = 127
    elif how == "all but a corner":
        alpha[:] = 255
        alpha[:40, :40] = 0
    layers = in_layers(picture, alpha)
    assert layers.person.shape == (768, 768, 3) and not layers.whole
    assert np.array_equal(layers.portrait_alpha, alpha)
