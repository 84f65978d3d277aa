"""Good photos pass, spoilt ones are refused or doubted for the right reason, and the better photo scores higher."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from skimage.data import camera

from avatar.core.arrays import Picture
from avatar.identity.photo_check import PhotoCheck, check_photo
from avatar.tracking.caged_tracker import CagedTracker
from avatar.tracking.model_asset import tracker_model
from tests.clips import acted_face
from tests.portraits import (
    FACE_PX,
    as_pencil_drawing,
    as_statue,
    astronaut,
    blurred,
    childs_drawing,
    darkened,
    enlarged,
    half_in_shadow,
    head,
    in_dark_glasses,
    masked,
    planet,
    resized,
    with_shut_eyes,
)


@pytest.fixture(scope="module")
def tracker() -> Iterator[CagedTracker]:
    with CagedTracker(tracker_model(), "image", max_faces=4, patient=True) as tracker:
        yield tracker


def side_by_side(left: Picture, right: Picture) -> Picture:
    """Both on one canvas, the smaller one on grey."""
    height = max(left.shape[0], right.shape[0])
    canvas = np.full((height, left.shape[1] + right.shape[1], 3), 128, np.uint8)
    canvas[: left.shape[0], : left.shape[1]] = left
    canvas[: right.shape[0], left.shape[1] :] = right
    return canvas


def refusal(picture: Picture, tracker: CagedTracker) -> str:
    check = check_photo(picture, tracker).check
    assert check.refusal is not None, check
    assert check.score == 0.0
    return check.refusal


def usable(picture: Picture, tracker: CagedTracker) -> PhotoCheck:
    check = check_photo(picture, tracker).check
    assert check.refusal is None, check
    return check


def doubts(picture: Picture, tracker: CagedTracker) -> str:
    return "; ".join(usable(picture, tracker).warnings)


def test_a_good_portrait_passes_without_a_doubt(tracker: CagedTracker) -> None:
    photo = check_photo(enlarged(2.0), tracker)
    check = photo.check
    assert check.refusal is None
    assert check.warnings == ()
    assert check.score > 0.7
    assert check.face_px == pytest.approx(2 * FACE_PX, rel=0.05)
    assert max(abs(check.yaw_deg), abs(check.pitch_deg), abs(check.roll_deg)) < 10
    assert check.turned_deg == 0
    assert photo.crop is not None
    assert photo.crop.side == pytest.approx(4 * FACE_PX, rel=0.05)


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_photo_on_its_side_is_turned(tracker: CagedTracker, quarters: int) -> None:
    photo = check_photo(np.ascontiguousarray(np.rot90(enlarged(2.0), quarters)), tracker)
    assert photo.check.refusal is None
    assert photo.check.turned_deg == 90 * quarters
    assert f"turned by {90 * quarters}°" in "; ".join(photo.check.warnings)
    assert np.array_equal(photo.rgb, enlarged(2.0))


def test_no_face(tracker: CagedTracker) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (300, 400, 3)).astype(np.uint8)
    for picture in (noise, np.zeros((1, 1, 3), np.uint8), np.zeros((1, 4096, 3), np.uint8), astronaut()[300:]):
        assert "no human face was found" in refusal(picture, tracker)
    assert check_photo(noise, tracker).crop is None


@pytest.mark.parametrize("seed", [11, 15, 26, 45])
def test_a_pattern_is_no_human_face(tracker: CagedTracker, seed: int) -> None:
    """Each was enrolled, with scores up to 0.56."""
    assert "no human face was found" in refusal(planet(seed), tracker)


@pytest.mark.parametrize("made", [as_pencil_drawing, as_statue, lambda face: blurred(face, 2.5)])
def test_a_drawing_or_a_statue_is_a_face(tracker: CagedTracker, made: Callable[[Picture], Picture]) -> None:
    assert usable(made(enlarged(2.0)), tracker).face_px == pytest.approx(2 * FACE_PX, rel=0.1)


def test_a_face_beside_a_pattern_is_found(tracker: CagedTracker) -> None:
    photo = check_photo(side_by_side(planet(11), head()), tracker)
    assert photo.check.refusal is None
    assert photo.face.landmarks[:, 0].min() > 400


def test_tiny_and_small_faces(tracker: CagedTracker) -> None:
    assert "at least 48 are needed" in refusal(resized(astronaut(), 0.3), tracker)
    assert "no human face" in refusal(resized(astronaut(), 10 / FACE_PX), tracker)
    assert "small (106 px)" in doubts(astronaut(), tracker)


def test_a_small_face_in_a_large_picture_is_found(tracker: CagedTracker) -> None:
    canvas = np.full((2000, 2600, 3), 120, np.uint8)
    canvas[700:1212, 1500:2012] = astronaut()
    photo = check_photo(canvas, tracker)
    assert photo.check.refusal is None
    assert photo.check.face_px == pytest.approx(FACE_PX, rel=0.05)
    assert photo.face.landmarks[:, 0].min() > 1500
    assert photo.face.landmarks[:, 1].min() > 700


@pytest.mark.parametrize("second", [1.0, 0.85])
def test_two_faces_of_about_one_size_are_refused(tracker: CagedTracker, second: float) -> None:
    for one in (head(), astronaut()):
        assert "two faces" in refusal(side_by_side(one, resized(one, second)), tracker)
        assert "Crop" in refusal(side_by_side(resized(one, second), one), tracker)


def test_a_clearly_smaller_second_face_is_only_mentioned(tracker: CagedTracker) -> None:
    photo = check_photo(side_by_side(resized(head(), 0.55), head()), tracker)
    assert photo.check.refusal is None
    assert "there are two people in it: the larger face is taken" in photo.check.warnings
    assert photo.face.landmarks[:, 0].min() > 110  # the larger one, on the right


def test_blur(tracker: CagedTracker) -> None:
    good = enlarged(2.0)
    assert "not quite sharp" in doubts(blurred(good, 2.5), tracker)
    assert "blurred" in refusal(blurred(good, 6), tracker)
    scores = [check_photo(blurred(good, sigma), tracker).check.sharpness for sigma in (0.1, 1, 2, 4)]
    assert scores == sorted(scores, reverse=True)


def test_light(tracker: CagedTracker) -> None:
    good = enlarged(2.0)
    assert "dark" in doubts(darkened(good, 0.2), tracker)
    assert "almost black" in refusal(darkened(good, 0.08), tracker)
    assert "overexposed" in doubts(np.clip(good * 2.0, 0, 255).astype(np.uint8), tracker)
    ramp = np.clip((np.arange(1024) - 360) / 170, 0.05, 1)[:, None]  # the face spans 350 to 530
    left_dark = (good * ramp).astype(np.uint8)
    check = usable(left_dark, tracker)
    assert check.imbalance > 0.3
    assert "from one side" in "; ".join(check.warnings)
    mirrored = usable(np.ascontiguousarray(left_dark[:, ::-1]), tracker)
    assert mirrored.imbalance == pytest.approx(-check.imbalance, abs=0.05)


@pytest.mark.parametrize("part", [np.s_[200:], np.s_[:300], np.s_[:, 400:]], ids=["brow", "chin", "cheek"])
def test_a_face_cut_off_by_the_border_is_refused(tracker: CagedTracker, part: tuple[slice, ...]) -> None:
    reason = refusal(np.ascontiguousarray(enlarged(2.0)[part]), tracker)
    assert "cut off" in reason or "no human face" in reason


def test_little_room_about_the_head_is_mentioned(tracker: CagedTracker) -> None:
    assert "little room" in doubts(np.ascontiguousarray(enlarged(2.0)[120:380, 320:560]), tracker)


def test_angles_do_not_depend_on_the_place_in_the_picture(tracker: CagedTracker) -> None:
    good = enlarged(2.0)
    shifted = [np.ascontiguousarray(good[y : y + 600, x : x + 600]) for x in (0, 160, 260) for y in (0, 100)]
    checks = [usable(picture, tracker) for picture in shifted]
    assert np.ptp([check.yaw_deg for check in checks]) < 3
    assert np.ptp([check.pitch_deg for check in checks]) < 3


def test_a_squeezed_face_counts_as_turned(tracker: CagedTracker) -> None:
    """A stand-in for a head turned aside: there is no second real photo in the package."""
    good = enlarged(2.0)
    x = np.arange(1024.0)
    warped_x = np.where(x < 441, 441 + (x - 441) * 2.2, x)  # the half of the face left of the nose gets narrow
    turned = good[:, np.clip(warped_x, 0, 1023).astype(int)]
    assert abs(usable(good, tracker).yaw_deg) < 6
    assert usable(turned, tracker).yaw_deg < -10


def test_the_better_photo_scores_higher(tracker: CagedTracker) -> None:
    good = enlarged(2.0)
    best = usable(good, tracker).score
    for worse in (
        astronaut(),
        blurred(good, 2.5),
        darkened(good, 0.2),
        np.rot90(good),
        enlarged(2.0)[120:380, 320:560],
    ):
        assert check_photo(np.ascontiguousarray(worse), tracker).check.score <= best


def test_a_profile_is_refused(tracker: CagedTracker) -> None:
    """The cameraman of scikit-image, who looks into his camera."""
    photo = check_photo(np.repeat(camera()[..., None], 3, axis=2), tracker)
    assert photo.check.fault == "turned"
    assert photo.check.yaw_deg > 45


def test_dark_glasses_and_masks_are_noticed_and_make_no_portrait(tracker: CagedTracker) -> None:
    good = usable(enlarged(2.0), tracker)
    assert not good.eyes_hidden and not good.mouth_hidden
    glasses, mask = usable(in_dark_glasses(enlarged(2.0)), tracker), usable(masked(enlarged(2.0)), tracker)
    assert glasses.eyes_hidden and not glasses.mouth_hidden
    assert mask.mouth_hidden and not mask.eyes_hidden
    assert "dark glasses" in "; ".join(glasses.warnings)
    assert "mask or a hand" in "; ".join(mask.warnings)
    assert max(glasses.score, mask.score) < 0.2 * good.score


def test_shut_eyes_and_an_open_mouth_are_mentioned_and_score_lower(tracker: CagedTracker) -> None:
    good = usable(enlarged(2.0), tracker)
    shut, talking = usable(with_shut_eyes(enlarged(2.0)), tracker), usable(acted_face(mouth=0.5), tracker)
    assert "eyes are closed" in "; ".join(shut.warnings)
    assert "mouth is open" in "; ".join(talking.warnings)
    assert shut.score < 0.8 * good.score
    assert talking.score < 0.8 * usable(acted_face(), tracker).score


def test_half_a_face_in_shadow_is_mentioned(tracker: CagedTracker) -> None:
    check = usable(half_in_shadow(enlarged(2.0)), tracker)
    assert check.imbalance > 0.3
    assert "from one side" in "; ".join(check.warnings)


def test_a_drawing_without_a_face_says_what_kind_would_do(tracker: CagedTracker) -> None:
    assert "of a drawing or a statue, use one with human proportions" in refusal(childs_drawing(), tracker)
