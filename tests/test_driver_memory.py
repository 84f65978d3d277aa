"""A driver who has agreed starts the next run with what this one has learnt. Nobody else does; nothing else is kept."""

from __future__ import annotations

import stat
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from avatar.core.arrays import Array
from avatar.face.crop import Crop
from avatar.face.gaps import mouth_width, set_mouth_gaps
from avatar.face.regions import INNER_LIP_PAIRS
from avatar.face.state import FaceState
from avatar.live.driver_memory import MOST_DRIVERS, DriverMemory, forget_drivers, keep_driver, remembered_drivers
from avatar.retarget.retargeter import Retargeter
from tests.clips import astronaut_avatar
from tests.test_likeness import at, described
from tests.test_retarget import driver, mouth_gap, seen, turned

ME, YOU = 0.0, 0.8  # distances of descriptors


@pytest.fixture(autouse=True)
def visavis_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VISAVIS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def talking(gap: float) -> Array:
    shape = driver()
    return set_mouth_gaps(shape, np.full(len(INNER_LIP_PAIRS), gap * mouth_width(shape), np.float32))


def run(states: Iterable[FaceState], on: bool = True) -> Retargeter:
    """One run of the program."""
    retargeter, memory = Retargeter(astronaut_avatar(), frame_crop=Crop(0, 0, 320)), DriverMemory(on)
    for state in states:
        retargeter.drive(state)
        memory.follow(retargeter)
    memory.keep()
    return retargeter


def calm(who: float, frames: int = 60) -> list[FaceState]:
    return [described(seen(driver(), index), who) for index in range(frames)]


def laughing(who: float, frames: int = 20) -> list[FaceState]:
    """With an open mouth from the first frame, and the head turned."""
    return [described(seen(talking(0.3), index, rotation=turned(4)), who) for index in range(frames)]


def gap_shown(retargeter: Retargeter) -> float:
    return mouth_gap(retargeter.drive(seen(talking(0.3), 21, rotation=turned(4))))


def test_the_second_run_starts_with_the_neutral_face_of_the_first() -> None:
    before, again = run(calm(ME)).neutral, run(laughing(ME + 0.1))
    assert again.calibrated == 1.0 and again.neutral is not None and before is not None
    assert np.abs(again.neutral.shape - before.shape).max() < 1e-3
    assert again.neutral.turn == pytest.approx(np.radians(4), abs=0.01)  # how one sits is of today
    assert gap_shown(again) > 0.15


def test_another_person_at_the_same_camera_gets_nothing_of_it() -> None:
    run(calm(ME))
    assert run(laughing(YOU)).calibrated < 1


def test_nothing_is_kept_or_read_without_consent(visavis_home: Path) -> None:
    run(calm(ME), on=False)
    assert not visavis_home.exists()
    run(calm(ME))
    assert run(laughing(ME), on=False).calibrated < 1


def test_whoever_sits_down_later_has_not_agreed() -> None:
    run([*calm(ME), *[described(seen(driver(0.9), 60 + index), YOU) for index in range(120)]])
    (kept,) = remembered_drivers()
    assert np.abs(kept.descriptor - at(ME)).max() < 1e-3


def test_it_lies_in_one_folder_for_its_owner_alone_and_is_numbers(visavis_home: Path) -> None:
    run(calm(ME))
    run(calm(ME + 0.05))
    (file,) = [path for path in visavis_home.rglob("*") if path.is_file()]  # one person, one file
    assert file.parent == visavis_home / "drivers" and file.stat().st_size < 8000
    assert not (stat.S_IMODE(file.stat().st_mode) | stat.S_IMODE(file.parent.stat().st_mode)) & 0o077


def test_it_is_forgotten_by_command_by_switch_and_by_number(visavis_home: Path) -> None:
    neutral = run(calm(ME)).neutral
    assert neutral is not None
    assert forget_drivers() == 1 and not remembered_drivers()
    for number in range(MOST_DRIVERS + 3):
        keep_driver(np.roll(np.eye(128, dtype=np.float32)[0], number), neutral)
    assert len(remembered_drivers()) == MOST_DRIVERS
    memory = DriverMemory(True)
    memory.forget()
    memory.keep()
    assert not memory.on and not remembered_drivers()


@pytest.mark.parametrize("damage", [b"", b"\xff" * 4000, b"x" * (1 << 20)], ids=["empty", "noise", "huge"])
def test_a_damaged_file_is_as_none(visavis_home: Path, damage: bytes) -> None:
    run(calm(ME))
    (file,) = (visavis_home / "drivers").iterdir()
    file.write_bytes(damage)
    assert run(laughing(ME)).calibrated < 1


def test_numbers_that_no_face_has_are_not_taken(visavis_home: Path) -> None:
    neutral = run(calm(ME)).neutral
    assert neutral is not None
    forget_drivers()
    neutral.shape[3] = np.nan
    keep_driver(at(ME), neutral)
    assert not remembered_drivers()
