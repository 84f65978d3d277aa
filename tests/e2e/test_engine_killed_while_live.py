"""An engine that dies in the middle of a call: the picture goes on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from avatar.identity.bundle import save_avatar
from engines.resilient import FAIL_VARIABLE
from tests.clips import astronaut_avatar, face_clip, read_times
from tests.networks import needs_openvino

pytestmark = [pytest.mark.e2e, pytest.mark.realtime]
FRAMES, FPS = 120, 15


@needs_openvino
def test_live_goes_on_with_the_next_engine(tmp_path: Path) -> None:
    bundle, output = tmp_path / "astronaut.avatar", tmp_path / "out.mp4"
    save_avatar(astronaut_avatar(), bundle)
    clip = face_clip(tmp_path / "in.mp4", frames=FRAMES, fps=FPS)
    done = subprocess.run(
        [sys.executable, "-m", "avatar.cli.main", "live", bundle, "--camera", clip, "--to", output, "--json"],
        env=os.environ | {FAIL_VARIABLE: "20", "COLUMNS": "500", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stderr.splitlines() if "runs from here on" in line]
    assert len(said) == 1 and f"{FAIL_VARIABLE} asked for it" in said[0], done.stderr
    report = json.loads(done.stdout)
    times = read_times(output)
    assert len(times) == report["published"] > 25  # more than until the failure
    assert times[-1] - times[0] == pytest.approx((FRAMES - 1) / FPS, abs=0.3)  # to the end of the clip
    assert any("failed while running" in why for why in report["engine"]["passed_over"].values())
