"""`make demo`: what a newcomer sees first."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from avatar.core.arrays import Picture

ROOT = Path(__file__).parents[2]


@pytest.mark.e2e
def test_the_demo_shows_driver_mona_lisa_and_astronaut(tmp_path: Path) -> None:
    for driver, painting, photo in changes(demo(tmp_path)):
        assert driver > 1  # he moves
        assert painting > 1 and photo > 1  # and so do they


@pytest.mark.e2e
def test_the_demo_shows_driver_avatar_and_portrait(tmp_path: Path) -> None:
    for driver, avatar, portrait in changes(demo(tmp_path, "--photo", "scripts/portraits/mona_lisa.jpg")):
        assert driver > 1 and avatar > 1
        assert portrait < 1


def demo(folder: Path, *arguments: str) -> list[Picture]:
    """The frames of the video that is written."""
    output = folder / "demo.mp4"
    done = subprocess.run(
        [sys.executable, "scripts/demo.py", "--output", str(output), *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "p99 ms" in done.stdout and "whole frame" in done.stdout
    with av.open(str(output)) as video:
        frames = [np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in video.decode(video=0)]
    assert len(frames) == 120
    return frames


def changes(frames: list[Picture]) -> Iterator[tuple[float, ...]]:
    """Mean difference of each column from the first frame's, of 255, for every twentieth frame."""
    columns = [(frame[60:540, 20:500], frame[60:540, 544:1024], frame[60:540, 1068:1548]) for frame in frames[::20]]
    for later in columns[1:]:
        yield tuple(float(abs(now.astype(int) - first).mean()) for now, first in zip(later, columns[0], strict=True))


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
