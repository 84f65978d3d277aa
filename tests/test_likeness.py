"""The avatar's own person is known by the face, and needs no calibration; nobody else's face gets into the picture."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from avatar.core.arrays import Array
from avatar.core.avatar import Avatar
from avatar.face.crop import Crop
from avatar.face.face_model import face_model
from avatar.face.gaps import gaps, mouth_width, set_mouth_gaps
from avatar.face.head_pose import head_pose
from avatar.face.regions import INNER_LIP_PAIRS
from avatar.face.state import FaceState
from avatar.retarget.likeness import OTHER, OWN, Likeness
from avatar.retarget.retargeter import Retargeter
from tests.clips import astronaut_avatar
from tests.test_retarget import driver, mouth_gap, seen, shape_of

ME = np.zeros(128, np.float32)


def at(distance: float) -> Array:
    """A descriptor so far from ME."""
    return np.asarray(ME + distance / np.sqrt(128), np.float32)


def known(avatar: Avatar | None = None) -> Avatar:
    return replace(avatar or astronaut_avatar(), descriptors=ME[None])


def herself(gap: float = 0.0) -> Array:
    """The astronaut's own pose-free shape, its lips `gap` of the mouth's width apart."""
    own = astronaut_avatar().landmarks[0]
    shape = head_pose(own, face_model().mean_shape).remove(own)
    return set_mouth_gaps(shape, np.full(len(INNER_LIP_PAIRS), gap * mouth_width(shape), np.float32))


def described(state: FaceState, distance: float) -> FaceState:
    return replace(state, descriptor=at(distance))


def test_one_clear_look_is_enough_and_a_doubtful_one_changes_nothing() -> None:
    likeness = Likeness(ME[None])
    assert likeness.whose == "unknown"
    assert likeness.see(at(OWN - 0.01)) == "own"
    assert likeness.see(at(OTHER - 0.01)) == "own"  # a bad light is no other person
    assert likeness.see(at(OTHER + 0.5)) == "other"
    assert [likeness.see(at((OWN + OTHER) / 2)) for _ in range(4)] == ["other"] * 4
    assert [likeness.see(at(0.1)) for _ in range(3)][-1] == "own"
    likeness.forget()
    assert likeness.whose == "unknown" and likeness.driver is None


def test_where_the_portraits_have_no_descriptors_nobody_is_known() -> None:
    likeness = Likeness(np.zeros((0, 128), np.float32))
    assert likeness.see(at(0)) == "unknown" and likeness.driver is not None


def test_several_portraits_are_one_person() -> None:
    assert Likeness(np.stack([at(0.4), at(-0.4)])).see(ME) == "own"


def test_whoever_drives_the_own_avatar_with_an_open_mouth_from_the_first_frame_is_shown_so() -> None:
    """The same mouth, taken for the neutral one of somebody else, would be shown shut."""
    shown = {}
    for whose, distance in (("own", 0.2), ("other", 0.9)):
        retargeter = Retargeter(known(), frame_crop=Crop(0, 0, 320))
        for index in range(20):
            driving = retargeter.drive(described(seen(herself(0.25), index), distance))
        assert retargeter.whose == whose and retargeter.absolute == (whose == "own")
        shown[whose] = mouth_gap(driving)
    wanted = float(gaps(herself(0.25), INNER_LIP_PAIRS).max())
    assert shown["own"] == pytest.approx(wanted, rel=0.05)


def test_the_own_face_is_shown_as_it_is_from_the_start() -> None:
    retargeter = Retargeter(known(), frame_crop=Crop(0, 0, 320))
    for index in range(20):
        driving = retargeter.drive(described(seen(herself(), index), 0.2))
    assert np.abs(shape_of(driving) - herself())[:, :2].max() < 0.02


@pytest.mark.parametrize(("mode", "distance", "absolute"), [("relative", 0.2, False), ("absolute", 0.9, True)])
def test_the_mode_is_stronger_than_what_the_face_says(mode: str, distance: float, absolute: bool) -> None:
    retargeter = Retargeter(known(), frame_crop=Crop(0, 0, 320))
    retargeter.expression = mode  # type: ignore[assignment]
    retargeter.drive(described(seen(driver()), distance))
    assert retargeter.absolute == absolute


def test_it_eases_in_and_out() -> None:
    retargeter = Retargeter(known(), frame_crop=Crop(0, 0, 320))
    looks = [None] * 10 + [0.2] + [None] * 20 + [0.9] * 3 + [None] * 20
    drivings = []
    for index, distance in enumerate(looks):
        state = seen(herself(0.2), index)
        drivings.append(retargeter.drive(state if distance is None else described(state, distance)))
    steps = [np.abs(b.landmarks - a.landmarks)[:, :2].max() for a, b in pairwise(drivings)]
    assert mouth_gap(drivings[30]) > mouth_gap(drivings[9]) + 0.03
    assert max(steps) < 0.006
