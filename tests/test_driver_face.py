"""The driver's face in one crop, whatever size his picture has."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from avatar.face.crop import Crop
from avatar.retarget.driver_face import DriverView
from tests.test_retarget import driver, seen


def test_a_picture_of_twice_the_size_shows_the_same_face() -> None:
    view = DriverView(Crop(0, 0, 320))
    small = replace(seen(driver()), frame_px=320)
    large = replace(small, landmarks=small.landmarks * 2, frame_px=640)
    assert np.allclose(view.face(small).pose, view.face(large).pose, atol=1e-5)


def test_without_a_crop_the_first_face_makes_one_that_stays() -> None:
    view = DriverView()
    first = view.face(seen(driver()))
    crop = view.crop
    moved = view.face(seen(driver(), at=(180, 120)))
    assert crop is not None and view.crop == crop
    assert moved.pose[4] > first.pose[4]
