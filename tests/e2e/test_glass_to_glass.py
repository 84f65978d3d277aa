"""The benchmark of calls is exact: a delay that is known is found again, to within a picture."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from avatar.identity.bundle import save_avatar
from benchmarks.calls import Trip, begin, measured, placed_call
from tests.clips import astronaut_avatar

pytest.importorskip("playwright.sync_api")
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.realtime,
    pytest.mark.skipif(not Path("/usr/bin/chromium").exists(), reason="no Chromium: apt-get install chromium"),
]
HELD_MS, PICTURE_MS = 200.0, 1000 / 30


def test_a_known_delay_is_found(tmp_path: Path) -> None:
    avatar = tmp_path / "ada.avatar"
    save_avatar(astronaut_avatar(), avatar)
    trips: dict[float, list[Trip]] = {0.0: [], HELD_MS: []}
    with placed_call(str(avatar), None, ["--engine", "onnxruntime"]) as (host, pages, _):
        for delay_ms in (0.0, HELD_MS, 0.0, HELD_MS):  # in turn: what else the computer does hits both
            host.hold(delay_ms)
            pages.wait(1)
            pages.take()
            trip = begin(host, pages)
            for _second in measured(host, pages, trip, 3, threading.Event()):
                pass
            trips[delay_ms].append(trip)
    samples = {delay_ms: [sample for trip in both for sample in trip.samples] for delay_ms, both in trips.items()}
    if min(len(found) for found in samples.values()) < 60:
        pytest.skip("this computer is too busy to show ten pictures a second")
    glass_ms = {delay_ms: np.median([sample.glass_ms for sample in found]) for delay_ms, found in samples.items()}
    print("glass to glass by what was added:", glass_ms)
    assert abs(glass_ms[HELD_MS] - glass_ms[0.0] - HELD_MS) < PICTURE_MS
    for found in samples.values():
        parts = np.array([[s.arrived_ms, s.own_ms, s.sent_ms, s.shown_ms, s.glass_ms] for s in found])
        parts = parts[np.isfinite(parts).all(1)]
        assert len(parts) > len(found) / 2 and (np.median(parts, 0) > 0).all()
