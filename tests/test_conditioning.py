"""What the networks are told of a frame: landmark images, and the places of mouth and eyes."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from avatar.core.arrays import Array
from avatar.face import regions as at
from avatar.face.face_model import face_model
from avatar.face.head_pose import HeadPose, head_pose
from avatar.render.conditioning import (
    EYE_SIZE,
    FACE_SIZE,
    MOUTH_SIZE,
    draw_eye,
    draw_face,
    draw_mouth,
    eye_frames,
    mouth_frame,
    region_frames,
)


def face(yaw_degrees: float = 0.0, jaw: float = 0.0, x: float = 0.5, roll_degrees: float = 0.0) -> Array:
    """Landmarks in [0, 1] of a crop."""
    scores = np.zeros(52, np.float32)
    scores[25] = jaw
    turn = Rotation.from_euler("zy", [roll_degrees, yaw_degrees], degrees=True).as_matrix().astype(np.float32)
    pose = HeadPose(turn, 0.25, np.array([x, 0.45, 0.0], np.float32))
    return pose.apply(face_model().mean_shape + face_model().expression(scores))


def test_drawings_are_finite_for_shut_and_far_faces() -> None:
    for driving in (face(), face(40, 1.0), face(0, 0.0, 0.95), face(roll_degrees=30)):
        mouth, right, _ = region_frames(driving)
        eye = draw_eye(driving, right, at.RIGHT_EYE, at.RIGHT_IRIS, at.RIGHT_BROW)
        drawn = {FACE_SIZE: draw_face(driving), MOUTH_SIZE: draw_mouth(driving, mouth), EYE_SIZE: eye}
        for size, drawing in drawn.items():
            assert drawing.shape == (3, *size) and drawing.dtype == np.float32
            assert np.isfinite(drawing).all() and drawing.min() >= 0 and drawing.max() <= 1


def test_crops_hold_mouth_and_eyes_whatever_the_roll() -> None:
    for roll in (-25, 0, 25):
        landmarks = face(roll_degrees=roll)
        pose = head_pose(landmarks, face_model().mean_shape)
        right, left = eye_frames(landmarks, pose)
        for frame, ring in ((mouth_frame(landmarks, pose), at.LIPS_OUTER), (right, at.RIGHT_EYE)):
            inverse = frame.inverse()
            inside = (landmarks[list(ring), :2] * 2 - 1) @ inverse[:, :2].T + inverse[:, 2]
            assert np.abs(inside).max() < 0.95
            assert abs(inside[0, 1] - inside[8 if ring is at.RIGHT_EYE else 10, 1]) < 0.35  # corners level
        assert np.linalg.det(left.matrix[:, :2]) < 0 < np.linalg.det(right.matrix[:, :2])  # the left eye is mirrored


def test_an_open_mouth_is_drawn_open() -> None:
    shut, wide = (draw_mouth(one, region_frames(one)[0]) for one in (face(), face(jaw=1.0)))
    assert wide[0].mean() > 1.4 * shut[0].mean()


def test_a_face_outside_the_canvas_is_no_error() -> None:
    assert draw_face(face(x=40.0)).max() == 0.0
