"""Frames leave at a steady pace, and none waits long."""

from __future__ import annotations

import numpy as np

from avatar.live.steady_pace import SteadyPace

INTERVAL_NS = 33_333_333
MOST_NS = INTERVAL_NS // 3


def test_uneven_work_becomes_an_even_pace() -> None:
    pace = SteadyPace(MOST_NS)
    delays_ns = np.random.default_rng(5).uniform(20e6, 28e6, 600).astype(int)
    left_ns = []
    for number, delay_ns in enumerate(delays_ns):
        capture_ns = number * INTERVAL_NS
        ready_ns = capture_ns + int(delay_ns)
        hold_ns = pace.hold_ns(capture_ns, ready_ns)
        assert 0 <= hold_ns <= MOST_NS
        left_ns.append(ready_ns + hold_ns)
    settled = slice(200, None)
    before = np.diff(np.arange(600) * INTERVAL_NS + delays_ns)[settled].std()
    assert np.diff(left_ns)[settled].std() < before / 3
    held = np.array(left_ns) - np.arange(600) * INTERVAL_NS
    assert np.median(held[settled]) < 28e6  # never later than the slowest frame


def test_after_a_pause_nothing_is_held_for_long() -> None:
    pace = SteadyPace(MOST_NS)
    for number in range(100):
        pace.hold_ns(number * INTERVAL_NS, number * INTERVAL_NS + 400_000_000)
    assert pace.hold_ns(10**12, 10**12 + 20_000_000) <= 500_000  # the slow time is forgotten at once
