"""Creeping figures are told from noise."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from avatar.core.errors import InputError
from avatar.live.latency import LatencyRecorder
from avatar.live.trace import Trace
from avatar.profiling.compare_profiles import differences, read_profile
from avatar.profiling.soak import slope

SECONDS = np.arange(3600.0)


def test_noise_is_flat_and_growth_is_not() -> None:
    noises = [25 + np.random.default_rng(seed).normal(0, 2, len(SECONDS)) for seed in range(20)]
    slopes = [slope("latency", "ms", SECONDS, noise) for noise in noises]
    assert sum(line.flat for line in slopes) >= 16  # nineteen of twenty, give or take
    assert all(abs(line.per_hour) < 1 for line in slopes)
    growing = slope("latency", "ms", SECONDS, noises[0] + SECONDS / 3600 * 5)
    assert not growing.flat
    assert growing.per_hour == pytest.approx(5, abs=1)


def test_a_few_wild_seconds_are_no_growth() -> None:
    values = np.full(len(SECONDS), 25.0) + np.random.default_rng(3).normal(0, 1, len(SECONDS))
    values[-60:] += 400
    assert abs(slope("latency", "ms", SECONDS, values).per_hour) < 2


def test_a_trace_holds_every_stage_with_its_thread(tmp_path: Path) -> None:
    recorder = LatencyRecorder(("render", "publish"))
    recorder.trace = Trace()
    for stage in ("render", "publish", "render"):
        with recorder.time(stage):
            pass
    assert recorder.trace.write(tmp_path / "trace.json") == 3
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    spans = [event for event in events if event["ph"] == "X"]
    assert [event["name"] for event in spans] == ["render", "publish", "render"]
    assert all(event["dur"] >= 0 and event["ts"] > 0 for event in spans)
    assert {event["tid"] for event in spans} == {event["tid"] for event in events if event["ph"] == "M"}


def saved(path: Path, fps: float) -> Path:
    stage = {"count": 9, "p50_ms": 20.0, "p95_ms": 30.0, "p99_ms": 40.0, "max_ms": 50.0}
    report = {
        "schema": 2, "stages": {"render": stage}, "fps": fps, "memory_mb": 400.0,
        "cpu": {"percent_of_one_core": 120.0}, "start_up_ms": {"total": 1500.0}, "glass_to_glass": None,
    }  # fmt: skip
    path.write_text(json.dumps(report))
    return path


def test_two_profiles_are_compared(tmp_path: Path) -> None:
    before, after = saved(tmp_path / "a.json", 15.0), saved(tmp_path / "b.json", 30.0)
    found = {row.what: row for row in differences(read_profile(before), read_profile(after))}
    assert found["rate"].ratio == 2.0
    assert found["render p50"].ratio == 1.0
    assert list(found)[:2] == ["render p50", "render p99"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": 1}', "\x00"])
def test_what_is_no_profile_is_refused_by_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(InputError, match=r"x\.json.*visavis profile"):
        read_profile(tmp_path / "x.json")
    with pytest.raises(InputError, match="Save one first"):
        read_profile(tmp_path / "missing.json")


def test_what_comes_and_goes_over_minutes_is_no_growth_and_what_grows_in_steps_is() -> None:
    rng = np.random.default_rng(4)

    def wandering() -> NDArray[np.float64]:
        shocks, values = rng.normal(0, 0.05, len(SECONDS)), np.zeros(len(SECONDS))
        for at in range(1, len(SECONDS)):
            values[at] = 0.995 * values[at - 1] + shocks[at]  # forgets in three minutes
        return values

    assert sum(slope("latency", "ms", SECONDS, wandering()).flat for _ in range(40)) >= 32
    leak = np.floor(SECONDS / 400)  # a megabyte at a time
    found = slope("memory", "MB", SECONDS, leak)
    assert not found.flat
    assert 8 < found.per_hour < 10
    once = np.where(SECONDS > 1000, 1.0, 0.0)  # a single step is no trend
    assert slope("memory", "MB", SECONDS, once).flat
