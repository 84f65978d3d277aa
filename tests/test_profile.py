"""`visavis profile`: the figures add up, the JSON form is stable, and missed budgets are said."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from avatar.identity.bundle import save_avatar
from avatar.live.governor import DRAWN, TRACKED, Level
from avatar.live.latency import StageLatency
from avatar.live.live_report import CAPTURE_TO_PUBLISHED, STAGES, LiveReport
from avatar.profiling.profile import Budget, budgets
from avatar.sources.portrait_camera import PortraitCamera
from avatar.tracking.caged_tracker import CagedTracker
from avatar.tracking.model_asset import tracker_model
from engines.backends import BACKENDS
from tests.clips import astronaut_avatar, face_clip

pytestmark = pytest.mark.realtime


def command(tmp_path: Path, *options: str) -> subprocess.CompletedProcess[str]:
    save_avatar(astronaut_avatar(), tmp_path / "astronaut.avatar")
    words = [sys.executable, "-m", "avatar.cli.main", "profile", str(tmp_path / "astronaut.avatar"), *options]
    return subprocess.run(words, capture_output=True, text=True, check=True, timeout=120)


@pytest.mark.e2e
def test_the_json_form(tmp_path: Path) -> None:
    report = json.loads(command(tmp_path, "--seconds", "3", "--json").stdout)
    assert list(report) == [
        "schema", "avatar", "camera", "size", "engine", "start_up_ms", "stages", "fps", "seconds", "frames", "idled",
        "drops", "governor", "glass_to_glass", "minutes", "slopes", "cpu", "core_ms", "memory_mb", "budgets",
    ]  # fmt: skip
    assert report["schema"] == 2
    assert set(report["stages"]) == set(STAGES)
    for line in report["stages"].values():
        assert list(line) == ["count", "p50_ms", "p95_ms", "p99_ms", "max_ms"]
        assert 0 <= line["p50_ms"] <= line["p95_ms"] <= line["p99_ms"] <= line["max_ms"]
    stages, whole = report["stages"], report["stages"][CAPTURE_TO_PUBLISHED]
    assert stages["generator"]["p50_ms"] <= stages["render"]["p50_ms"] < whole["p50_ms"]
    assert whole["count"] == report["frames"]["published"] == pytest.approx(report["fps"] * report["seconds"], abs=1)
    assert report["frames"]["without_face"] == 0
    assert report["governor"]["level"] in {Level(share, every).name for share in DRAWN for every in TRACKED}
    assert set(report["governor"]) == {"level", "lowest", "short", "seconds"}
    assert report["engine"]["backend"] in BACKENDS
    assert 100 < report["memory_mb"] < 2000
    assert report["cpu"]["percent_of_one_core"] > 0
    assert {"face tracker", "avatar"} < set(report["core_ms"])
    whole_ms = 10 * report["cpu"]["percent_of_one_core"] / report["fps"]
    assert sum(report["core_ms"].values()) == pytest.approx(whole_ms, rel=0.4)  # of three seconds, not quite the same
    assert set(report["start_up_ms"]) == {"tracker", "engine", "framing and renderer", "first frame", "total"}
    assert {"what", "limit", "value", "unit", "at_least", "met"} == set(report["budgets"][0])


@pytest.mark.e2e
def test_a_soak_says_whether_anything_creeps_up_and_a_trace_shows_every_frame(tmp_path: Path) -> None:
    trace = tmp_path / "trace.json"
    report = json.loads(command(tmp_path, "--soak", "0.12", "--trace", str(trace), "--json").stdout)
    assert [line["unit"] for line in report["slopes"]] == ["ms", "MB", "files", "threads"]
    assert all(line["low"] <= line["per_hour"] <= line["high"] for line in report["slopes"])
    spans = [event for event in json.loads(trace.read_text())["traceEvents"] if event["ph"] == "X"]
    assert {"track", "render", "publish"} <= {event["name"] for event in spans}
    assert len({event["tid"] for event in spans}) == 3  # tracker, avatar and publisher overlap


@pytest.mark.e2e
def test_the_table_with_a_clip_as_the_camera(tmp_path: Path) -> None:
    clip = face_clip(tmp_path / "in.mp4", frames=20, fps=25)  # shorter than the measurement: it starts over
    printed = command(tmp_path, "--camera", str(clip), "--seconds", "2").stdout
    figures = ("fps", "CPU", "memory", "dropped", "budget")
    for words in (*STAGES, *figures, "generator.onnx runs on ", "in.mp4 (25 fps)"):
        assert words in printed
    assert "missed:" in printed or "every budget is met" in printed


def report(fps: float = 30.0, generator_ms: float = 10.0, path_ms: float = 30.0) -> LiveReport:
    latency = {
        "generator": StageLatency(9, generator_ms, generator_ms, generator_ms, generator_ms),
        CAPTURE_TO_PUBLISHED: StageLatency(9, path_ms, path_ms, path_ms, path_ms),
    }
    return LiveReport(9, 9, 0, 9, 0, fps, 1.0, {}, latency, 100.0, "full", "full", "", {}, False)


def test_budgets_that_are_missed_are_said() -> None:
    assert all(budget.met for budget in budgets(report(), 30.0, 2000, 500))
    missed = budgets(report(fps=20.0, generator_ms=12.1, path_ms=50.0), 30.0, 3100, 701)
    assert [budget.what for budget in missed if budget.met] == ["capture → published (p99)"]
    # a camera of 25 fps cannot be asked for 30
    assert all(budget.met for budget in budgets(report(fps=24.9), 25.0, 2000, 500))
    assert not Budget("rate", 29.5, 29.4, "fps", at_least=True).met


def test_the_portrait_camera_shows_a_face_that_moves() -> None:
    camera = PortraitCamera(astronaut_avatar().portraits[0], fps=30)
    places = []
    with CagedTracker(tracker_model(), "video", patient=True) as tracker:
        for _ in range(25):
            frame = camera.read()
            assert frame is not None
            assert frame.rgb.shape == (480, 640, 3)
            state = tracker.track(frame.rgb, frame.capture_ns)
            assert state.found
            places.append(state.landmarks.mean(0))
    assert np.ptp(np.array(places), axis=0)[:2].max() > 5
