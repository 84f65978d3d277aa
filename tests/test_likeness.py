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
from avatar.face.head_pose import head_pose
from avatar.face.state import BLENDSHAPE_INDEX, FaceState
from avatar.retarget.likeness import OTHER, OWN, Likeness
from avatar.retarget.retargeter import Retargeter
from tests.clips import astronaut_avatar
from tests.test_retarget import driver, seen, shape_of

ME = np.zeros(128, np.float32)


def at(distance: float) -> Array:
    """A descriptor so far from ME."""
    return np.asarray(ME + distance / np.sqrt(128), np.float32)


def known(avatar: Avatar | None = None) -> Avatar:
    return replace(avatar or astronaut_avatar(), descriptors=ME[None])


def herself() -> Array:
    """The astronaut's own pose-free shape."""
    own = astronaut_avatar().landmarks[0]
    return head_pose(own, face_model().mean_shape).remove(own)


def smiling(share: float) -> Array:
    """The same with a smile that the tracker's scores say nothing of."""
    scores = np.zeros(len(BLENDSHAPE_INDEX), np.float32)
    scores[[BLENDSHAPE_INDEX["mouthSmileLeft"], BLENDSHAPE_INDEX["mouthSmileRight"]]] = share
    return np.asarray(herself() + face_model().expression(scores), np.float32)


def hers(shape: Array, index: int) -> FaceState:
    """What the tracker says of the face that her portrait shows, and of this one no more."""
    return replace(seen(shape, index), blendshapes=astronaut_avatar().blendshapes[0].copy())


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


def test_who_drives_the_own_avatar_and_begins_with_a_smile_is_shown_with_it() -> None:
    """The same smile, taken for the neutral face of somebody else, is shown as none."""
    corners = [61, 291]
    wanted = (smiling(0.8) - herself())[corners, :2]
    for whose, distance, low, high in (("own", 0.2, 0.5, 1.3), ("other", 0.9, -0.2, 0.2)):
        retargeter = Retargeter(known(), frame_crop=Crop(0, 0, 320))
        for index in range(20):
            driving = retargeter.drive(described(hers(smiling(0.8), index), distance))
        assert retargeter.whose == whose and retargeter.absolute == (whose == "own")
        shown = (shape_of(driving) - herself())[corners, :2]
        assert low < float((shown * wanted).sum() / (wanted**2).sum()) < high


def test_the_own_face_is_shown_as_it_is_from_the_start() -> None:
    retargeter = Retargeter(known(), frame_crop=Crop(0, 0, 320))
    for index in range(20):
        driving = retargeter.drive(described(hers(herself(), index), 0.2))
    assert np.abs(shape_of(driving) - herself())[:, :2].max() < 0.03


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
        state = hers(smiling(0.8), index)
        drivings.append(retargeter.drive(state if distance is None else described(state, distance)))
    steps = [np.abs(b.landmarks - a.landmarks)[:, :2].max() for a, b in pairwise(drivings)]
    assert np.abs(shape_of(drivings[30]) - shape_of(drivings[9]))[:, :2].max() > 0.03
    assert max(steps) < 0.006
