"""Eyes of a portrait look where they are told to and shut, and are the portrait's own while they rest."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from avatar.core.arrays import Array, Picture
from avatar.face import regions as at
from avatar.face.crop import face_crop
from avatar.face.face_model import face_model
from avatar.face.gaps import gaps, set_lid_gaps
from avatar.face.gaze import gaze, set_gaze
from avatar.face.head_pose import HeadPose, head_pose, turned_by
from avatar.render.conditioning import EYE_SIZE, region_frames
from avatar.render.eye_layers import EyeLayers
from avatar.render.relief import Relief
from avatar.render.view import View
from avatar.tracking.caged_tracker import CagedTracker
from avatar.tracking.model_asset import tracker_model
from tests.portraits import astronaut, resized, with_shut_eyes

SIZE_PX = 512
WHOLE = View.whole(SIZE_PX)
RINGS = ((at.RIGHT_EYE, at.RIGHT_IRIS_CENTRE), (at.LEFT_EYE, at.LEFT_IRIS_CENTRE))


@lru_cache(maxsize=1)
def portrait() -> tuple[Picture, Array]:
    """The astronaut's crop, (512, 512, 3), and its (478, 3) landmarks."""
    picture = resized(astronaut(), 3)
    with CagedTracker(tracker_model(), "image", patient=True) as tracker:
        found = tracker.track(picture, 0).landmarks
    crop = face_crop(found, *picture.shape[1::-1])
    return crop.cut(picture, SIZE_PX), crop.normalise(found)


def looking(across: float, down: float = 0.0, open_share: float = 1.0) -> Array:
    """The portrait's landmarks with its gaze moved by shares of the eye's width, and its lids further shut."""
    _, landmarks = portrait()
    pose = head_pose(landmarks, face_model().mean_shape)
    shape = pose.remove(landmarks)
    lids = shape
    for pairs in (at.RIGHT_LID_PAIRS, at.LEFT_LID_PAIRS):
        lids = set_lid_gaps(lids, pairs, open_share * gaps(shape, pairs))
    return pose.apply(set_gaze(lids, shape, gaze(shape) + np.array([across, down], np.float32)))


def drawn(driving: Array, view: View = WHOLE) -> tuple[Picture, Array]:
    """The eyes of `driving` in the portrait as it is, and the hints."""
    picture, landmarks = portrait()
    result = picture.copy() if view is WHOLE else np.zeros((view.height, view.width, 3), np.uint8)
    hints = EyeLayers(picture, landmarks).draw(result, view, driving)
    return result, hints


def inside(landmarks: Array, eye: int) -> NDArray[np.bool_]:
    """(512, 512): between the lids."""
    mask = np.zeros((SIZE_PX, SIZE_PX), np.uint8)
    cv2.fillPoly(mask, [np.rint(landmarks[list(RINGS[eye][0]), :2] * SIZE_PX).astype(np.int32)], 1)
    return mask > 0


def middle(mask: NDArray[Any]) -> Array:
    """(2,) x and y of the middle of what a mask holds, in its pixels."""
    y, x = np.mgrid[: mask.shape[0], : mask.shape[1]] + 0.5
    return np.asarray(np.array([(mask * x).sum(), (mask * y).sum()]) / mask.sum(), np.float32)


