"""Which operating system this is, and the system libraries that MediaPipe loads. Standard library only: set-up runs it.

`python -m avatar.core.system` prints the packages that are missing here, one a line, and nothing when all are there.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Family = Literal["debian", "fedora", "arch", "linux", "windows", "macos"]

_FAMILY_OF_ID: dict[str, Family] = {
    "debian": "debian",
    "ubuntu": "debian",
    "fedora": "fedora",
    "rhel": "fedora",
    "arch": "arch",
}
_INSTALL: dict[Family, str] = {
    "debian": "sudo apt-get install",
    "fedora": "sudo dnf install",
    "arch": "sudo pacman -S",
}


@dataclass(frozen=True, slots=True)
class SystemLibrary:
    """A shared library that Linux distributions package apart, and who needs it."""

    soname: str
    needed_by: str
    packages: dict[Family, str]

    def loads(self) -> bool:
        try:
            ctypes.CDLL(self.soname)
        except OSError:
            return False
        return True


# MediaPipe opens EGL and GLES even on the CPU; the others belong to the OpenCV that it depends on
SYSTEM_LIBRARIES = (
    SystemLibrary("libEGL.so.1", "MediaPipe", {"debian": "libegl1", "fedora": "libglvnd-egl", "arch": "libglvnd"}),
    SystemLibrary("libGLESv2.so.2", "MediaPipe", {"debian": "libgles2", "fedora": "libglvnd-gles", "arch": "libglvnd"}),
    SystemLibrary("libGL.so.1", "OpenCV", {"debian": "libgl1", "fedora": "libglvnd-glx", "arch": "libglvnd"}),
    SystemLibrary("libgthread-2.0.so.0", "OpenCV", {"debian": "libglib2.0-0", "fedora": "glib2", "arch": "glib2"}),
    SystemLibrary("libxcb.so.1", "OpenCV", {"debian": "libxcb1", "fedora": "libxcb", "arch": "libxcb"}),
)


def system_family(os_release: Path = Path("/etc/os-release"), platform: str = sys.platform) -> Family:
    """The family whose package manager applies; "linux" where the distribution is none of the three known ones.

    Source: https://www.freedesktop.org/software/systemd/man/os-release.html (ID, then ID_LIKE from near to far).
    """
    if platform == "win32":
        return "windows"
    if platform == "darwin":
        return "macos"
    try:
        lines = os_release.read_text(encoding="utf-8").splitlines()
    except OSError:
        return "linux"
    fields = dict(line.split("=", 1) for line in lines if "=" in line)
    ids = " ".join(fields.get(key, "").strip("\"'") for key in ("ID", "ID_LIKE")).split()
    return next((_FAMILY_OF_ID[name] for name in ids if name in _FAMILY_OF_ID), "linux")


def missing_libraries(libraries: Sequence[SystemLibrary] = SYSTEM_LIBRARIES) -> list[SystemLibrary]:
    """Those that the loader cannot open. Always empty on Windows and macOS, whose wheels bring their own."""
    return [library for library in libraries if not library.loads()] if sys.platform.startswith("linux") else []


def packages_of(libraries: Sequence[SystemLibrary], family: Family) -> list[str]:
    """The distribution's package names, each once; the sonames where the distribution is not known."""
    return list(dict.fromkeys(library.packages.get(family, library.soname) for library in libraries))


def install_command(libraries: Sequence[SystemLibrary], family: Family) -> str:
    """The command that brings the libraries on this system."""
    packages = " ".join(packages_of(libraries, family))
    if family in _INSTALL:
        return f"{_INSTALL[family]} {packages}"
    return f"install, with your distribution's package manager, what holds {packages}"


if __name__ == "__main__":
    print(*packages_of(missing_libraries(), system_family()), sep="\n", end="")
