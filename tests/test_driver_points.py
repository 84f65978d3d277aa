"""What the owner sees of the tracker's work, over their own camera's picture."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from avatar.face.state import BLENDSHAPE_NAMES, LANDMARK_COUNT, FaceState, no_face
from avatar.live.driver_points import POINTS, STALE_S, Tracked, driver_points


def test_points_lie_where_the_face_is_in_the_cameras_picture() -> None:
    landmarks = np.zeros((LANDMARK_COUNT, 3), np.float32)
    landmarks[:] = 160, 120, -30
    landmarks[POINTS[0]] = 100, 500, 7  # in pixels; below the picture, as a chin may be
    blendshapes = np.zeros(len(BLENDSHAPE_NAMES), np.float32)
    state = FaceState(landmarks, blendshapes, np.eye(4, dtype=np.float32), 1.0, time.monotonic_ns())
    points = driver_points(Tracked(state, (640, 480)))
    assert points == [[0.156, 1.042]] + [[0.25, 0.25]] * (len(POINTS) - 1)
    past = replace(state, capture_ns=time.monotonic_ns() - round((STALE_S + 0.1) * 1e9))
    assert driver_points(Tracked(past, (640, 480))) == []


def test_without_a_face_there_are_none() -> None:
    assert driver_points(None) == []
    assert driver_points(Tracked(no_face(time.monotonic_ns()), (640, 480))) == []
