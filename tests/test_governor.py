"""The governor lowers the stage that is short of time, raises it again within two seconds, and does not swing."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from avatar.live.governor import FULL, Governor, Level, Work

INTERVAL_MS = 1000 / 30
HALF = Level(0.5, 2)


@dataclass(frozen=True)
class Cost:
    """Milliseconds of a tracked frame, of a picture and of its publishing, and what the computer has to spare."""

    track: float = 12.0
    draw: float = 18.0
    publish: float = 2.0
    spare: float = 0.4


@dataclass
class Run:
    """A camera, and three stages, each with a mailbox of one before it."""

    governor: Governor = field(default_factory=Governor)
    fps: float = 30.0
    at_ms: float = 0.0
    levels: list[Level] = field(default_factory=list)  # after each frame of the camera

    def __post_init__(self) -> None:
        self._free_ms = [0.0, 0.0, 0.0]
        self._lost, self._busy_ms = [0, 0, 0], [0.0, 0.0, 0.0]
        self._frames = 0

    def go(self, seconds: float, cost: Callable[[Level], Cost]) -> list[Level]:
        """The level after each camera frame of these seconds."""
        before, end_ms = len(self.levels), self.at_ms + 1000 * seconds
        while self.at_ms < end_ms:
            self._frame(cost(self.governor.level))
            self.levels.append(self.governor.level)
            self.at_ms += 1000 / self.fps
        return self.levels[before:]

    def _frame(self, cost: Cost) -> None:
        self._frames += 1
        self.governor.spare = lambda: cost.spare
        tracked = self._frames % self.governor.level.track_every == 0
        ready_ms = self.at_ms
        for stage, work_ms in enumerate((cost.track if tracked else 0.0, cost.draw, cost.publish)):
            if self._free_ms[stage] > ready_ms + 1000 / self.fps:  # another one waits already
                self._lost[stage] += 1
                return
            ready_ms = max(ready_ms, self._free_ms[stage]) + work_ms
            self._free_ms[stage] = ready_ms
            self._busy_ms[stage] += work_ms
            if stage == 1:
                busy_ns = (round(1e6 * ms) for ms in self._busy_ms[:2])
                self.governor.frame(round(1e6 * ready_ms), Work(*self._lost, *busy_ns))


def smaller(level: Level, draw_ms: float) -> float:
    """What drawing takes at that level: a half of it is the same at each size."""
    return draw_ms * (0.5 + 0.5 * level.render_share**2)


def seconds_until(levels: list[Level], wanted: Level) -> float:
    return levels.index(wanted) * INTERVAL_MS / 1e3


def test_an_easy_life_is_left_alone() -> None:
    run = Run()
    assert set(run.go(60, lambda level: Cost())) == {FULL}
    assert run.governor.words == "full" and run.governor.short == ""
    assert run.governor.seconds["full"] == pytest.approx(60, abs=1)


def test_a_thread_that_is_busy_and_loses_nothing_is_left_alone() -> None:
    assert set(Run().go(60, lambda level: Cost(draw=32.0, spare=0.02))) == {FULL}


def test_what_is_beyond_thirty_pictures_a_second_is_no_loss() -> None:
    assert set(Run(fps=60.0).go(30, lambda level: Cost(track=30, draw=30, spare=0.02))) == {FULL}
    assert FULL not in Run(fps=60.0).go(30, lambda level: Cost(draw=50))[-60:]


def test_a_late_tracker_tracks_every_second_frame_and_the_picture_keeps_its_size() -> None:
    run = Run()
    levels = run.go(20, lambda level: Cost(track=45))
    assert set(levels) == {FULL, Level(1.0, 2)}
    assert seconds_until(levels, Level(1.0, 2)) < 3
    assert run.governor.words == "every 2nd frame tracked (the face tracker is behind)"
    assert levels[-1] == Level(1.0, 2)  # 45 ms a frame would be too much again, and that is known beforehand


def test_a_late_avatar_is_drawn_smaller_and_every_frame_is_tracked() -> None:
    run = Run()
    levels = run.go(20, lambda level: Cost(draw=smaller(level, 42)))
    assert {level.track_every for level in levels} == {1}
    assert levels[-1].render_share < 1
    assert run.governor.short == "drawing"


def test_both_late_lowers_both() -> None:
    run = Run()
    run.go(30, lambda level: Cost(track=45, draw=smaller(level, 60)))
    assert run.governor.lowest_level == HALF


def test_a_busy_computer_tracks_less_first_and_draws_smaller_last() -> None:
    run = Run()
    levels = run.go(12, lambda level: Cost(draw=smaller(level, 80), spare=0.0))
    order = [level for level, _ in itertools.groupby(levels)]
    assert order[:4] == [FULL, Level(1.0, 2), Level(0.75, 2), HALF]
    assert run.governor.words == "every 2nd frame tracked, drawn at half the size (the computer is busy)"


def test_a_busy_computer_that_the_tracker_can_help_keeps_the_pictures_size() -> None:
    levels = Run().go(60, lambda level: Cost(draw=40 if level.track_every == 1 else 29, spare=0.05))
    assert {level.render_share for level in levels} == {1.0}


def test_slow_publishers_are_said_and_lower_nothing_unless_they_wait_for_a_core() -> None:
    run = Run()
    assert set(run.go(20, lambda level: Cost(publish=60))) == {FULL}
    assert run.governor.words == "full (pictures are taken too slowly)"
    run.go(2, lambda level: Cost())
    assert run.governor.words == "full"
    run.go(10, lambda level: Cost(publish=60, spare=0.0))
    assert run.governor.short == "computer" and run.governor.level != FULL


@pytest.mark.parametrize("lowered", [Cost(track=45), Cost(draw=120), Cost(track=45, draw=120, spare=0.0)])
def test_what_is_lowered_comes_back_within_two_seconds_of_calm(lowered: Cost) -> None:
    run = Run()
    run.go(30, lambda level: lowered)
    assert run.governor.level != FULL
    run.at_ms = max(run.at_ms, *run._free_ms)
    levels = run.go(10, lambda level: Cost())
    assert seconds_until(levels, FULL) < 2
    assert set(levels[levels.index(FULL) :]) == {FULL}
    assert run.governor.short == ""


def test_a_spike_lowers_nothing() -> None:
    run = Run()
    for _ in range(10):
        levels = run.go(0.8, lambda level: Cost(track=100, draw=100, spare=0.0)) + run.go(5, lambda level: Cost())
        assert set(levels) == {FULL}


def test_a_raise_that_proves_too_much_is_tried_ever_more_rarely() -> None:
    run = Run()
    levels = run.go(600, lambda level: Cost(draw=40 if level == FULL else 15))
    raises = [at for at, (one, other) in enumerate(itertools.pairwise(levels)) if other == FULL != one]
    assert 3 <= len(raises) <= 20  # three hundred, if it were not
    gaps = [after - before for before, after in itertools.pairwise(raises)]
    assert gaps[-1] > 5 * gaps[0]
    assert seconds_until(run.go(10, lambda level: Cost(draw=10)), FULL) < 2  # far less work: no more waiting


def test_a_sleeping_computer_is_no_load() -> None:
    run = Run()
    run.go(5, lambda level: Cost())
    for hour in range(1, 6):
        run.governor.frame(round(1e6 * run.at_ms) + hour * 3_600_000_000_000, Work(50 * hour, 50 * hour))
    assert run.governor.level == FULL
