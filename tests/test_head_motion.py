"""The head's turns and moves: the driver's since rest, added to the avatar's own pose, within limits."""

from __future__ import annotations

import numpy as np
import pytest

from avatar.core.arrays import Array
from avatar.face.crop import Crop
from avatar.face.head_pose import HeadPose, from_vector, to_vector, turn_between
from avatar.retarget.driver_face import DriverFace, driver_face
from avatar.retarget.head_limits import MAX_SHIFT, MAX_TURN_RADIANS, HeadLimits
from avatar.retarget.head_motion import HeadMotion
from tests.test_retarget import driver, seen, turned

OWN = HeadPose(turned(5), 0.22, np.array([0.5, 0.45, 0.0], np.float32))
STEP_S = 0.04


def face(yaw_degrees: float = 0, x: float = 160) -> DriverFace:
    state = seen(driver(), rotation=turned(yaw_degrees), at=(x, 120))
    return driver_face(state.landmarks, state.blendshapes, Crop(0, 0, 320))


def turn(pose: Array) -> float:
    """Yaw in radians from the avatar's own pose."""
    return float(turn_between(from_vector(pose).rotation, OWN.rotation)[1])


def test_a_driver_at_rest_leaves_the_avatars_own_pose() -> None:
    pose = HeadMotion([OWN]).of(face(12), face(12), True, 1.0, STEP_S)
    assert np.allclose(pose, to_vector(OWN), atol=1e-4)


def test_a_turn_goes_over_as_strongly_as_the_gain_says() -> None:
    whole, half = (HeadMotion([OWN]).of(face(10), face(), True, gain, STEP_S) for gain in (1.0, 0.5))
    assert np.isclose(turn(whole), np.radians(10), atol=1e-3)
    assert np.isclose(turn(half), np.radians(5), atol=1e-3)
    assert np.allclose(HeadMotion([OWN]).of(face(10), face(), True, 0.0, STEP_S), to_vector(OWN), atol=1e-5)


def test_no_turn_and_no_move_goes_beyond_the_portraits_limits() -> None:
    pose = HeadMotion([OWN]).of(face(80, 300), face(), True, 1.0, STEP_S)
    assert abs(turn(pose)) < MAX_TURN_RADIANS
    assert abs(from_vector(pose).translation[0] - OWN.translation[0]) < 2 * MAX_SHIFT  # the neck's joint moves less


@pytest.mark.parametrize(
    ("yaw", "back", "away"), [(0, 0.6, 0.6), (36, 0.13, 0.47), (-36, 0.13, 0.47), (80, 0.08, 0.08)]
)
def test_a_turned_portrait_turns_little_towards_the_side_that_it_hides(yaw: float, back: float, away: float) -> None:
    limits = HeadLimits.of([HeadPose(turned(yaw), 0.22, OWN.translation)])
    low, high = (-back, away) if yaw >= 0 else (-away, back)
    assert limits.low[1] == pytest.approx(low, abs=0.01)
    assert limits.high[1] == pytest.approx(high, abs=0.01)


def test_several_portraits_turn_as_far_as_any_of_them_shows() -> None:
    limits = HeadLimits.of([HeadPose(turned(yaw), 0.22, OWN.translation) for yaw in (0, 36, -36)])
    assert limits.high[1] == pytest.approx(np.radians(36) + 0.47, abs=0.01)
    assert limits.low[1] == pytest.approx(-np.radians(36) - 0.47, abs=0.01)


def test_taken_as_it_is_a_pose_is_the_drivers() -> None:
    seen_face = face(40, 200)
    pose = HeadMotion([OWN], framed=False).of(seen_face, face(), False, 1.0, STEP_S)
    assert np.allclose(pose, seen_face.pose, atol=1e-3)


def test_a_new_place_that_is_framed_at_once_leaves_room_to_move() -> None:
    """Far beyond the limits, a head that no frame follows stands still at their edge."""
    at_once, slowly = HeadMotion([OWN]), HeadMotion([OWN])
    at_once.reframe()
    before, after = (
        [from_vector(head.of(face(0, x), face(), True, 1.0, STEP_S)).translation[0] for head in (at_once, slowly)]
        for x in (300, 285)
    )
    assert before[0] - after[0] > 10 * abs(before[1] - after[1])
