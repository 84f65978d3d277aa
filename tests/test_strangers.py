"""Somebody else, half a face, a hand before it, as the tracker sees them: nothing jumps, nothing learnt is spoilt."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from avatar.core.arrays import Array, Picture
from avatar.face.driving import Driving
from avatar.face.face_descriptor import distance
from avatar.face.state import FaceState
from avatar.live.driver_memory import DriverMemory
from avatar.retarget.retargeter import Retargeter
from avatar.sources.photo import load_photo
from avatar.tracking.caged_tracker import CagedTracker
from avatar.tracking.model_asset import tracker_model
from tests.clips import acted_face, astronaut_avatar
from tests.portraits import resized

FRAME_NS = 40_000_000
MONA_LISA = Path(__file__).parents[1] / "scripts" / "portraits" / "mona_lisa.jpg"
EMPTY = np.full((360, 640, 3), 120, np.uint8)


@lru_cache(maxsize=2)
def sitter(other: bool) -> Picture:
    """(300, 300, 3): an astronaut who smiles no more, or Mona Lisa."""
    face = load_photo(MONA_LISA)[90:450, 120:480] if other else acted_face(smile=-0.7)
    return resized(face, 300 / len(face))


def sits(other: bool = False, x: float = 180.0, index: int = 0) -> Picture:
    """(360, 640, 3): somebody who sways a little, before grey."""
    face = sitter(other)
    shift = np.array([[1, 0, x + 3 * np.sin(index / 4)], [0, 1, 30 + 2 * np.sin(index / 7)]], np.float32)
    return np.asarray(
        cv2.warpAffine(face, shift, (640, 360), EMPTY.copy(), borderMode=cv2.BORDER_TRANSPARENT), np.uint8
    )


def with_hand(picture: Picture) -> Picture:
    covered = picture.copy()
    cv2.ellipse(covered, (330, 260), (75, 95), 0, 0, 360, (196, 150, 125), -1)
    for finger in range(4):
        cv2.line(covered, (280 + finger * 32, 200), (275 + finger * 34, 140), (196, 150, 125), 26)
    return covered


def tracked(pictures: list[Picture]) -> list[FaceState]:
    with CagedTracker(tracker_model(), patient=True, describes=True) as tracker:
        return [tracker.track(picture, index * FRAME_NS) for index, picture in enumerate(pictures)]


def driven(states: list[FaceState]) -> tuple[list[Driving], list[Array | None]]:
    """What is shown for each, and the neutral shape that it was read by."""
    retargeter, memory = Retargeter(astronaut_avatar()), DriverMemory()
    shown, neutrals = [], []
    for state in states:
        shown.append(retargeter.drive(state))
        memory.follow(retargeter)
        neutrals.append(None if retargeter.neutral is None else retargeter.neutral.shape)
    return shown, neutrals


def largest_step(shown: list[Driving]) -> float:
    return max(float(np.linalg.norm((b.landmarks - a.landmarks)[:, :2], axis=1).mean()) for a, b in pairwise(shown))


@pytest.mark.parametrize("x", [180.0, 300.0], ids=["in the same seat", "elsewhere"])
def test_another_person_in_mid_run_and_the_first_one_again(x: float) -> None:
    one = [sits(index=index) for index in range(60)]
    pictures = [*one, *[EMPTY] * 6, *(sits(True, x, index) for index in range(45)), *[EMPTY] * 6, *one[:30]]
    states = tracked(pictures)
    shown, neutrals = driven(states)
    assert largest_step(shown) < 0.03
    first, other, again = neutrals[59], neutrals[90], neutrals[-1]
    assert first is not None and other is None and again is not None  # the other one is learnt anew
    assert np.abs(again - first)[:, :2].max() < 0.02  # what was learnt of the first one is not spoilt, and comes back
    told = [state.descriptor for state in states if state.descriptor is not None]
    assert distance(told[0], told[-1]) < 0.3 < 0.6 < max(distance(told[0], one) for one in told)
    assert shown[-1].live and np.abs(shown[-1].landmarks - shown[59].landmarks)[:, :2].max() < 0.02


@pytest.mark.parametrize(
    "fault",
    [lambda index: with_hand(sits(index=index)), lambda index: sits(x=480.0, index=index)],
    ids=["a hand before the face", "half a face"],
)
def test_what_is_not_wholly_seen_is_not_shown_nor_learnt(fault: Callable[[int], Picture]) -> None:
    one = [sits(index=index) for index in range(60)]
    shown, neutrals = driven(tracked([*one, *(fault(index) for index in range(45)), *one[:25]]))
    assert largest_step(shown) < 0.03
    assert not any(driving.live for driving in shown[75:103])  # held, then idle
    before, after = neutrals[59], neutrals[-1]
    assert before is not None and after is not None and np.abs(after - before)[:, :2].max() < 0.02
    assert shown[-1].live and np.abs(shown[-1].landmarks - shown[59].landmarks)[:, :2].max() < 0.02
