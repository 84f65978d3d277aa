"""What the kernel sees: MediaPipe reaches for the network, and from the cage nothing gets out."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from avatar.sandbox.no_network import ALLOW_VARIABLE
from avatar.tracking.model_asset import tracker_model
from tests.clips import face_clip
from tests.portraits import astronaut, save

STRACE = shutil.which("strace")
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(STRACE is None, reason="strace is not installed: sudo apt-get install strace"),
]
# the calls by which a process gets at a network, or at another process that has one
CALLS = "socket,connect,bind,sendto,sendmsg,sendmmsg,io_uring_setup,io_uring_enter,pidfd_getfd,ptrace"
INTERNET = re.compile(r"AF_INET6?\b")
IN_THE_CAGE = """
    import time
    from pathlib import Path
    import numpy as np
    from avatar.tracking.caged_tracker import CagedTracker
    with CagedTracker(Path({model!r})) as tracker:
        for number in range(60):
            tracker.track(np.zeros((48, 64, 3), np.uint8), number * 50_000_000)
            time.sleep(0.03)
        assert tracker.restarts == 0
"""
# MediaPipe uploads every half minute, and when it is closed: the cage is killed before, so this is without one
AND_CLOSED = """
    import time
    from pathlib import Path
    import numpy as np
    from avatar.tracking.child.face_landmarker import FaceTracker
    from avatar.tracking.child.walls import wall_in
    assert not {refuse} or wall_in(Path({model!r})).network is None
    with FaceTracker(Path({model!r})) as tracker:
        tracker.track(np.zeros((48, 64, 3), np.uint8), 0)
    time.sleep(1)
"""


def traced(command: list[str], log: Path, **variables: str) -> list[str]:
    """What a program, its threads and its children asked of the kernel. A call that was interrupted is joined again."""
    trace = [str(STRACE), "-f", "-qq", "-yy", "-s", "64", "-e", f"trace={CALLS}", "-e", "signal=none", "-o", str(log)]
    environment = {key: value for key, value in os.environ.items() if key != ALLOW_VARIABLE} | variables
    done = subprocess.run([*trace, *command], env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    assert "stay reachable" not in done.stderr
    begun: dict[str, str] = {}
    whole: list[str] = []
    for line in log.read_text(errors="replace").splitlines():
        process, _, call = line.partition(" ")
        if "<unfinished ...>" in call:
            begun[process] = call.partition(" <unfinished")[0]
            continue
        if "resumed>" in call:
            call = begun.pop(process, "") + call.partition("resumed>")[2]
        whole.append(call.strip())
    named = re.compile(rf"({CALLS.replace(',', '|')})\(")
    return [call for call in [*whole, *begun.values()] if named.match(call)]


def program(code: str, **values: object) -> list[str]:
    return [sys.executable, "-c", textwrap.dedent(code).format(model=str(tracker_model()), **values)]


def tried(calls: list[str]) -> list[str]:
    """To reach the internet."""
    return [call for call in calls if INTERNET.search(call)]


def succeeded(calls: list[str]) -> list[str]:
    return [call for call in calls if not re.search(r"= -1 E[A-Z]+", call)]


@pytest.mark.parametrize("variables", [{}, {ALLOW_VARIABLE: "1"}], ids=["", ALLOW_VARIABLE])
def test_from_the_cage_nothing_leaves(tmp_path: Path, variables: dict[str, str]) -> None:
    calls = traced(program(IN_THE_CAGE), tmp_path / "log", **variables)
    assert tried(calls)
    assert succeeded(calls) == []  # not even to a daemon of this computer, which would look up names for it


def test_who_builds_data_sets_looks_at_faces_in_the_cage_too(tmp_path: Path) -> None:
    (tmp_path / "faces").mkdir()
    for number in range(2):
        save(astronaut(), tmp_path / "faces" / f"{number}.png")
    face_clip(tmp_path / "faces" / "2.mp4", frames=12)
    command = [sys.executable, "-m", "avatar.cli.main", "dataset", "build", str(tmp_path / "faces"), "--workers", "1"]
    calls = traced([*command, "--out", str(tmp_path / "out")], tmp_path / "log", **{ALLOW_VARIABLE: "1"})
    assert tried(calls)  # by MediaPipe, in its cages
    assert succeeded(tried(calls)) == []


def test_without_the_cage_mediapipe_calls_home(tmp_path: Path) -> None:
    calls = traced(program(AND_CLOSED, refuse=False), tmp_path / "log")
    out = succeeded(tried(calls))
    assert any(call.startswith("socket(") for call in out)
    assert any(call.startswith("connect(") for call in tried(calls)), calls


def test_what_it_sends_when_it_is_closed_is_refused_too(tmp_path: Path) -> None:
    calls = traced(program(AND_CLOSED, refuse=True), tmp_path / "log")
    assert len(tried(calls)) > 1
    assert succeeded(calls) == []


def test_the_cage_writes_nothing_and_starts_no_program(tmp_path: Path) -> None:
    log = tmp_path / "log"
    trace = [str(STRACE), "-D", "-f", "-q", "-e", "trace=open,openat,execve,fork,vfork,clone", "-o", str(log)]
    code = f"from avatar.tracking import cage_process\ncage_process.CAGE[:0] = {trace}\n"
    subprocess.run([sys.executable, "-c", code + program(IN_THE_CAGE)[2]], check=True, timeout=200)
    while "+++ killed by SIGKILL" not in log.read_text(errors="replace"):  # it was closed; strace may still be writing
        time.sleep(0.1)
    done = succeeded(log.read_text(errors="replace").splitlines())
    assert len([call for call in done if "execve(" in call]) == 1  # its own
    assert all("CLONE_THREAD" in call for call in done if "clone(" in call)
    assert not [call for call in done if "fork(" in call]
    written = [call for call in done if re.search(r"O_WRONLY|O_RDWR|O_CREAT", call)]
    assert written and all('"/dev/null"' in call for call in written)


def test_a_whole_command_lets_nothing_out(tmp_path: Path) -> None:
    photo = save(astronaut(), tmp_path / "photo.png")
    command = [sys.executable, "-m", "avatar.cli.main", "enroll", str(photo), "--name", "anna"]
    calls = traced(command, tmp_path / "log", VISAVIS_HOME=str(tmp_path))
    assert tried(calls)
    assert succeeded(tried(calls)) == []
