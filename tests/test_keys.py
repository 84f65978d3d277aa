"""Keys reach the running command without Return, and the terminal is as before afterwards."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time

import pytest

PROGRAM = """
import sys, time
from avatar.cli.keys import listening
ended = []
with listening({"a": lambda: print("pressed a", flush=True), "q": lambda: ended.append(1)}) as there:
    print("terminal", there, flush=True)
    while there and not ended:
        time.sleep(0.05)
print("done", flush=True)
"""


def test_a_terminal_gives_its_keys() -> None:
    import termios

    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    program = subprocess.Popen([sys.executable, "-c", PROGRAM], stdin=theirs, stdout=theirs, stderr=theirs)
    seen = b""
    deadline = time.monotonic() + 60

    def wait_for(word: bytes) -> None:
        nonlocal seen
        while word not in seen:
            ready, _, _ = select.select([ours], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"{word!r} did not come after {seen!r}"
            seen += os.read(ours, 1000)

    wait_for(b"terminal True")
    os.write(ours, b"xa")
    wait_for(b"pressed a")
    os.write(ours, b"q")
    wait_for(b"done")
    assert program.wait(20) == 0
    assert termios.tcgetattr(theirs) == before
    os.close(ours)
    os.close(theirs)


def test_without_a_terminal_there_are_none() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.split() == ["terminal", "False", "done"], done.stderr


pytestmark = [
    pytest.mark.realtime,
    pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are of Unix"),
]
