"""The landmark image of size `full`."""

from __future__ import annotations

import numpy as np
import pytest

from avatar.face import regions as at
from avatar.face.face_model import face_model
from avatar.face.head_pose import HeadPose
from avatar.render.landmark_image import CLOSED, OPEN, draw_landmarks


def upright(yaw_radians: float = 0.0, x: float = 0.5) -> np.ndarray:
    c, s = np.cos(yaw_radians), np.sin(yaw_radians)
    turn = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]], np.float32)
    return HeadPose(turn, 0.25, np.array([x, 0.45, 0.0], np.float32)).apply(face_model().mean_shape)


@pytest.mark.parametrize("size_px", [128, 256, 512])
def test_every_part_is_drawn_in_its_colour_at_every_size(size_px: int) -> None:
    drawn = draw_landmarks(upright(), size_px)
    assert drawn.shape == (3, size_px, size_px) and drawn.dtype == np.uint8
    shown = {tuple(colour) for colour in drawn.reshape(3, -1).T.tolist()}
    for _, colour in (*CLOSED, *OPEN):
        near = min(sum(abs(a - b) for a, b in zip(colour, other, strict=True)) for other in shown)
        assert near <= (10 if size_px >= 256 else 130), colour  # thin lines are blended with their surroundings


def test_lines_run_through_the_landmarks() -> None:
    face = upright()
    drawn = draw_landmarks(face, 256)
    for index in at.FACE_OVAL[::5]:
        x, y = np.rint(face[index, :2] * 256 - 0.5).astype(int)
        assert drawn[1, y - 1 : y + 2, x - 1 : x + 2].max() > 200


def test_a_larger_image_is_the_same_image() -> None:
    small, large = draw_landmarks(upright(0.3), 128), draw_landmarks(upright(0.3), 256)
    halved = large.reshape(3, 128, 2, 128, 2).astype(float).mean((2, 4))
    assert np.abs(halved - small).mean() < 2
    assert np.abs(halved - draw_landmarks(upright(-0.3), 128)).mean() > 3


def test_faces_outside_of_the_picture_are_drawn_as_far_as_they_are_inside() -> None:
    assert draw_landmarks(upright(x=1e6), 64).max() == 0
    assert draw_landmarks(upright(x=-0.2), 64)[:, :, 32:].max() == 0
