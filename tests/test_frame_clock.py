"""The time between frames: what is a step, and what was a pause."""

from __future__ import annotations

import pytest

from avatar.retarget.frame_clock import AFTER_PAUSE_S, FrameClock

SECOND_NS = 1_000_000_000


def test_steps_are_measured_from_frame_to_frame() -> None:
    clock = FrameClock()
    assert clock.tick(5 * SECOND_NS) == (0.0, False)
    assert clock.tick(5 * SECOND_NS + 40_000_000) == (0.04, False)
    assert clock.tick(5 * SECOND_NS + 40_000_000) == (0.0, False)


@pytest.mark.parametrize(("later_s", "step_s"), [(60, AFTER_PAUSE_S), (-60, 0.0)])
def test_a_pause_and_a_clip_that_starts_again_count_as_no_more_than_a_frame(later_s: int, step_s: float) -> None:
    clock = FrameClock()
    clock.tick(100 * SECOND_NS)
    assert clock.tick((100 + later_s) * SECOND_NS) == (step_s, True)
    assert clock.tick((100 + later_s) * SECOND_NS + 40_000_000) == (0.04, False)


def test_a_stopped_clock_makes_the_next_frame_one_after_a_pause() -> None:
    clock = FrameClock()
    clock.tick(0)
    clock.stop()
    assert clock.tick(30_000_000) == (0.03, True)
    assert clock.tick(60_000_000) == (0.03, False)
