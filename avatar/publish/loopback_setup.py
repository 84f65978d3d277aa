"""A virtual camera without a terminal: pip brings pyvirtualcam, and polkit's pkexec asks for the password in a window.

Sources: pkexec(1), for its exit codes and its words; what apt-get, dnf, pacman and modprobe say where they fail.
"""

from __future__ import annotations

import importlib
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec

from avatar.core.errors import DeviceError
from avatar.core.plain_text import plain_text
from avatar.publish.advice import CAMERA_NAME, RPM_FUSION, loopback_commands

LIMIT_S = 900.0  # a slow computer builds the module for minutes
DISMISSED = 126
_PIP = (sys.executable, "-P", "-m", "pip", "install", "visavis[camera]")  # -P: no pip.py of the working folder

_WHY = {
    "akmods": "builds it for this kernel",
    "modprobe": f"switches it on, as a camera named “{CAMERA_NAME}”, until the computer is restarted",
}
# words of what failed → what to do; the first that fits
_FAULTS: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        ("No authentication agent", "Error getting authority"),
        "No window asked for the password, as this session has nothing that would: type the commands in a terminal.",
    ),
    (("Not authorized",), "This user may not become the administrator here: ask who may to type the commands."),
    (
        ("Key was rejected", "Required key not available"),
        "Secure Boot refuses the driver, which was built here: enrol its key by mokutil, or use PipeWire’s camera.",
    ),
    (("No match for argument", "Unable to find a match"), f"Fedora keeps it in RPM Fusion: add that from {RPM_FUSION}"),
    (
        ("Could not get lock", "unable to lock database", "is another process using it", "Waiting for process"),
        "Another program is installing something: wait until it has ended, then press again.",
    ),
    (
        (
            "resolving",
            "Could not resolve",
            "Couldn't resolve",
            "Failed to fetch",
            "failed retrieving",
            "Failed to establish a new connection",
            "NameResolutionError",
        ),
        "What is to be installed could not be fetched: check the network, then press again.",
    ),
    (
        ("externally-managed-environment",),
        "This Python belongs to the system, which lets pip add nothing: install visavis in an environment of its own.",
    ),
    (
        ("not found in directory", "Unable to locate package linux-headers", "target not found: linux-headers"),
        "There is no driver for the kernel that runs: install the updates, restart the computer, then press again.",
    ),
)


@dataclass(frozen=True, slots=True)
class Step:
    """One command, as it is shown to the person who is asked."""

    run: str
    why: str
    root: bool = True


def lacks_pyvirtualcam() -> bool:
    """By which visavis writes to v4l2loopback; installed only by whoever asks for it, as it is under the GPL."""
    return find_spec("pyvirtualcam") is None


def steps() -> list[Step]:
    """What is still to be run; nothing where all is there, and where nobody knows this system."""
    installs = "installs v4l2loopback, the driver for virtual cameras"
    found = [Step(line, _WHY.get(line.split()[0], installs)) for line in loopback_commands() or ()]
    if lacks_pyvirtualcam():
        why = "brings pyvirtualcam (GPL-2.0), by which visavis writes to it, into visavis’ own Python"
        found.insert(0, Step(shlex.join(_PIP), why, root=False))
    return found


def why_not_asked() -> str:
    """Why the steps cannot be run at a press; "" where they can."""
    if lacks_pyvirtualcam() and not _has_pip():
        return (
            "visavis lacks pyvirtualcam, by which it writes to virtual cameras, and its Python has no pip to bring it."
        )
    if loopback_commands() and shutil.which("pkexec") is None:
        return "This computer has no pkexec, which would ask for the administrator’s password in a window."
    return ""


def run_steps(wanted: Sequence[Step]) -> None:
    """Run the commands one after the other; for those of root, ask for the password once. Blocks for minutes.

    Raises DeviceError, in one sentence, where it was refused or a command failed.
    """
    for step in wanted:
        if not step.root:
            _run(shlex.split(step.run))
            importlib.invalidate_caches()
    script = "\n".join(step.run for step in wanted if step.root)
    if script:
        # the internal agent would ask in the terminal, which nobody looks at
        pkexec = ["pkexec", "--disable-internal-agent", "/usr/bin/env", "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive"]
        _run([*pkexec, "/bin/sh", "-ec", script])


def _has_pip() -> bool:
    """And visavis is installed: else pip would look for a package of its name."""
    try:
        distribution("visavis")
    except PackageNotFoundError:
        return False
    return find_spec("pip") is not None


def _run(command: Sequence[str]) -> None:
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise DeviceError(f"It had not ended after {LIMIT_S / 60:.0f} minutes: type the commands instead.") from error
    except OSError as error:
        raise DeviceError(f"{command[0]} cannot be started ({error.strerror}): type the commands instead.") from error
    if done.returncode:
        raise DeviceError(_fault(done.returncode, done.stdout))


def _fault(code: int, said: str) -> str:
    """One sentence: what went wrong, and what to do."""
    if code == DISMISSED and "dismissed" in said:
        return "The password was not given, so nothing was changed: press again if you want the camera."
    known = next((sentence for words, sentence in _FAULTS if any(word in said for word in words)), None)
    if known is not None:
        return known
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    last = plain_text(lines[-1], 200) if lines else f"it ended with {code}"
    return f"It did not work ({last}): type the commands in a terminal to see more."
