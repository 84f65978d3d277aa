"""The One-Euro filter (CHI 2012): its lag is what its documentation says, and it never remembers too much."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from avatar.face.one_euro import OneEuroFilter


def ramp_lag_s(smooth: OneEuroFilter, speed: float, fps: float) -> float:
    """How far behind a steady motion the filter trails, once settled."""
    times = np.arange(0, 8, 1 / fps)
    out = [float(smooth(np.array([speed * t]), t)[0]) for t in times]
    return float(times[-1] - out[-1] / speed)


@pytest.mark.parametrize("fps", [15.0, 30.0, 120.0])
@pytest.mark.parametrize(("speed", "lag_ms"), [(0.0001, 53), (0.25, 20), (1.0, 7)])
def test_lag_at_rest_and_at_speed_is_the_documented_one(fps: float, speed: float, lag_ms: float) -> None:
    # float32 resolves a slow ramp to some microseconds
    assert ramp_lag_s(OneEuroFilter(), speed, fps) * 1000 == pytest.approx(lag_ms, abs=0.6)


def test_jitter_at_rest_is_reduced() -> None:
    noise = np.random.default_rng(0).normal(0, 0.001, (300, 478, 3))
    smooth = OneEuroFilter()
    out = np.stack([smooth(frame, i / 30) for i, frame in enumerate(noise)])
    assert out.shape == noise.shape
    assert out.dtype == np.float32
    assert out[30:].std() < 0.6 * noise[30:].std()


def test_each_element_is_filtered_by_itself() -> None:
    both, alone = OneEuroFilter(), OneEuroFilter()
    for i in range(60):
        together = both(np.array([i / 60, 0.5]), i / 30)
        single = alone(np.array([i / 60]), i / 30)
        assert together[0] == single[0]
        assert together[1] == pytest.approx(0.5)


def test_first_value_and_the_one_after_a_reset_pass_unchanged() -> None:
    smooth = OneEuroFilter()
    assert smooth(np.array([0.3]), 5.0)[0] == np.float32(0.3)
    smooth(np.array([0.4]), 5.1)
    smooth.reset()
    assert smooth(np.array([0.9]), 5.2)[0] == np.float32(0.9)


def test_time_that_stands_still_or_goes_back_is_safe() -> None:
    smooth = OneEuroFilter()
    smooth(np.array([0.0]), 10.0)
    second = smooth(np.array([1.0]), 10.033)
    assert 0 < second[0] < 1
    assert smooth(np.array([55.0]), 10.033) == second  # the same time again: no division by zero, no new value
    assert smooth(np.array([7.0]), 3.0)[0] == 7.0  # a clip that starts again
    assert np.isfinite(smooth(np.array([8.0]), 3.033)).all()


def test_another_shape_starts_afresh() -> None:
    smooth = OneEuroFilter()
    smooth(np.zeros(3), 0.0)
    assert np.array_equal(smooth(np.ones((2, 2)), 0.1), np.ones((2, 2)))


def test_a_caller_that_changes_its_array_does_not_change_the_past() -> None:
    smooth, values = OneEuroFilter(), np.zeros(1)
    smooth(values, 0.0)
    values[0] = 100.0
    assert smooth(np.zeros(1), 0.1)[0] == 0.0


def test_a_group_rests_lower_and_starts_sooner_than_its_points_alone() -> None:
    """Noise is each point's own, motion is shared: less jitter at rest, and less lag when all of them move."""
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.002, (120, 300))
    path = np.concatenate([np.zeros(60), np.linspace(0, 1, 12), np.ones(48)])
    alone = OneEuroFilter(4.0, 12.0)
    together = OneEuroFilter(0.8, 120.0, 3.0, 0.05, np.zeros(300, int))
    out = [np.stack([calm(noise[i] + path[i], i / 30) for i in range(120)]) for calm in (alone, together)]
    rest = [frames[20:60].std() for frames in out]
    behind = [float(np.abs(frames[60:72].mean(1) - path[60:72]).mean()) for frames in out]
    assert rest[1] < 0.75 * rest[0]
    assert behind[1] < 0.75 * behind[0]


def test_groups_do_not_disturb_each_other() -> None:
    smooth = OneEuroFilter(1.0, 50.0, 3.0, 0.0, np.array([0, 1]))
    alone = OneEuroFilter(1.0, 50.0, 3.0)
    for i in range(30):
        both, single = smooth(np.array([i / 30, 0.5]), i / 30), alone(np.array([i / 30]), i / 30)
        assert both[0] == pytest.approx(single[0])
        assert both[1] == 0.5


@pytest.mark.parametrize(
    "impossible",
    [
        partial(OneEuroFilter, min_cutoff_hz=0.0),
        partial(OneEuroFilter, beta=-1.0),
        partial(OneEuroFilter, derivative_cutoff_hz=0.0),
        partial(OneEuroFilter, rest_speed=-1.0),
    ],
)
def test_impossible_parameters_are_refused(impossible: Callable[[], OneEuroFilter]) -> None:
    with pytest.raises(ValueError, match="must"):
        impossible()
