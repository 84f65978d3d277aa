"""Which portrait draws a turned head: by pose, calmly, and few of many."""

import numpy as np
import pytest

from avatar.core.arrays import Array
from avatar.face.face_model import face_model
from avatar.face.head_pose import HeadPose, turned_by
from avatar.face.state import BLENDSHAPE_INDEX
from avatar.render.sheet_choice import MOST_SHEETS, SheetChoice


def face(yaw: float = 0, pitch: float = 0, roll: float = 0, scale: float = 0.2, **scores: float) -> Array:
    """(478, 3) landmarks of the mean face, turned by degrees."""
    model = face_model()
    weights = np.zeros(len(model.expression_basis), np.float32)
    for name, value in scores.items():
        weights[BLENDSHAPE_INDEX[name]] = value
    turn = np.deg2rad(np.array([pitch, yaw, roll], np.float32))
    pose = HeadPose(turned_by(turn), scale, np.array([0.5, 0.5, 0], np.float32))
    return pose.apply(model.mean_shape + model.expression(weights))


def choice(*portraits: Array) -> SheetChoice:
    return SheetChoice(np.stack(portraits), range(len(portraits)))


@pytest.mark.parametrize(("turn", "chosen"), [(-25, 1), (-20, 1), (-3, 0), (0, 0), (3, 0), (20, 2), (40, 2)])
def test_a_turned_head_gets_the_portrait_that_is_turned_likewise(turn: float, chosen: int) -> None:
    assert choice(face(), face(-25), face(25)).choose(face(turn), range(3)) == chosen


def test_an_expression_changes_nothing() -> None:
    chooser = choice(face(), face(-25), face(25, jawOpen=0.8), face(25))
    assert chooser.choose(face(24, jawOpen=0.8), range(4)) == 3


def test_the_choice_stays_until_another_is_clearly_better() -> None:
    chooser = choice(face(), face(20))
    there = [chooser.choose(face(yaw), range(2)) for yaw in range(21)]
    back = [chooser.choose(face(yaw), range(2)) for yaw in range(20, -1, -1)]
    assert np.abs(np.diff(there)).sum() == np.abs(np.diff(back)).sum() == 1
    assert there.index(1) > 20 - back.index(0) + 2, "the way there and the way back meet"
    trembling = [chooser.choose(face(10 + 1.5 * (-1) ** i), range(2)) for i in range(20)]
    assert len(set(trembling)) == 1


@pytest.mark.parametrize("worse", [{"jawOpen": 0.8}, {"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0}, {"scale": 0.1}])
def test_of_two_that_are_turned_alike_the_calm_one_is_chosen(worse: dict[str, float]) -> None:
    assert choice(face(), face(25, **worse), face(27)).choose(face(25), range(3)) == 2


def test_a_calm_portrait_takes_the_place_of_a_first_one_that_laughs() -> None:
    assert choice(face(jawOpen=0.8), face()).choose(face(), range(2)) == 1
    assert choice(face(), face()).choose(face(), range(2)) == 0


def test_a_roll_hides_nothing() -> None:
    assert choice(face(), face(10, roll=20)).choose(face(roll=20), range(2)) == 0


def test_only_what_is_ready_and_usable_is_chosen() -> None:
    portraits = np.stack([face(), face(25), face(28)])
    assert SheetChoice(portraits, range(3)).choose(face(25), [0]) == 0
    assert SheetChoice(portraits, [0, 2]).choose(face(25), range(3)) == 2
    assert 1 not in SheetChoice(portraits, [0, 2]).sheets


def test_of_many_portraits_few_are_needed() -> None:
    still = choice(*(face(yaw) for yaw in np.linspace(-2, 2, 32)))
    assert still.sheets == (0,)
    yaws = np.linspace(-40, 40, 33)
    wide = choice(*(face(yaw) for yaw in np.roll(yaws, 16)))
    assert 5 <= len(wide.sheets) <= MOST_SHEETS and wide.sheets[0] == 0
    kept = np.roll(yaws, 16)[list(wide.sheets)]
    assert kept.min() < -30 and kept.max() > 30
    assert np.abs(yaws[:, None] - kept).min(1).max() <= 10, "a pose is far from every sheet"
