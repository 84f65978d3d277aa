"""An avatar enrolled by liveness moves for its own person alone, and for others only for a reason that is kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from avatar.core.avatar import Avatar
from avatar.core.errors import UsageError
from avatar.face.crop import Crop
from avatar.face.driving import Driving
from avatar.identity.bundle import load_avatar, save_avatar
from avatar.identity.consent import MOST_UNLOCKINGS, unlocked
from avatar.live.whose_face import WhoseFace, lock_words
from avatar.retarget.identity_lock import OTHER_S, UNKNOWN_S
from avatar.retarget.likeness import OWN
from avatar.retarget.retargeter import Retargeter
from tests.test_likeness import described, known
from tests.test_retarget import FRAME_NS, driver, seen

FPS = 1e9 / FRAME_NS


def locked() -> Avatar:
    return replace(known(), consent={"liveness": True})


def run(avatar: Avatar, distances: list[float | None], unlock: bool = False) -> tuple[list[Driving], list[str]]:
    """One frame each, described or not; what is shown, and what is said."""
    retargeter, said = Retargeter(avatar, frame_crop=Crop(0, 0, 320)), list[str]()
    if unlock:
        retargeter.unlock()
    whose, shown = WhoseFace(said.append), []
    for index, distance in enumerate(distances):
        state = seen(driver(), index)
        shown.append(retargeter.drive(state if distance is None else described(state, distance)))
        whose.tell("ada", retargeter)
        assert (lock_words("ada", retargeter) is None) == (not retargeter.locked)
    return shown, said


def test_it_moves_for_its_own_person_also_in_a_bad_light() -> None:
    shown, said = run(locked(), [0.2, *[OWN + 0.05] * 100])
    assert all(driving.live for driving in shown)
    assert said == ["This is your own face: ada shows your expression as it is."]


def test_with_another_camera_who_drives_is_not_known_any_more() -> None:
    retargeter = Retargeter(locked(), frame_crop=Crop(0, 0, 320))
    retargeter.drive(described(seen(driver(), 0), 0.2))
    assert retargeter.whose == "own"
    retargeter.another_driver()  # whose face no descriptor comes of
    shown = [retargeter.drive(seen(driver(), index)) for index in range(1, 200)]
    assert retargeter.locked and not shown[-1].live


def test_for_somebody_else_it_idles_within_two_seconds_and_says_so_once() -> None:
    shown, said = run(locked(), [0.9] * 100)
    assert OTHER_S < 2 and not any(driving.live for driving in shown[round(OTHER_S * FPS) + 2 :])
    (line,) = said
    assert line.startswith("ada moves for its own person alone")


def test_who_cannot_be_known_may_drive_for_a_moment() -> None:
    shown, _ = run(locked(), [None] * 200)
    last = max(index for index, driving in enumerate(shown) if driving.live)
    assert last / FPS == pytest.approx(UNKNOWN_S, abs=0.1)


def test_it_opens_at_once_for_its_own_person() -> None:
    shown, said = run(locked(), [*[None] * 160, 0.2, *[None] * 20])
    assert not shown[159].live and shown[-1].live
    assert [line.split()[1] for line in said] == ["moves", "knows", "is"]


def test_one_that_comes_on_in_mid_run_waits_for_its_own_person() -> None:
    """Else whoever goes to and fro between two of them drives for ever."""
    retargeter = Retargeter(locked(), frame_crop=Crop(0, 0, 320))
    retargeter.lock_at_first()
    live = [retargeter.drive(seen(driver(), index)).live for index in range(5)]
    assert not any(live) and lock_words("ada", retargeter)
    retargeter.drive(described(seen(driver(), 5), 0.2))
    assert not retargeter.locked
    for avatar, unlock in ((known(), False), (locked(), True)):
        others = Retargeter(avatar)
        if unlock:
            others.unlock()
        others.lock_at_first()
        assert not others.locked


def test_others_are_not_locked_and_an_unlocked_one_is_anybodys() -> None:
    for avatar, unlock in ((known(), False), (locked(), True)):
        assert all(driving.live for driving in run(avatar, [0.9] * 100, unlock)[0])


def test_an_unlocking_is_recorded_with_its_reason(tmp_path: Path) -> None:
    avatar = unlocked(unlocked(locked(), "a colleague tests the camera"), " her twin ")
    save_avatar(avatar, tmp_path / "ada.avatar")
    records = load_avatar(tmp_path / "ada.avatar").consent["unlocked"]
    assert [record["reason"] for record in records] == ["a colleague tests the camera", "her twin"]
    for _ in range(MOST_UNLOCKINGS):
        avatar = unlocked(avatar, "again")
    assert len(avatar.consent["unlocked"]) == MOST_UNLOCKINGS


@pytest.mark.parametrize(
    ("consent", "reason", "said"),
    [
        ({}, "why not", "Leave --unlock out"),
        ({"liveness": True}, "  ", "needs a reason"),
        ({"liveness": True}, "x" * 201, "needs a reason"),
        ({"liveness": True, "others_may_drive": False}, "a test", "agreed to nobody else"),
    ],
)
def test_what_cannot_be_unlocked_says_why(consent: dict[str, object], reason: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        unlocked(replace(known(), consent=consent), reason)