def test_at_rest_the_eyes_are_the_portraits_own() -> None:
    picture, landmarks = portrait()
    result, _ = drawn(landmarks)
    off = np.abs(result.astype(int) - picture).max(2)
    for eye in (0, 1):
        assert off[inside(landmarks, eye)].mean() < 2
    assert not off[: SIZE_PX // 4].any() and not off[SIZE_PX * 2 // 3 :].any(), "only eyes are touched"


@pytest.mark.parametrize("across", [-0.15, 0.15])
def test_irises_go_where_the_driving_ones_are(across: float) -> None:
    driving = looking(across)
    result, (eyeballs, irises) = drawn(driving)
    _, at_rest = drawn(portrait()[1])
    light = result.mean(2)
    for eye, (_, centre) in enumerate(RINGS):
        eye_mask = inside(driving, eye)
        way = driving[centre, 0] - portrait()[1][centre, 0]
        moved = middle(irises * eye_mask)[0] - middle(at_rest[1] * inside(portrait()[1], eye))[0]
        assert moved == pytest.approx(way * SIZE_PX, rel=0.25), "as far as the landmarks"
        disc = eye_mask & (irises > 0.7)
        white = eye_mask & (eyeballs > 0.9) & (irises < 0.1)
        assert light[disc].mean() < light[white].mean() - 40, "no second iris is left in the white"


def test_shut_eyes_are_a_line_of_lashes() -> None:
    picture, landmarks = portrait()
    driving = looking(0, open_share=0.1)
    relief = Relief(landmarks)
    result = relief.draw(relief.place(driving), WHOLE).sample(picture)
    hints = EyeLayers(picture, landmarks).draw(result, WHOLE, driving)
    assert not hints.any()
    light = result.mean(2)
    for pairs, brow in ((at.RIGHT_LID_PAIRS, at.RIGHT_BROW), (at.LEFT_LID_PAIRS, at.LEFT_BROW)):
        x, y = (driving[pairs[1:-1], :2].mean(1) * SIZE_PX).astype(int).T
        lid_y = int((driving[pairs[3, 0], 1] * 2 + driving[brow[2], 1]) / 3 * SIZE_PX)
        assert light[y, x].max() < 0.8 * light[lid_y, x].mean(), "nothing white is left in the slit"


def test_half_shut_eyes_stay_eyes() -> None:
    _, (eyeballs, irises) = drawn(looking(0, open_share=0.5))
    assert eyeballs.max() > 0.9
    assert irises.max() > 0.9


def test_hints_say_where_eyeballs_and_irises_are() -> None:
    landmarks = portrait()[1]
    _, hints = drawn(landmarks)
    assert hints.shape == (2, SIZE_PX, SIZE_PX)
    assert 0 <= hints.min() <= hints.max() <= 1
    assert (hints[1] <= hints[0]).all(), "an iris is in its eyeball"
    eyes = inside(landmarks, 0) | inside(landmarks, 1)
    assert hints[0][eyes].mean() > 0.7
    assert hints[0][~eyes].sum() < 0.4 * hints[0].sum()
    for eye, (_, centre) in enumerate(RINGS):
        found = middle(hints[1] * inside(landmarks, eye))
        assert found == pytest.approx(landmarks[centre, :2] * SIZE_PX, abs=5)


def test_a_view_of_one_eye_shows_what_the_whole_shows() -> None:
    driving = looking(0.1)
    whole, _ = drawn(driving)
    height, width = EYE_SIZE
    _, *frames = region_frames(driving)
    for frame in frames:
        view = View.region(frame.inverse(), width, height)
        crop, (eyeball, _) = drawn(driving, view)
        x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
        at_px = (view.places(np.stack([x, y], axis=-1)) * SIZE_PX).astype(int)
        sure = eyeball > 0.9
        assert sure.sum() > 60
        off = np.abs(crop.astype(float) - whole[at_px[..., 1], at_px[..., 0]]).mean(2)
        assert np.median(off[sure]) < 8


def test_the_catch_light_stays_with_the_light() -> None:
    def brightest(driving: Array) -> Array:
        result, (_, irises) = drawn(driving)
        eye = inside(driving, 1) & (irises > 0.5)
        light = np.where(eye, result.mean(2), 0)
        return middle(light * (light > light.max() - 25))

    at_rest, aside = brightest(portrait()[1]), brightest(looking(0.1))
    way = (looking(0.1)[at.LEFT_IRIS_CENTRE, 0] - portrait()[1][at.LEFT_IRIS_CENTRE, 0]) * SIZE_PX
    assert 0.1 * abs(way) < abs(aside[0] - at_rest[0]) < 0.9 * abs(way)


def test_what_shows_no_eye_is_left_as_it_is() -> None:
    picture, landmarks = portrait()
    for eyeless in (with_shut_eyes(picture), np.full_like(picture, 90)):
        layers = EyeLayers(eyeless, landmarks)
        assert layers.drawn == (False, False)
        result = eyeless.copy()
        assert not layers.draw(result, WHOLE, looking(0.1)).any()
        assert (result == eyeless).all()


def test_broken_faces_raise_nothing() -> None:
    picture, landmarks = portrait()
    layers = EyeLayers(picture, landmarks)
    pose = head_pose(landmarks, face_model().mean_shape)
    shape = pose.remove(landmarks)
    profile = HeadPose(turned_by(np.array([0, 1.4, 0])) @ pose.rotation, pose.scale, pose.translation).apply(shape)
    random = np.random.default_rng(0).normal(0.5, 0.3, landmarks.shape).astype(np.float32)
    for face in (profile, random, landmarks * 0, landmarks + 5, landmarks * 30 - 10, landmarks[:, [1, 0, 2]]):
        hints = layers.draw(picture.copy(), WHOLE, face)
        assert np.isfinite(hints).all()
        EyeLayers(picture, face).draw(picture.copy(), WHOLE, landmarks)


@pytest.mark.parametrize("yaw", [-0.6, 0.6])
def test_eyes_are_drawn_only_where_the_head_shows_them(yaw: float) -> None:
    picture, landmarks = portrait()
    pose = head_pose(landmarks, face_model().mean_shape)
    turned = HeadPose(turned_by(np.array([0, yaw, 0])) @ pose.rotation, pose.scale, pose.translation)
    driving = turned.apply(pose.remove(landmarks))
    eyeballs = EyeLayers(picture, landmarks).draw(picture.copy(), WHOLE, driving)[0]
    relief = Relief(landmarks)
    view = relief.draw(relief.place(driving), WHOLE)
    shown = np.stack([view.across, view.down], axis=-1)[eyeballs > 0.5]
    rings = landmarks[list(at.RIGHT_EYE + at.LEFT_EYE), :2].reshape(2, -1, 2)
    low, high = rings.min(1) - 0.02, rings.max(1) + 0.02
    in_an_eye = ((shown[:, None] > low) & (shown[:, None] < high)).all(2).any(1)
    assert len(shown) > 300
    assert in_an_eye.mean() > 0.97
