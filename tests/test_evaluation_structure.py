"""Evaluation: the measures of shape, outline and motion, each on made-up pictures whose answer is known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from avatar.evaluation.face_masks import oval_mask
from avatar.evaluation.flicker import flicker, second_difference
from avatar.evaluation.folds import fold_rate, stretch_rate
from avatar.evaluation.plate import RIM_PX, plate_deviation
from avatar.evaluation.scores import Scores
from avatar.evaluation.seam import seam
from avatar.evaluation.shoulder_motion import motion, motion_error, shoulders
from avatar.evaluation.silhouette import edge_energy, matte_iou, sharpness, silhouette_ring
from avatar.evaluation.yaw_bins import by_yaw
from avatar.face.face_model import face_model
from avatar.face.regions import FACE_OVAL
from avatar.render.conditioning import region_frames
from avatar.render.region_change import pixel_grid

SIZE = 256
RNG = np.random.default_rng(3)
WHOLE = np.ones((64, 64), bool)
Picture = NDArray[np.uint8]


def a_face() -> NDArray[np.float32]:
    """(478, 3) of the mean face, a quarter of the picture between its outer eye corners."""
    shape = face_model().mean_shape
    return np.asarray(0.25 * (shape - shape.mean(0)) + np.array([0.5, 0.5, 0]), np.float32)


def texture(sigma: float = 2.0, size: int = SIZE) -> Picture:
    """Something to see everywhere."""
    noise = cv2.GaussianBlur(RNG.uniform(0, 1, (size, size, 3)).astype(np.float32), (0, 0), sigma)
    noise = (noise - noise.mean()) / noise.std()
    return np.asarray(np.clip(128 + 40 * noise, 0, 255), np.uint8)


def disc(radius: float, x: float = SIZE / 2, y: float = SIZE / 2, soft: float = 0) -> Picture:
    matte = np.zeros((SIZE, SIZE), np.uint8)
    cv2.circle(matte, (round(x), round(y)), round(radius), 255, -1, cv2.LINE_AA)
    return np.asarray(cv2.GaussianBlur(matte, (0, 0), soft), np.uint8) if soft else matte


# Where the face is


def test_the_oval_is_what_its_points_enclose() -> None:
    points = np.zeros((478, 3), np.float32)
    around = np.linspace(0, 2 * np.pi, len(FACE_OVAL), endpoint=False)
    points[list(FACE_OVAL), :2] = 0.5 + 0.25 * np.stack([np.cos(around), np.sin(around)], 1)
    assert oval_mask(points, SIZE).mean() == pytest.approx(np.pi / 16, rel=0.02)
    assert oval_mask(points, 64).mean() == pytest.approx(np.pi / 16, rel=0.08)  # fillPoly takes its border along
    assert not oval_mask(points + 5, SIZE).any()


# Folds


def test_a_flow_that_goes_nowhere_neither_folds_nor_stretches() -> None:
    assert fold_rate(pixel_grid(64, 64), WHOLE) == 0
    assert stretch_rate(pixel_grid(64, 64), WHOLE) == 0


def test_a_cheek_that_is_folded_over_is_found_and_measured() -> None:
    """Of 64 columns the picture goes back over 16."""
    columns = np.concatenate([np.arange(32), np.arange(32, 16, -1), np.arange(16, 32)]).astype(np.float32)
    flow = pixel_grid(64, 64).copy()
    flow[..., 0] = (columns + 0.5) / 32 - 1
    assert fold_rate(flow, WHOLE) == pytest.approx(16 / 64, abs=2 / 64)
    left = WHOLE.copy()
    left[:, 20:] = False
    assert fold_rate(flow, left) == 0  # the fold lies elsewhere
    assert np.isnan(fold_rate(flow, ~WHOLE))


def test_a_turn_and_a_half_turn_are_no_folds_but_a_mirror_is() -> None:
    grid = pixel_grid(64, 64)
    turn = np.array([[0.6, -0.8], [0.8, 0.6]], np.float32)
    assert fold_rate(grid @ turn, WHOLE) == fold_rate(-grid, WHOLE) == 0
    assert fold_rate(grid * np.array([-1, 1], np.float32), WHOLE) == 1


@pytest.mark.parametrize(("times", "share"), [(2.9, 0), (3.1, 1)])
def test_stretching_counts_from_three_times_in_any_direction(times: float, share: float) -> None:
    grid = pixel_grid(64, 64)
    one_way = grid * np.array([1 / times, 1], np.float32)
    aslant = np.array([[0.6, -0.8], [0.8, 0.6]], np.float32)
    assert stretch_rate(one_way, WHOLE) == share
    assert stretch_rate(one_way @ aslant, WHOLE) == share
    assert stretch_rate(grid / times, WHOLE) == share
    assert stretch_rate(grid * times, WHOLE) == 0  # crushed


def test_what_is_not_of_the_portrait_does_not_fold() -> None:
    flow = (pixel_grid(64, 64) * np.array([-0.1, 1], np.float32)).copy()
    flow[:, 32:] = np.nan
    assert fold_rate(flow, WHOLE) == pytest.approx(0.5, abs=1 / 32)
    assert stretch_rate(flow, WHOLE) == pytest.approx(0.5, abs=1 / 32)


# Outline


def test_overlap_of_mattes() -> None:
    big, small = disc(80), disc(40)
    assert matte_iou(big, big) == 1
    assert matte_iou(big, small) == pytest.approx(0.25, rel=0.03)
    assert matte_iou(small, big) == matte_iou(big, small)
    assert matte_iou(disc(20, x=60), disc(20, x=190)) == 0
    assert np.isnan(matte_iou(0 * big, 0 * big))


def test_the_ring_goes_along_the_outline_and_not_along_the_picture_s_edge() -> None:
    assert silhouette_ring(disc(60), 8).sum() == pytest.approx(2 * np.pi * 60 * 16, rel=0.1)
    body = np.zeros((SIZE, SIZE), np.uint8)
    body[100:, 60:200] = 255
    ring = silhouette_ring(body, 8)
    assert not ring[220:, 80:180].any()
    assert ring[99, 130]


def test_a_blurred_outline_is_less_sharp_by_as_much_as_it_is_blurred() -> None:
    """Energy goes with 1 / σ, whatever is in front and behind."""
    energies = []
    for sigma in (1.0, 2.0):
        alpha = cv2.GaussianBlur(disc(70).astype(np.float32) / 255, (0, 0), sigma)[..., None]
        energies.append(edge_energy(np.rint(200 * alpha + 60 * (1 - alpha)).astype(np.uint8).repeat(3, 2), disc(70)))
    assert sharpness(energies[0], energies[0]) == 1
    assert sharpness(*energies) == pytest.approx(0.5, rel=0.15)


def test_a_pattern_beside_the_outline_is_no_edge() -> None:
    flat = np.full((SIZE, SIZE, 3), 90, np.uint8)
    assert edge_energy(flat, disc(70)) == 0
    assert np.isnan(sharpness(edge_energy(flat, disc(70)), 5.0))
    assert np.isnan(edge_energy(flat, 0 * disc(70)))
    stripes = flat.copy()
    rows = np.hypot(*(np.indices((SIZE, SIZE)) - SIZE / 2 + 0.5))
    angles = np.arctan2(*(np.indices((SIZE, SIZE)) - SIZE / 2 + 0.5))
    stripes[..., :] = np.rint(90 + 60 * np.sin(24 * angles))[..., None]  # rays: they run across the outline
    step = np.where(rows < 70, 150, 30).astype(np.uint8)[..., None].repeat(3, 2)
    assert edge_energy(stripes, disc(70)) < 0.02 * edge_energy(step, disc(70))


# Seams


def boxed(picture: Picture, by: int, region: int) -> Picture:
    """As a crop of another exposure is blended in: mouth 0, right eye 1."""
    inverse = region_frames(a_face())[region].inverse()
    places = pixel_grid(SIZE, SIZE) @ inverse[:, :2].T + inverse[:, 2]
    inside = 1 - np.clip((np.abs(places).max(-1) - 0.72) / 0.25, 0, 1)
    return np.asarray(np.clip(picture + by * inside[..., None], 0, 255), np.uint8)


def test_a_box_of_another_exposure_is_a_seam_and_is_measured() -> None:
    real = np.asarray(cv2.GaussianBlur(texture(20), (0, 0), 2), np.uint8)
    same = seam(real, real.copy(), a_face())
    assert same == {"mouth": 0, "eyes": 0}
    for by in (-12, 6):
        found = seam(real, boxed(real, by, 0), a_face())
        assert found["mouth"] == pytest.approx(abs(by), rel=0.15)
        assert found["eyes"] < 1.5
    one_eye = seam(real, boxed(real, 12, 1), a_face())
    assert one_eye["eyes"] == pytest.approx(6, rel=0.2)  # the mean of both
    assert one_eye["mouth"] < 1.5


def test_light_that_is_other_everywhere_and_fine_texture_are_no_seams() -> None:
    real = texture(20) // 2 + 40
    assert max(seam(real, real + np.uint8(30), a_face()).values()) < 0.5
    grain = np.clip(real + RNG.normal(0, 8, real.shape), 0, 255).astype(np.uint8)
    assert max(seam(real, grain, a_face()).values()) < 1


# Background


def test_a_background_that_stands_still_is_zero_whatever_the_person_does() -> None:
    wall = texture()
    pictures, mattes = [], []
    for x in (110, 128, 140):
        matte = disc(50, x=x, soft=1.5)
        alpha = matte[..., None] / 255
        pictures.append(np.rint(alpha * texture() + (1 - alpha) * wall).astype(np.uint8))
        mattes.append(matte)
    assert plate_deviation(np.stack(pictures), mattes) == 0
    assert plate_deviation(np.stack(pictures), [disc(20)] * 3) > 1  # the person taken for background shows


def test_a_background_that_is_dragged_along_shows_and_noise_is_its_size() -> None:
    wall, matte = texture(), disc(50)
    dragged = np.stack([np.roll(wall, k, axis=1) for k in range(4)])
    assert plate_deviation(dragged, [matte]) > 8
    noisy = np.clip(np.full((40, SIZE, SIZE, 3), 128) + RNG.normal(0, 5, (40, SIZE, SIZE, 3)), 0, 255).astype(np.uint8)
    assert plate_deviation(noisy, [matte]) == pytest.approx(5, rel=0.05)
    assert np.isnan(plate_deviation(noisy, [np.full((SIZE, SIZE), 255, np.uint8)]))


def test_the_rim_is_not_asked() -> None:
    matte = disc(50)
    still = np.full((2, SIZE, SIZE, 3), 100, np.uint8)
    still[1][disc(50 + RIM_PX - 1) > 127] = 200
    assert plate_deviation(still, [matte]) == 0
    still[1][disc(50 + RIM_PX + 8) > 127] = 200
    assert plate_deviation(still, [matte]) > 0


# Shoulders


def test_shoulders_are_below_the_chin() -> None:
    person = np.full((SIZE, SIZE), 255, np.uint8)
    where = shoulders(person, a_face())
    chin = int(a_face()[152, 1] * SIZE)
    assert not where[:chin].any()
    assert where[chin + SIZE // 10 :].all()
    assert not shoulders(0 * person, a_face()).any()


def test_shoulders_that_stay_behind_are_wrong_by_what_they_should_have_moved() -> None:
    cloth = texture(3)
    moved, further = np.roll(cloth, 4, axis=1), np.roll(cloth, 6, axis=1)
    where = np.zeros((SIZE, SIZE), bool)
    where[180:240, 40:220] = True
    real = motion(cloth, moved)
    assert motion_error(real, motion(cloth, moved), where) == 0
    assert motion_error(real, motion(cloth, cloth), where) == pytest.approx(4, abs=0.3)
    assert motion_error(real, motion(cloth, further), where) == pytest.approx(2, abs=0.3)
    assert np.isnan(motion_error(real, real, ~np.ones_like(where)))


# Flicker


def test_steady_change_does_not_flicker_and_to_and_fro_does() -> None:
    def moment(*values: int) -> NDArray[np.uint8]:
        return np.stack([np.full((SIZE, SIZE, 3), value, np.uint8) for value in values])

    everywhere = np.ones((SIZE, SIZE), bool)
    assert second_difference(moment(50, 60, 70), everywhere) == 0
    assert second_difference(moment(50, 54, 50), everywhere) == pytest.approx(8)
    beside = moment(50, 50, 50)
    beside[1, :100] = 90
    assert second_difference(beside, oval_mask(a_face() + np.array([0, 0.2, 0], np.float32), SIZE)) < 1
    assert flicker(4.0, 8.0) == 2
    assert np.isnan(flicker(0.0, 8.0))


# Turned heads


def some_scores(name: str, yaw: list[float], values: list[float]) -> Scores:
    known = {"face_feature_efficientnet_lite0": np.array(values), "fold": np.full(len(yaw), np.nan)}
    nothing = np.zeros((len(yaw), 7))
    return Scores(name, {"ff": known, "real": {}}, {}, nothing, {}, {}, nothing, np.array(yaw))


def test_bins_hold_their_frames_and_count_each_clip_alike() -> None:
    one = some_scores("one", [0, 7.9, 8, 30, 50], [0.1, 0.3, 0.5, 0.7, np.nan])
    other = some_scores("other", [2, 2, 2, 2, 40], [0.4, 0.4, 0.4, 0.4, 0.9])
    bins = by_yaw([one, other])
    assert [one.label for one in bins] == ["0–8°", "8–16°", "16–25°", "25–35°", "> 35°"]
    assert [(b.frames, b.clips) for b in bins] == [(6, 2), (1, 1), (0, 0), (1, 1), (2, 2)]
    face = [b.values["ff"]["face_feature_efficientnet_lite0"] for b in bins]
    assert face == [pytest.approx(0.3), 0.5, None, 0.7, 0.9]
    assert [b.values["ff"]["fold"] for b in bins] == [None] * 5
    assert "real" not in bins[0].values
