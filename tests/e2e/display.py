"""An X server without a screen."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SIZE = "900x700"


@contextmanager
def a_display() -> Iterator[str]:
    """Its name, for DISPLAY."""
    read_end, write_end = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write_end), "-screen", "0", f"{SIZE}x24"],
        pass_fds=[write_end],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(write_end)
    try:
        with os.fdopen(read_end) as pipe:
            yield f":{pipe.readline().strip()}"
    finally:
        server.terminate()
        server.wait(10)


def grab(display: str, path: Path) -> Path:
    """A picture of the whole display."""
    command = ["ffmpeg", "-v", "error", "-y", "-f", "x11grab", "-video_size", SIZE, "-i", display]
    subprocess.run([*command, "-frames:v", "1", str(path)], check=True)
    return path
