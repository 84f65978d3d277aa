"""A background that other portraits saw: shown where two of them agree, and no other place's."""

import numpy as np
import pytest

from avatar.core.arrays import Picture
from avatar.render.refined_matte import Matte
from avatar.render.seen_background import fill_from

SIZE = 256


@pytest.fixture(scope="module")
def room() -> Picture:
    x, y = np.meshgrid(np.arange(SIZE), np.arange(SIZE))
    wall = np.stack([80 + x // 4, 120 + y // 4, 90 + (x // 16 + y // 16) % 2 * 60], axis=2)
    return np.asarray(wall, np.uint8)


def before(room: Picture, left: int, brighter: int = 0) -> tuple[Picture, Matte]:
    """A grey person before the room, and the hole."""
    hole = np.zeros((SIZE, SIZE), np.uint8)
    hole[60:, left : left + 80] = 1
    picture = np.clip(room.astype(int) + brighter, 0, 255).astype(np.uint8)
    picture[hole > 0] = 30
    return picture, hole


def test_what_two_others_saw_is_seen_in_the_light_of_the_first(room: Picture) -> None:
    picture, hole = before(room, 80)
    filled, left = fill_from(picture, hole, [before(room, 10, 12), before(room, 20, -9)])
    assert not left[:, 105:].any() and left[60:, 80:90].all()
    assert np.abs(filled[left == 0].astype(int) - room[left == 0]).max() <= 2
    assert (filled[left > 0] == 30).all()


def test_what_one_alone_saw_may_be_a_strand_of_hair(room: Picture) -> None:
    picture, hole = before(room, 80)
    second, theirs = before(room, 0)
    second[100:110, 120:130] = 20  # which its matte missed
    filled, left = fill_from(picture, hole, [(second, theirs), before(room, 5)])
    assert left[100:110, 120:130].all() and (filled[100:110, 120:130] == 30).all()
    assert not left[150:, 100:].any()


def test_another_room_is_not_shown(room: Picture) -> None:
    picture, hole = before(room, 80)
    filled, left = fill_from(picture, hole, [before(room[::-1, ::-1], 10), before(room[::-1, ::-1], 20)])
    assert (left == hole).all() and (filled == picture).all()
