"""The preview window, on a real X server."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.e2e.display import a_display, grab
from tests.e2e.pipewire_session import wait_for
from tests.e2e.publish_pictures import BAR

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.realtime,
    pytest.mark.skipif(not (shutil.which("Xvfb") and shutil.which("ffmpeg")), reason="apt-get install xvfb ffmpeg"),
]


def red_px(display: str, path: Path) -> int:
    """How much of the display the bar of the pictures takes."""
    seen = np.asarray(Image.open(grab(display, path)).convert("RGB")).astype(int)
    return int((np.abs(seen - BAR).max(2) < 30).sum())


def test_the_window_shows_the_pictures_and_opens_again(tmp_path: Path) -> None:
    here, said = Path(__file__).parent, tmp_path / "said.txt"
    with a_display() as display:
        command = [sys.executable, str(here / "publish_pictures.py"), "preview", "320x240", "640x360"]
        environment = {**os.environ, "DISPLAY": display, "PYTHONPATH": str(here.parents[1])}
        environment.pop("WAYLAND_DISPLAY", None)
        with said.open("w") as out:
            program = subprocess.Popen(command, stdout=out, stderr=out, env=environment)
        try:
            wait_for(lambda: red_px(display, tmp_path / "1.png") > 320 * 240 / 8 * 0.5)
            program.send_signal(signal.SIGUSR1)
            wait_for(lambda: red_px(display, tmp_path / "2.png") > 640 * 360 / 8 * 0.5)  # the larger one
            program.terminate()
            assert program.wait(30) == 0, said.read_text()
        finally:
            program.kill()
