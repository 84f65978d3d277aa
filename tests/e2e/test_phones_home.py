"""What the kernel sees of the commands: no name is looked up, no address is called, and nothing is written elsewhere.

Each command runs in a home folder of its own, with its network (VISAVIS_ALLOW_NETWORK), and without the variables by
which ONNX Runtime would keep quiet in a test: what keeps it quiet must be ours.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

import pytest

from avatar.identity.bundle import save_avatar
from avatar.sandbox.no_network import ALLOW_VARIABLE
from avatar.tracking.model_asset import tracker_model
from tests.clips import astronaut_avatar, moving_face, write_clip
from tests.portraits import astronaut, save

STRACE = shutil.which("strace")
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(600),
    pytest.mark.skipif(STRACE is None, reason="strace is not installed: sudo apt-get install strace"),
]
REACHING = "connect,sendto,sendmsg,sendmmsg"
WRITING = "open,openat,openat2,creat,mkdir,mkdirat,rename,renameat,renameat2,link,linkat,symlink,symlinkat"
QUIET = ("CI", "ORT_RUNNING_UNIT_TESTS", "ORT_DISABLE_TELEMETRY")
RESOLVERS = re.compile(r"nscd/socket|systemd/resolve|avahi|dbus")  # who look up names for others
ADDRESS = re.compile(r'sin_addr=inet_addr\("([^"]+)"\)|inet_pton\(AF_INET6, "([^"]+)"')
QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
DEVICES = ("/dev/", "/proc/", "/sys/")


@dataclass(frozen=True)
class Place:
    """A home folder, and all that a command is told."""

    home: Path

    @property
    def work(self) -> Path:
        return self.home / "work"

    @property
    def temporary(self) -> Path:
        return self.home / "temporary"

    def environment(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("VISAVIS", "XDG")) and
                key not in QUIET}  # fmt: skip
        return kept | {
            "HOME": str(self.home), "TMPDIR": str(self.temporary), ALLOW_VARIABLE: "1",
            "VISAVIS_TRACKER_MODEL": str(tracker_model()), "PYTHONDONTWRITEBYTECODE": "1",
        }  # fmt: skip

    def documented(self, path: str) -> bool:
        """Whether a file there is one that the README tells of, one that was asked for, or a temporary one."""
        folders = [self.home / folder for folder in (".local/share/visavis", ".cache/visavis", "work", "temporary")]
        on_the_way = any(folder.is_relative_to(path) for folder in folders)
        return on_the_way or path.startswith(DEVICES) or any(Path(path).is_relative_to(folder) for folder in folders)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """With an enrolled avatar and a clip."""
    found = Place(tmp_path_factory.mktemp("home"))
    found.work.mkdir()
    found.temporary.mkdir()
    (avatars := found.home / ".local/share/visavis/avatars").mkdir(mode=0o700, parents=True)
    save_avatar(astronaut_avatar(), avatars / "anna.avatar")
    save(astronaut(), found.work / "photo.png")
    write_clip(found.work / "clip.mp4", (moving_face(index) for index in range(25)))
    yield found


def traced(place: Place, *arguments: str) -> list[str]:
    """The calls of `visavis ARGUMENTS` and of all that it starts, as strace prints them."""
    log = place.home.parent / f"{place.home.name}-{arguments[0]}.log"
    # quick, since only these calls are stopped at; one that a wall of ours refuses is not seen, and does not happen
    only = ["--seccomp-bpf", "-e", f"trace={REACHING},{WRITING}", "-e", "signal=none"]
    trace = [str(STRACE), "-f", "-qq", "-y", "-s", "256", *only]
    command = [*trace, "-o", str(log), sys.executable, "-m", "avatar.cli.main", *arguments]
    environment = place.environment() | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(command, cwd=place.work, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return log.read_text(errors="replace").splitlines()


def reached(calls: list[str]) -> list[str]:
    """Those by which somebody else than this computer was reached, or asked for a name."""
    found = []
    for call in calls:
        addresses = [ip_address(four or six) for four, six in ADDRESS.findall(call)]
        outside = any(not address.is_loopback for address in addresses) or "htons(53)" in call
        if (outside and "= -1 EACCES" not in call) or (RESOLVERS.search(call) and "connect(" in call):
            found.append(call)
    return found


def written(calls: list[str], place: Place) -> set[str]:
    """The files that were made, opened for writing or renamed, where none is expected."""
    found = set()
    for call in calls:
        if re.search(r"= -1 E[A-Z]+", call) or ("open" in call and not re.search(r"O_WRONLY|O_RDWR|O_CREAT", call)):
            continue
        if not re.search(r"\b(open\w*|creat|mkdir\w*|rename\w*|link\w*|symlink\w*)\(", call):
            continue
        opened = re.search(r"= \d+<(/[^>]*)>", call)
        names = [opened[1]] if opened else [name for name in QUOTED.findall(call) if name.startswith("/")]
        found |= {name for name in names if not place.documented(name) and "(deleted)" not in name}
    return found


COMMANDS = {
    "enroll": ["enroll", "photo.png", "--name", "berta"],
    "engines": ["engines", "measure"],
    "drive": ["drive", "anna", "--input", "clip.mp4", "--output", "out.mp4"],
    "live": ["live", "anna", "--camera", "clip.mp4", "--to", "live.mp4"],
    "call": ["call", "anna", "--camera", "clip.mp4", "--loop", "--seconds", "3"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_no_command_reaches_out_or_leaves_anything_elsewhere(name: str, place: Place) -> None:
    calls = traced(place, *COMMANDS[name])
    assert reached(calls) == []
    assert written(calls, place) == set()


def test_without_our_word_the_runtime_would_keep_a_device_id(place: Place, tmp_path: Path) -> None:
    """The control: what is refused is really there in the installed version."""
    environment = place.environment() | {"HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", "import onnxruntime"], env=environment, check=True, timeout=100)
    assert list((tmp_path / ".cache" / "Microsoft").rglob("deviceid"))
    ours = "from engines.quiet_onnxruntime import onnxruntime"
    subprocess.run(
        [sys.executable, "-c", ours],
        env=environment | {"HOME": str(tmp_path / "ours"), "ORT_DISABLE_TELEMETRY": "0"},
        cwd=Path(__file__).parents[2],
        check=True,
        timeout=100,
    )
    assert not (tmp_path / "ours" / ".cache").exists()
