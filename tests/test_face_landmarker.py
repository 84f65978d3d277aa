"""The tracker on real faces: one is chosen, none is said, and nothing chatters."""

from __future__ import annotations

import numpy as np
import pytest

from avatar.core.arrays import Picture
from avatar.face.state import BLENDSHAPE_NAMES
from avatar.tracking.caged_tracker import CagedTracker
from avatar.tracking.model_asset import tracker_model
from tests.portraits import astronaut, head, resized


def side_by_side(left_px: int, right_px: int) -> Picture:
    """(480, 960, 3): two heads of these sizes."""
    picture = np.full((480, 960, 3), 120, np.uint8)
    for size_px, x in ((left_px, 240), (right_px, 720)):
        face = resized(head(), size_px / 200)
        y0, x0 = 240 - size_px // 2, x - size_px // 2
        picture[y0 : y0 + face.shape[0], x0 : x0 + face.shape[1]] = face
    return picture


def test_a_face_has_landmarks_blendshapes_and_a_pose() -> None:
    with CagedTracker(tracker_model(), "image", patient=True) as tracker:
        state = tracker.track(astronaut(), 5)
    assert state.found and state.capture_ns == 5 and state.confidence == 1.0
    assert state.landmarks.shape == (478, 3) and state.blendshapes.shape == (len(BLENDSHAPE_NAMES),)
    assert state.pose.shape == (4, 4) and state.pose[3].tolist() == [0, 0, 0, 1]
    assert state.blendshape("mouthSmileLeft") > 0.5 > state.blendshape("jawOpen")
    eyes = state.landmarks[[33, 263], 0]
    assert 60 < eyes[1] - eyes[0] < 130 and 180 < eyes.mean() < 260  # where the eyes are in the picture


@pytest.mark.parametrize("mode", ["image", "video"])
def test_an_empty_room_is_a_value(mode: str) -> None:
    with CagedTracker(tracker_model(), mode, patient=True) as tracker:  # type: ignore[arg-type]
        state = tracker.track(np.full((240, 320, 3), 90, np.uint8), 7)
    assert not state.found and state.confidence == 0.0 and state.capture_ns == 7
    assert state.blendshape("jawOpen") == 0.0


@pytest.mark.parametrize(("left_px", "right_px"), [(320, 460), (460, 320)])
def test_the_larger_of_two_faces_is_taken(left_px: int, right_px: int) -> None:
    with CagedTracker(tracker_model(), patient=True) as tracker:
        states = [tracker.track(side_by_side(left_px, right_px), i * 40_000_000) for i in range(1, 5)]
    assert states[-1].faces == 2
    assert (states[-1].landmarks[:, 0].mean() > 480) == (right_px > left_px)


def test_a_face_that_grows_a_little_does_not_take_over() -> None:
    with CagedTracker(tracker_model(), patient=True) as tracker:
        for i in range(1, 4):
            tracker.track(side_by_side(400, 360), i * 40_000_000)
        state = tracker.track(side_by_side(380, 420), 4 * 40_000_000)
        assert state.landmarks[:, 0].mean() < 480
        for i in range(5, 10):
            state = tracker.track(side_by_side(320, 460), i * 40_000_000)
    assert state.landmarks[:, 0].mean() > 480


def test_a_face_that_leaves_is_gone() -> None:
    with CagedTracker(tracker_model(), patient=True) as tracker:
        found = [tracker.track(p, i).found for i, p in enumerate([astronaut()] * 3 + [np.zeros_like(astronaut())] * 3)]
    assert found == [True] * 3 + [False] * 3


def test_times_that_stand_still_or_go_back_are_no_error() -> None:
    with CagedTracker(tracker_model(), patient=True) as tracker:
        assert all(tracker.track(astronaut(), t).found for t in (10**9, 10**9, 5 * 10**8))


def test_nothing_chatters(capfd: pytest.CaptureFixture[str]) -> None:
    with CagedTracker(tracker_model(), patient=True) as tracker:
        tracker.track(astronaut(), 0)
    assert capfd.readouterr() == ("", "")
