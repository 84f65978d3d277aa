"""The latency table: exact percentiles, bounded memory."""

import numpy as np
import pytest

from avatar.live import latency
from avatar.live.latency import LatencyRecorder


def test_percentiles_and_maximum() -> None:
    recorder = LatencyRecorder(("render", "publish"))
    for duration_ms in range(1, 1001):
        recorder.record("render", float(duration_ms))
    line = recorder.table()["render"]
    assert line.count == 1000
    assert (line.p50_ms, line.p95_ms, line.p99_ms) == pytest.approx((500.5, 950.05, 990.01), abs=0.01)
    assert line.max_ms == 1000


def test_stages_come_in_the_order_of_the_way_and_unseen_ones_are_left_out() -> None:
    recorder = LatencyRecorder(("track", "render", "publish"))
    recorder.record("publish", 1.0)
    recorder.record("track", 1.0)
    assert list(recorder.table()) == ["track", "publish"]


def test_memory_is_bounded_and_the_newest_samples_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency, "KEPT", 512)
    recorder = LatencyRecorder(("render",))
    recorder.record("render", 9999.0)
    for _ in range(5000):
        recorder.record("render", 7.0)
    line = recorder.table()["render"]
    assert len(recorder._samples["render"]) == 512
    assert (line.count, line.p99_ms, line.max_ms) == (5001, 7.0, 9999.0)


def test_a_failed_stage_is_not_recorded() -> None:
    recorder = LatencyRecorder(("render",))
    with pytest.raises(ValueError, match="no"), recorder.time("render"):
        raise ValueError("no")
    assert recorder.table() == {}


def test_reset_forgets() -> None:
    recorder = LatencyRecorder(("render",))
    for duration_ms in np.linspace(1, 2, 300):
        recorder.record("render", float(duration_ms))
    recorder.reset()
    assert recorder.table() == {}
