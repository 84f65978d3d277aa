"""`make demo`: what a newcomer sees first."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import av
import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.e2e
def test_the_demo_shows_driver_avatar_and_portrait(tmp_path: Path) -> None:
    output = tmp_path / "demo.mp4"
    done = subprocess.run(
        [sys.executable, "scripts/demo.py", "--output", str(output)],
        cwd=ROOT, capture_output=True, text=True, timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "p99 ms" in done.stdout and "whole frame" in done.stdout
    with av.open(str(output)) as video:
        frames = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
    assert len(frames) == 120
    columns = [(frame[60:540, 20:500], frame[60:540, 544:1024], frame[60:540, 1068:1548]) for frame in frames[::20]]
    first = columns[0]
    for driver, avatar, portrait in columns[1:]:
        assert abs(driver.astype(int) - first[0]).mean() > 1  # he moves
        assert abs(avatar.astype(int) - first[1]).mean() > 1  # and so does she
        assert abs(portrait.astype(int) - first[2]).mean() < 1


@pytest.mark.e2e
def test_the_demo_refuses_what_it_cannot_use(tmp_path: Path) -> None:
    text = tmp_path / "me.jpg"
    text.write_text("not a picture")
    done = subprocess.run(
        [sys.executable, "scripts/demo.py", "--photo", str(text), "--output", str(tmp_path / "demo.mp4")],
        cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode in (1, 2)
    assert "me.jpg" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "demo.mp4").exists()
