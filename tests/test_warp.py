"""The landmark warp and what the generator is fed."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from avatar.core.arrays import Array
from avatar.face.face_model import face_model
from avatar.face.head_pose import HeadPose, head_pose
from avatar.face.regions import LIPS_OUTER, RIGHT_EYE, WARP_CONTROL
from avatar.render.conditioning import EYE_SIZE, MOUTH_SIZE, conditioning, draw_face, eye_frames, mouth_frame
from avatar.render.warp import LandmarkWarp, landmark_flow, pixel_grid


def face(
    yaw_degrees: float = 0.0,
    jaw: float = 0.0,
    x: float = 0.5,
    roll_degrees: float = 0.0,
    y: float = 0.45,
    scale: float = 0.25,
) -> Array:
    """Landmarks in [0, 1] of a crop."""
    scores = np.zeros(52, np.float32)
    scores[25] = jaw
    turn = Rotation.from_euler("zy", [roll_degrees, yaw_degrees], degrees=True).as_matrix().astype(np.float32)
    pose = HeadPose(turn, scale, np.array([x, y, 0.0], np.float32))
    return pose.apply(face_model().mean_shape + face_model().expression(scores))


def test_standing_still_moves_nothing() -> None:
    assert np.allclose(landmark_flow(face(), face(), 64), pixel_grid(64, 64), atol=1e-4)


def test_driving_landmarks_lead_to_the_sources() -> None:
    source, driving = face(), face(15, 0.6, 0.53)
    found = LandmarkWarp(source, driving).at(driving[WARP_CONTROL, :2] * 2 - 1)
    error = np.abs(found - (source[WARP_CONTROL, :2] * 2 - 1))
    assert error.max() < 0.02 and error.mean() < 0.003  # in [-1, 1]: 2.5 and 0.4 pixels of 256


def test_the_frames_edge_stays_where_it_is_above_the_body() -> None:
    edge = np.array([[-1, -1], [1, -1], [1, -0.5], [-1, 0]], np.float32)
    assert np.abs(LandmarkWarp(face(), face(15, 0.6, 0.53)).at(edge) - edge).max() < 0.02


@pytest.mark.parametrize(
    ("x", "y", "scale"), [(0.6, 0.45, 0.25), (0.5, 0.4, 0.25), (0.5, 0.45, 0.21), (0.45, 0.5, 0.3)]
)
def test_the_body_goes_along_with_the_head(x: float, y: float, scale: float) -> None:
    """Wherever a head goes and however near it comes, the neck's base stays below it, in sizes of the head."""
    here, there = face(), face(x=x, y=y, scale=scale)
    neck = np.array([[-0.3, 1.9], [0.0, 1.8], [0.3, 1.9]], np.float32)  # from between the eyes
    before, after = (np.array(at[:2], np.float32) + at[2] * neck for at in ((0.5, 0.45, 0.25), (x, y, scale)))
    error = (LandmarkWarp(here, there).at(after * 2 - 1) + 1) / 2 - before
    assert np.abs(error).max() < 0.05 * 0.25 * 1.8  # a twentieth of the way from the eyes down


def test_below_a_rising_body_nothing_is_brought_in_from_outside_of_the_picture() -> None:
    edge = np.array([[x, 1] for x in np.linspace(-1, 1, 9)], np.float32)
    assert np.abs(LandmarkWarp(face(), face(y=0.4)).at(edge)).max() < 1.04


def test_places_may_have_any_shape() -> None:
    warp = LandmarkWarp(face(), face(10))
    grid = pixel_grid(8, 6)
    assert np.allclose(warp.at(grid).reshape(-1, 2), warp.at(grid.reshape(-1, 2)), atol=1e-6)


def test_conditioning_has_the_generators_shapes_and_is_finite_for_shut_and_far_faces() -> None:
    for driving in (face(), face(40, 1.0), face(0, 0.0, 0.95), face(roll_degrees=30)):
        fed = conditioning(face(), driving)
        shapes = {name: value.shape for name, value in fed.items()}
        assert shapes == {
            "face_flow": (2, 64, 64), "face_drawing": (3, 128, 128),
            "mouth_flow": (2, 32, 48), "mouth_drawing": (3, 64, 96), "mouth_paste": (2, 3),
            "eyes_flow": (2, 2, 16, 24), "eyes_drawing": (2, 3, 32, 48), "eyes_paste": (2, 2, 3),
        }  # fmt: skip
        assert all(value.dtype == np.float32 and np.isfinite(value).all() for value in fed.values())


def test_crops_hold_mouth_and_eyes_whatever_the_roll() -> None:
    for roll in (-25, 0, 25):
        landmarks = face(roll_degrees=roll)
        pose = head_pose(landmarks, face_model().mean_shape)
        right, left = eye_frames(landmarks, pose)
        for frame, ring in ((mouth_frame(landmarks, pose), LIPS_OUTER), (right, RIGHT_EYE)):
            inverse = frame.inverse()
            inside = (landmarks[list(ring), :2] * 2 - 1) @ inverse[:, :2].T + inverse[:, 2]
            assert np.abs(inside).max() < 0.95
            assert abs(inside[0, 1] - inside[8 if ring is RIGHT_EYE else 10, 1]) < 0.35  # corners level
        assert np.linalg.det(left.matrix[:, :2]) < 0 < np.linalg.det(right.matrix[:, :2])  # the left eye is mirrored


def test_an_open_mouth_is_drawn_open() -> None:
    shut, wide = (conditioning(face(), face(jaw=jaw))["mouth_drawing"] for jaw in (0.0, 1.0))
    assert wide[0].mean() > 1.4 * shut[0].mean()
    assert wide[0].shape == MOUTH_SIZE and conditioning(face(), face())["eyes_drawing"][0, 0].shape == EYE_SIZE


def test_a_face_outside_the_canvas_is_no_error() -> None:
    assert draw_face(face(x=40.0)).max() == 0.0
