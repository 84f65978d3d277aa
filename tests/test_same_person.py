"""Strangers among photos are found with their distance; only a clearly different light is changed."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from avatar.core.arrays import Array
from avatar.identity.same_person import FROM_THE_OTHERS, OTHER_LIGHT, match_light, strangers
from tests.clips import astronaut_avatar


def around(centre: int, count: int, spread: float, seed: int) -> Array:
    """(count, 128) descriptors near a unit vector, `spread` from it."""
    noise = np.random.default_rng(seed).normal(size=(count, 128))
    noise *= spread / np.linalg.norm(noise, axis=1, keepdims=True)
    return np.asarray(np.eye(128)[centre] + noise, np.float32)


def test_one_person_has_no_strangers() -> None:
    for count in (1, 2, 3, 8):
        assert strangers(around(0, count, 0.3, count)) == {}


def test_of_two_that_differ_the_second_is_named() -> None:
    found = strangers(np.concatenate([around(0, 1, 0.1, 1), around(1, 1, 0.1, 2)]))
    assert list(found) == [1]
    assert found[1] == pytest.approx(np.sqrt(2), abs=0.15)


def test_the_minority_is_named_worst_first() -> None:
    descriptors = np.concatenate([around(0, 5, 0.2, 1), around(1, 1, 0.2, 2), 1.5 * around(2, 1, 0.2, 3)])
    found = strangers(descriptors)
    assert list(found) == [6, 5]
    assert all(apart > FROM_THE_OTHERS for apart in found.values())


def lit(gain: float) -> tuple[NDArray[np.uint8], Array]:
    """The astronaut's portrait, and the same times `gain`."""
    avatar = astronaut_avatar()
    other = np.clip(avatar.portraits[0] * gain, 0, 255).astype(np.uint8)
    return np.stack([avatar.portraits[0], other]), np.repeat(avatar.landmarks, 2, axis=0)


def face_mean(picture: NDArray[np.uint8]) -> float:
    return float(picture[180:330, 190:320].mean())


def test_another_light_is_brought_near_the_first() -> None:
    portraits, landmarks = lit(0.75)
    result = match_light(portraits, landmarks)
    assert np.array_equal(result[0], portraits[0])
    before, after = (abs(face_mean(p[1]) - face_mean(p[0])) for p in (portraits, result))
    assert before > OTHER_LIGHT
    assert after < 0.6 * before
    border = [np.abs(p[1][:, :40].astype(int) - p[0][:, :40]).mean() for p in (portraits, result)]
    assert border[1] < 0.6 * border[0]  # the background too, or the head would have a halo


def test_nearly_the_same_light_is_left_alone() -> None:
    portraits, landmarks = lit(0.96)
    assert np.array_equal(match_light(portraits, landmarks), portraits)
