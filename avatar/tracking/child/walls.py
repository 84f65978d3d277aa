"""What MediaPipe is left with in a process of its own: code, its model, and what says which processor this is."""

from __future__ import annotations

import importlib.util
import os
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from avatar.core.paths import home_path
from avatar.sandbox.confinement import Confinement, confine, why_files_stay_open
from avatar.sandbox.seccomp import why_not_refusable

# Beside Python's own folders. /etc/ld.so.cache names the libraries; the processor's caches size the networks' tiles
_SYSTEM = (
    "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/local/lib64", "/nix/store", "/gnu/store",
    "/run/opengl-driver/lib", "/etc/ld.so.cache", "/etc/localtime", "/proc/cpuinfo", "/proc/meminfo",
    "/sys/devices/system/cpu",
)  # fmt: skip
_PACKAGES = ("avatar", "mediapipe")  # wherever they are


def wall_in(*models: Path) -> Confinement:
    """Before MediaPipe is imported. Says which wall this computer cannot build."""
    _leave_out_what_draws_and_listens()
    kept_out = home_path().resolve()
    folders = [path for folder in (*_code_folders(), *map(Path, _SYSTEM)) for path in _around(folder, kept_out)]
    return confine([*folders, *models])


def fault_of(walls: Confinement) -> str | None:
    """What is wrong where a wall does not stand that this computer can build: the rest of a sentence."""
    if why_not_refusable() is not None:
        return None
    if walls.network is not None:
        return f"its network could not be refused ({walls.network})"
    if walls.files is not None and why_files_stay_open() is None:
        return f"files could not be kept from it ({walls.files})"
    return None


def _leave_out_what_draws_and_listens() -> None:
    """MediaPipe imports matplotlib, to draw what it found, and sounddevice. They take twice as long as all the rest,
    start a compiler to look for libraries, and list the fonts anew where they can keep no list."""
    for name in ("matplotlib", "matplotlib.pyplot"):
        sys.modules[name] = ModuleType(name)
    sys.modules["sounddevice"] = None  # type: ignore[assignment]  # "not installed", which MediaPipe understands


def _code_folders() -> Iterator[Path]:
    """Python's libraries, folders of installed packages, and ours; not whatever else one imports from, such as the
    folder that somebody happens to be in."""
    yield from (Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib"))
    yield from (Path(prefix, folder) for prefix in {sys.prefix, sys.base_prefix} for folder in ("lib", "lib64"))
    for name in _PACKAGES:
        if (spec := importlib.util.find_spec(name)) is not None:
            yield from map(Path, spec.submodule_search_locations or ())
    person = Path(os.environ.get("HOME", "/")).resolve()
    packages = (entry for entry in sys.path if Path(entry).is_file() or any(Path(entry).glob("*.dist-info")))
    for folder in map(Path, (*_library_folders(), *packages)):
        if folder.is_absolute() and folder.resolve() not in (person, *person.parents):
            yield folder


def _library_folders() -> Iterator[str]:
    """Where the loader looks beside the system's own folders, as for a graphics driver's libraries."""
    yield from os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep)
    for settings in Path("/etc/ld.so.conf.d").glob("*.conf"):
        if os.access(settings, os.R_OK):
            yield from map(str.strip, settings.read_text(errors="replace").splitlines())


def _around(folder: Path, kept_out: Path) -> Iterator[Path]:
    """The folder; where `kept_out` lies in it, all of it but that."""
    folder = folder.resolve()
    if folder not in (kept_out, *kept_out.parents):
        yield folder
    elif folder != kept_out:
        for child in folder.iterdir():
            if not child.is_symlink():
                yield from _around(child, kept_out)
