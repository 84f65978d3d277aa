"""Where things are kept on this computer."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

from avatar.core.errors import VisavisError

if sys.platform == "win32":
    from platformdirs.windows import Windows as _Folders
else:  # macOS too: by the XDG base directory specification, where avatars have always been
    from platformdirs.unix import Unix as _Folders

_SYSTEM = _Folders("visavis", appauthor=False)
OWN_FOLDERS = ("avatars", "drivers", "keys", "recordings", "records", "uploads")  # in home(), beside files of the call
OTHERS = stat.S_IRWXG | stat.S_IRWXO


def home() -> Path:
    """The user's data: $VISAVIS_HOME, else ~/.local/share/visavis. Made on first use, readable by its owner alone.

    Enrolled faces lie in home()/"avatars" and nowhere else, so that deleting this folder deletes them all. Found open
    to others, it is closed to them, with a line on stderr, if it holds nothing but what is ours. Raises VisavisError
    where others can write and it is theirs too.
    """
    folder = _private_folder("VISAVIS_HOME", _SYSTEM.user_data_path)
    if sys.platform != "win32":
        _close(folder)
    return folder


def home_path() -> Path:
    """Where `home` is, or will be. Makes nothing."""
    return _chosen("VISAVIS_HOME") or _SYSTEM.user_data_path


def readable_by_others() -> list[Path]:
    """The files below the home folder that other people of this computer can read. Makes nothing."""
    folder = home_path()
    if sys.platform == "win32" or not folder.is_dir() or not folder.stat().st_mode & OTHERS:
        return []
    inside = [*folder.glob("call.*"), *(path for name in OWN_FOLDERS for path in (folder / name).rglob("*"))]
    return sorted(path for path in inside if path.is_file() and path.stat().st_mode & OTHERS)


def _close(folder: Path) -> None:
    """To all but its owner. A folder that holds other things too keeps its mode, and ours in it are closed."""
    try:
        about = folder.stat()
        ours = about.st_uid == os.geteuid()
        names = [path.name for path in folder.iterdir()]
        ours_alone = ours and all(name in OWN_FOLDERS or name.startswith("call.") for name in names)
        # a group that can write is the user's own on many systems
        if not ours_alone and about.st_mode & (stat.S_IWOTH if ours else stat.S_IWOTH | stat.S_IWGRP):
            raise VisavisError(
                f"{folder} is no place for faces: others can write to it. Set VISAVIS_HOME to a folder that you own "
                "and nobody else uses."
            )
        inside = [folder / name for name in OWN_FOLDERS]
        for path in [folder, *inside] if ours_alone else inside:
            if path.is_dir() and not path.is_symlink() and path.stat().st_mode & OTHERS:
                path.chmod(stat.S_IMODE(path.stat().st_mode) & ~OTHERS)
                print(f"{path} was open to others; now it is yours alone.", file=sys.stderr)
    except OSError as error:
        raise VisavisError(
            f"{folder} cannot be closed to others ({error.strerror}). Set VISAVIS_HOME to a folder that you own."
        ) from error


def cache() -> Path:
    """What can be fetched again: $VISAVIS_CACHE, else ~/.cache/visavis. Made on first use."""
    return _private_folder("VISAVIS_CACHE", _SYSTEM.user_cache_path)


def config_file() -> Path:
    """The user's own defaults of options: $VISAVIS_CONFIG, else ~/.config/visavis/config.toml."""
    return _chosen("VISAVIS_CONFIG") or _SYSTEM.user_config_path / "config.toml"


def engine_folder() -> Path:
    """Where built engines and measurements are kept. They can be deleted: they are made again."""
    return cache() / "engines"


def _chosen(variable: str) -> Path | None:
    chosen = os.environ.get(variable)
    return Path(chosen).expanduser().absolute() if chosen else None


def _private_folder(variable: str, default: Path) -> Path:
    folder = _chosen(variable) or default
    try:
        if not folder.is_dir():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.chmod(0o700)  # the umask may have taken more away than it should
    except OSError as error:
        raise VisavisError(
            f"{folder} cannot be the folder for visavis' files ({error.strerror}). "
            f"Set {variable} to a folder that you own."
        ) from error
    return folder
