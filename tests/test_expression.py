"""An expression on another face: lips, jaws and mouths of other sizes."""

from __future__ import annotations

import numpy as np
import pytest

from avatar.core.arrays import Array
from avatar.face.face_model import face_model
from avatar.face.gaps import gaps, mouth_size, mouth_width, shut_mouth
from avatar.face.regions import INNER_LIP_PAIRS, LEFT_BROW, LEFT_LID_PAIRS, RIGHT_BROW, RIGHT_LID_PAIRS
from avatar.face.state import BLENDSHAPE_INDEX
from avatar.render.arch import MILLIMETRE
from avatar.retarget.driver_face import DriverFace
from avatar.retarget.expression import Expression
from avatar.retarget.gains import Gains
from avatar.retarget.held_expression import HeldExpression

NOSE, UPPER, LOWER, CHIN = 2, 13, 14, 152


def shape(parted: float = 0.0, **scores: float) -> Array:
    """The mean face with lips that touch, or whose jaw holds them `parted`, and what ARKit scores add."""
    values = np.zeros(len(BLENDSHAPE_INDEX), np.float32)
    for name, score in scores.items():
        values[BLENDSHAPE_INDEX[name]] = score
    jaw = face_model().expression_basis[BLENDSHAPE_INDEX["jawOpen"]]
    opened = np.float32(parted / gaps(jaw, INNER_LIP_PAIRS).max()) * jaw
    return np.asarray(shut_mouth(face_model().mean_shape) + opened + face_model().expression(values), np.float32)


def face(of: Array) -> DriverFace:
    openings = np.array([gaps(of, pairs).mean() for pairs in (RIGHT_LID_PAIRS, LEFT_LID_PAIRS)], np.float32)
    return DriverFace(of, np.zeros(7, np.float32), np.zeros(2, np.float32), openings)


def shown(neutral: Array, driver: Array, calm: Array, held: HeldExpression | None = None) -> Array:
    return Expression(neutral, held=held).of(face(driver), face(calm), Gains(), 0.04)


def test_a_mouth_is_shut_as_by_its_jaw() -> None:
    parted = shape(7 * MILLIMETRE)
    shut = shut_mouth(parted)
    assert np.allclose(gaps(shut, INNER_LIP_PAIRS), 0, atol=1e-4)
    assert np.allclose(shut, shape(), atol=0.3 * MILLIMETRE)
    assert (parted - shut)[CHIN, 1] > 3 * MILLIMETRE
    assert abs((parted - shut)[UPPER, 1]) < 0.7 * MILLIMETRE


@pytest.mark.parametrize("own_mm", [0, 7])
@pytest.mark.parametrize("driver_mm", [0, 7])
def test_what_is_left_of_an_opening_in_a_neutral_face_moves_no_lip(own_mm: float, driver_mm: float) -> None:
    """Neutral faces keep 0 to 7 mm between their lips. A driver whose lips touch shuts the portrait's, and raises
    neither its lip nor its chin."""
    result = shown(shape(own_mm * MILLIMETRE), shape(), shape(driver_mm * MILLIMETRE))
    assert gaps(result, INNER_LIP_PAIRS).max() < 0.3 * MILLIMETRE
    assert np.allclose(result[[UPPER, LOWER, CHIN], 1], shape()[[UPPER, LOWER, CHIN], 1], atol=0.5 * MILLIMETRE)


def test_an_opening_mouth_keeps_its_upper_lip() -> None:
    result = shown(shape(), shape(10 * MILLIMETRE), shape())
    assert gaps(result, INNER_LIP_PAIRS).max() == pytest.approx(10 * MILLIMETRE, rel=0.02)
    assert (shape() - result)[UPPER, 1] < 1.5 * MILLIMETRE
    assert (result - shape())[CHIN, 1] > 5 * MILLIMETRE


def test_a_small_face_moves_its_mouth_by_its_own_size() -> None:
    small = shape()
    below = (small[:, 1] > small[NOSE, 1])[:, None]
    size = np.where(below, np.float32(0.8), np.float32(1))
    small = np.asarray(small[NOSE] + (small - small[NOSE]) * size, np.float32)
    assert np.allclose(mouth_size(small)[:2] / mouth_size(shape())[:2], 0.8, atol=0.01)
    drops = [
        (shown(own, shape(jawOpen=0.6), shape()) - shown(own, shape(), shape()))[CHIN, 1] for own in (shape(), small)
    ]
    assert drops[1] / drops[0] == pytest.approx(0.8, abs=0.03)


def test_a_smiling_portrait_purses_further_than_a_calm_one() -> None:
    """What is left of its smile in the skin makes the mouth look wide: it lets go when the driver purses."""
    pursing = shape(mouthPucker=1.0)
    narrower = []
    for held in (HeldExpression(), HeldExpression(smile=1.0)):
        result = shown(shape(), pursing, shape(), held)
        narrower.append(1 - mouth_width(result) / mouth_width(shape()))
    driver = 1 - mouth_width(pursing) / mouth_width(shape())
    assert narrower[0] < 1.4 * driver
    assert narrower[1] > narrower[0] + 0.04
    smiling = shape(mouthSmileLeft=0.7, mouthSmileRight=0.7)
    assert np.allclose(shown(shape(), smiling, shape(), HeldExpression(smile=1.0)), shown(shape(), smiling, shape()))


def test_raised_brows_of_a_portrait_come_down_further_and_rise_as_ever() -> None:
    brows = list(RIGHT_BROW + LEFT_BROW)
    held = HeldExpression(raised_brows=1.0)
    for way, further in ((0.05, 1.8), (-0.05, 1.0)):
        moved = shape()
        moved[brows, 1] += np.float32(way)
        usual, more = (
            (shown(shape(), moved, shape(), one) - shown(shape(), shape(), shape(), one))[brows, 1].mean()
            for one in (None, held)
        )
        assert more / usual == pytest.approx(further, abs=0.05)


def test_what_a_portrait_holds_is_told_by_its_scores() -> None:
    scores = np.zeros(len(BLENDSHAPE_INDEX), np.float32)
    assert HeldExpression.of(scores) == HeldExpression(0, 0)
    scores[[BLENDSHAPE_INDEX["mouthSmileLeft"], BLENDSHAPE_INDEX["mouthSmileRight"]]] = 0.7
    scores[BLENDSHAPE_INDEX["browInnerUp"]] = 0.25
    assert HeldExpression.of(scores) == HeldExpression(1, 0.5)


def test_irises_move_up_and_down_by_more_than_the_tracker_sees_of_it() -> None:
    """It looks for them between the lids, and finds less than half of how far one was drawn up or down."""
    moves = []
    for axis in (0, 1):
        looking = shape()
        looking[468:478, axis] += 0.01
        result = shown(shape(), looking, shape()) - shown(shape(), shape(), shape())
        moves.append(float(result[[468, 473], axis].mean()) / 0.01)
    assert moves == pytest.approx([1.25, 2.22], rel=0.05)
