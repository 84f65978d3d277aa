"""The governor lowers the work when frames are lost, raises it again, and does not swing."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from avatar.live.governor import EASY_WINDOWS, LEVELS, MOST_EASY_WINDOWS, Governor

INTERVAL_NS = 33_333_333
Load = Callable[[int], tuple[float, int]]  # level -> (share of the time that is worked, frames lost)


def run(governor: Governor, seconds: float, load: Load, start_ns: int) -> tuple[int, list[int]]:
    """Frames for that many seconds; the time afterwards and the level after each."""
    now_ns, levels = start_ns, []
    while now_ns < start_ns + seconds * 1e9:
        busy, lost = load(governor.at)
        governor.frame(now_ns, round(busy * INTERVAL_NS * (1 + lost)), lost)
        levels.append(governor.at)
        now_ns += INTERVAL_NS * (1 + lost)
    return now_ns, levels


def test_an_easy_life_is_left_alone() -> None:
    governor = Governor()
    _, levels = run(governor, 60, lambda level: (0.5, 0), 0)
    assert set(levels) == {0}


def test_lost_frames_lower_the_work_within_seconds_and_it_comes_back() -> None:
    governor = Governor()
    now_ns, levels = run(governor, 10, lambda level: (0.95, 1) if level < 2 else (0.7, 0), 0)
    assert levels[-1] == 2
    assert levels.index(2) * INTERVAL_NS < 7e9
    _, levels = run(governor, 30, lambda level: (0.4, 0), now_ns)
    assert levels[-1] == 0
    assert governor.lowest == 2
    assert levels == sorted(levels, reverse=True)


def test_the_lowest_level_is_the_end() -> None:
    governor = Governor()
    _, levels = run(governor, 60, lambda level: (1.5, 3), 0)
    assert levels[-1] == len(LEVELS) - 1


def test_a_level_that_proves_too_much_is_tried_ever_more_rarely() -> None:
    governor = Governor()
    _, levels = run(governor, 600, lambda level: (0.98, 1) if level == 0 else (0.5, 0), 0)
    rises = sum(after < before for before, after in itertools.pairwise(levels))
    assert 2 <= rises <= 12  # with patience that stays at EASY_WINDOWS there would be a hundred
    assert MOST_EASY_WINDOWS > 8 * EASY_WINDOWS


def test_a_sleeping_computer_is_no_load() -> None:
    governor = Governor()
    now_ns, _ = run(governor, 5, lambda level: (0.5, 0), 0)
    for hour in range(1, 4):
        governor.frame(now_ns + hour * 3_600_000_000_000, 0, 50)
    assert governor.at == 0
