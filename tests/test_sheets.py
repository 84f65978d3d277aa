"""An avatar's sheets: in one light, before one background, with the teeth and eyes of the portrait that shows them."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from avatar.core.arrays import Array, Picture
from avatar.core.avatar import Avatar
from avatar.face.face_model import face_model
from avatar.face.head_pose import head_pose
from avatar.face.regions import LIPS_INNER
from avatar.face.state import BLENDSHAPE_INDEX
from avatar.identity.mattes import with_mattes
from avatar.render.mouth_layers import HINTS
from avatar.render.sheets import Sheets, alike_cut, portrait_mattes
from avatar.render.view import View
from tests.clips import astronaut_avatar


@pytest.fixture(scope="module")
def smiling() -> Avatar:
    """The astronaut, who shows her teeth."""
    return with_mattes(astronaut_avatar())


def after(avatar: Avatar, **scores: float) -> Array:
    """(478, 3) landmarks of the portrait after an expression."""
    model = face_model()
    pose = head_pose(avatar.landmarks[0], model.mean_shape)
    weights = np.zeros(len(model.expression_basis), np.float32)
    for name, value in scores.items():
        weights[BLENDSHAPE_INDEX[name]] = value
    return pose.apply(pose.remove(avatar.landmarks[0]) + model.expression(weights))


def with_first(avatar: Avatar, portrait: Picture, landmarks: Array) -> Avatar:
    """The avatar with another portrait before its own, of the same outline."""
    return replace(
        avatar,
        portraits=np.stack([portrait, avatar.portraits[0]]),
        landmarks=np.stack([landmarks, avatar.landmarks[0]]),
        blendshapes=np.repeat(avatar.blendshapes, 2, 0),
        mattes=np.repeat(avatar.mattes, 2, 0),
    )


def without(avatar: Avatar, left: int, right: int, top: int, bottom: int) -> Picture:
    """The portrait with the box between four landmarks filled with the colour of the cheek."""
    portrait: Picture = avatar.portraits[0].copy()
    x, y = (avatar.landmarks[0, :, :2] * 512).astype(int).T
    portrait[y[top] : y[bottom], x[left] : x[right]] = portrait[y[50] - 3 : y[50] + 3, x[50] - 3 : x[50] + 3].mean(
        (0, 1)
    )
    return portrait


def mouth(sheets: Sheets, number: int, driving: Array) -> tuple[Array, NDArray[np.bool_]]:
    """The inside of a sheet's mouth (512, 512, 3), and where the upper teeth are in it."""
    picture = np.zeros((512, 512, 3), np.uint8)
    hints = sheets[number].mouth.draw(picture, View.whole(512), driving)
    return picture.astype(np.float32), hints[HINTS.index("upper teeth")] > 250


def test_the_first_sheet_is_there_at_once_and_the_others_come(smiling: Avatar) -> None:
    sheets = Sheets(with_first(smiling, smiling.portraits[0], smiling.landmarks[0]), (0, 1))
    assert 0 in sheets.ready
    sheets.wait()
    assert set(sheets.ready) == {0, 1}


def test_a_portrait_with_shut_lips_shows_the_teeth_of_one_that_smiles(smiling: Avatar) -> None:
    shut = after(smiling, jawOpen=-0.3)
    shut[[13, 82, 81, 312, 311, 80, 310]] = shut[[14, 87, 178, 317, 402, 88, 318]]
    portrait = without(smiling, 61, 291, 0, 17)
    wide = after(smiling, jawOpen=0.5)
    alone = Sheets(replace(smiling, portraits=portrait[None], landmarks=shut[None]), (0,))
    lent = Sheets(with_first(smiling, portrait, shut), (0, 1))
    lent.wait()
    assert not alone[0].mouth.shows_teeth and lent[0].mouth.shows_teeth
    (drawn, _), (shown, teeth), (own, own_teeth) = (mouth(*which, wide) for which in ((alone, 0), (lent, 0), (lent, 1)))
    both = teeth & own_teeth
    assert both.sum() > 0.8 * own_teeth.sum()
    assert np.abs(shown - own)[both].mean() < 0.4 * np.abs(drawn - own)[both].mean()


def test_hidden_eyes_are_lent(smiling: Avatar) -> None:
    portrait = without(smiling, 127, 356, 105, 117)  # nothing but skin from brows to cheeks
    shut = after(smiling, eyeBlinkLeft=1.0, eyeBlinkRight=1.0)
    alone = Sheets(replace(smiling, portraits=portrait[None], landmarks=shut[None]), (0,))
    lent = Sheets(with_first(smiling, portrait, shut), (0,))
    assert alone[0].eyes.drawn == (False, False)
    assert lent[0].eyes.drawn == (True, True)


def test_all_portraits_are_in_the_first_ones_light(smiling: Avatar) -> None:
    dark = np.rint(smiling.portraits[0] * 0.75).astype(np.uint8)
    sheets = Sheets(with_first(smiling, dark, smiling.landmarks[0]), (0, 1))
    sheets.wait()
    shown = sheets[0].rgba[..., 3] == 255
    first, second = (sheets[number].rgba[shown][:, :3].astype(float) for number in (0, 1))
    assert np.abs(second - first).mean() < 2.5


def test_a_portrait_without_a_background_does_not_go_with_one_that_has_it(smiling: Avatar) -> None:
    mattes = np.stack([smiling.mattes[0], np.full_like(smiling.mattes[0], 255), smiling.mattes[0]])
    assert alike_cut(mattes) == [0, 2]
    assert alike_cut(mattes[1:]) == [0]
    assert alike_cut(portrait_mattes(replace(smiling, mattes=np.zeros((0, 512, 512), np.uint8)))) == [0]


def test_one_portrait_shows_no_other_mouths(smiling: Avatar) -> None:
    assert Sheets(smiling, (0,)).mouths is None


def test_a_driver_who_opens_the_mouth_sees_the_portrait_that_does(smiling: Avatar) -> None:
    shut = after(smiling, jawOpen=-0.3)
    shut[[13, 82, 81, 312, 311, 80, 310]] = shut[[14, 87, 178, 317, 402, 88, 318]]
    two = Sheets(with_first(smiling, without(smiling, 61, 291, 0, 17), shut), (0,))
    two.wait()
    assert two.mouths is not None
    shown = two.mouths.shown(smiling.landmarks[0])
    assert shown is not None
    portrait, cheek = smiling.portraits[0], without(smiling, 61, 291, 0, 17)
    picture = cheek.copy()
    shown.draw(picture, View.whole(512))
    x, y = (smiling.landmarks[0, list(LIPS_INNER), :2] * 512).astype(int).T
    lips = np.s_[y.min() : y.max(), x.min() : x.max()]
    pairs = np.stack([picture[lips].mean(2).ravel(), portrait[lips].mean(2).ravel()])
    assert np.corrcoef(pairs)[0, 1] > 0.95  # teeth and lips, in the light of what is around
