"""The published picture: framed like a webcam's, without a seam, before any background."""

import tracemalloc
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from avatar.core.errors import InputError, UsageError
from avatar.live.background import Background, parse_background
from avatar.live.canvas import Canvas
from avatar.live.framing import framing, parse_size
from avatar.tracking.person_matte import person_mattes
from tests.clips import astronaut_avatar
from tests.portraits import astronaut, save

SIZES = [
    (640, 360),
    (960, 540),
    (1280, 720),
    (1920, 1080),
    (360, 360),
    (720, 720),
    (1080, 1080),
    (640, 480),
    (362, 640),
]
GREEN = np.array([0, 200, 0])


@pytest.fixture(scope="module")
def portrait() -> NDArray[np.uint8]:
    return np.asarray(astronaut_avatar().portraits[0])


@pytest.fixture(scope="module")
def matte(portrait: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return person_mattes([portrait])[0]


def shown(canvas: Canvas, portrait: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(portrait, (canvas.square_px,) * 2, interpolation=cv2.INTER_AREA), np.uint8)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("background", ["portrait", "blur", "#00c800"])
def test_every_size_is_filled_before_every_background(
    size: tuple[int, int], background: str, portrait: NDArray[np.uint8], matte: NDArray[np.uint8]
) -> None:
    canvas = Canvas(portrait, *size, parse_background(background), matte)
    square = shown(canvas, portrait)
    first = canvas.place(square)
    kept = first.copy()
    assert first.shape == (size[1], size[0], 3) and first.dtype == np.uint8
    canvas.place(square[:, ::-1])
    assert np.array_equal(first, kept)  # a publisher may still hold a frame while the next one is made
    place = canvas.framing
    chin, middle = int(place.side * 0.6), int(place.side * 0.5)
    face = first[place.top + chin, place.left + middle]
    assert np.abs(face.astype(int) - square[chin, middle]).max() <= 2  # the face itself is never touched


def test_the_head_takes_half_of_a_wide_picture_or_more(portrait: NDArray[np.uint8], matte: NDArray[np.uint8]) -> None:
    canvas = Canvas(portrait, 1280, 720, Background("colour", np.full((1, 1, 3), 0, np.uint8)), matte)
    person = canvas.place(np.full((canvas.square_px, canvas.square_px, 3), 255, np.uint8))[:, :, 0] > 127
    top = np.flatnonzero(person.any(1))[0]
    landmarks = astronaut_avatar().landmarks[0]
    chin = (landmarks[152, 1] * canvas.square_px + 720 - canvas.square_px) / 720
    assert 0.5 < chin - top / 720 < 0.7
    assert top / 720 > 0.1 and person[-1].any()  # room above, shoulders at the lower edge


def test_no_seam_shows_around_the_square(portrait: NDArray[np.uint8], matte: NDArray[np.uint8]) -> None:
    canvas = Canvas(portrait, 1280, 720, matte=matte)
    picture = canvas.place(shown(canvas, portrait)).astype(np.float32)
    place = canvas.framing
    step = np.abs(np.diff(picture, axis=1)).mean(2)  # between neighbouring columns
    for edge in (place.left, place.left + place.side):
        assert step[place.top :, edge - 2 : edge + 2].mean() < 3
    step = np.abs(np.diff(picture, axis=0)).mean(2)
    assert step[place.top - 2 : place.top + 2, place.left : place.left + place.side].mean() < 3


def test_a_head_that_fills_the_portrait_to_the_top_is_not_cut_in_the_air(portrait: NDArray[np.uint8]) -> None:
    everywhere = np.full(portrait.shape[:2], 255, np.uint8)
    canvas = Canvas(portrait, 1280, 720, matte=everywhere)
    assert canvas.framing == framing(1280, 720, room_above=False)
    assert canvas.square_px == 720


def test_the_square_alone_is_the_avatars_picture_itself(portrait: NDArray[np.uint8]) -> None:
    assert Canvas(portrait, 512, 512).place(portrait) is portrait


def test_the_person_is_cut_out(portrait: NDArray[np.uint8], matte: NDArray[np.uint8]) -> None:
    inside = astronaut_avatar().landmarks[0][:, :2] * 511
    assert np.median(matte[inside[:, 1].astype(int), inside[:, 0].astype(int)]) == 255
    assert matte[10:60, 10:60].max() < 30  # the flag behind her
    canvas = Canvas(portrait, 1280, 720, parse_background("#00c800"), matte)
    picture = canvas.place(shown(canvas, portrait))
    for corner in (picture[:50, :50], picture[:50, -50:], picture[300:400, :100]):
        assert np.abs(corner - GREEN).max() == 0


def test_the_cut_follows_the_avatar(portrait: NDArray[np.uint8], matte: NDArray[np.uint8]) -> None:
    canvas = Canvas(portrait, 512, 512, parse_background("#00c800"), matte)
    moved = np.roll(matte, 40, axis=1)
    picture = canvas.place(np.full((512, 512, 3), 255, np.uint8), moved)
    assert np.abs((picture[:, :, 0] > 127).astype(int) - (moved > 127)).mean() < 0.001


def test_a_picture_covers_and_keeps_its_shape(tmp_path: Path, portrait: NDArray[np.uint8]) -> None:
    file = save(astronaut()[:256], tmp_path / "behind.png")
    cover = parse_background(str(file)).cover(1280, 720)
    assert cover.shape == (720, 1280, 3)
    expected = cv2.resize(astronaut()[:256], (1440, 720), interpolation=cv2.INTER_CUBIC)[:, 80:1360]
    assert np.abs(cover.astype(int) - expected).mean() < 1


def test_backgrounds_that_cannot_be_are_refused(tmp_path: Path) -> None:
    for colour in ("#12", "#gggggg", "#1234567"):
        with pytest.raises(UsageError, match="#rrggbb"):
            parse_background(colour)
    with pytest.raises(UsageError, match="no such file"):
        parse_background(str(tmp_path / "none.png"))
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(InputError, match="is a text file"):
        parse_background(str(tmp_path / "text.png"))
    whole = save(astronaut(), tmp_path / "whole.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="damaged or cut off"):
        parse_background(str(tmp_path / "cut.png"))


@pytest.mark.parametrize("shape", [(1, 4096), (4096, 1), (2, 3), (3000, 4000)])
def test_a_picture_of_any_shape_covers_without_filling_the_memory(shape: tuple[int, int]) -> None:
    picture = np.full((*shape, 3), 70, np.uint8)
    tracemalloc.start()
    assert (Background("picture", picture).cover(1280, 720) == np.full((720, 1280, 3), 70)).all()
    assert tracemalloc.get_traced_memory()[1] < 100e6
    tracemalloc.stop()


def test_sizes_that_no_camera_has_are_refused(portrait: NDArray[np.uint8]) -> None:
    for text in ("512", "axb", "-1x5", "1280x"):
        with pytest.raises(UsageError, match="--size"):
            parse_size(text)
    for width, height in ((511, 512), (2, 2), (10_000, 512)):
        with pytest.raises(UsageError, match="even"):
            Canvas(portrait, width, height)


def test_what_is_known_to_be_behind_stays_however_the_avatar_moves(
    portrait: NDArray[np.uint8], matte: NDArray[np.uint8]
) -> None:
    canvas = Canvas(portrait, 1280, 720, matte=matte)
    square, alpha = shown(canvas, portrait), shown(canvas, matte)
    plate = np.full_like(square, (90, 120, 150))
    pictures = []
    for way in (-60, 60):
        moved = np.roll(alpha, way, axis=1)
        pictures.append(canvas.place(np.where(moved[..., None] > 127, square, plate), moved, plate))
    for picture in pictures:
        assert np.abs(picture[:300, :200].astype(int) - plate[0, 0]).max() <= 1
        assert np.abs(picture[:300, -200:].astype(int) - plate[0, 0]).max() <= 1
    other = canvas.place(square, alpha, np.full_like(square, 200))
    assert (other[:300, :200] == 200).all()  # another one is drawn at once
