"""Where things are kept on this computer."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from avatar.errors import VisavisError


def home() -> Path:
    """The user's data: $VISAVIS_HOME, else ~/.local/share/visavis. Made on first use, readable by its owner alone.

    Enrolled faces lie in home()/"avatars" and nowhere else, so that deleting this folder deletes them all.
    """
    return _private_folder("VISAVIS_HOME", _home_unless_chosen())


def home_path() -> Path:
    """Where `home` is, or will be. Makes nothing."""
    return _chosen("VISAVIS_HOME") or _home_unless_chosen()


def cache() -> Path:
    """What can be fetched again: $VISAVIS_CACHE, else ~/.cache/visavis. Made on first use."""
    default = _base("XDG_CACHE_HOME", "LOCALAPPDATA", ".cache")
    return _private_folder("VISAVIS_CACHE", default / "cache" if sys.platform == "win32" else default)


def _home_unless_chosen() -> Path:
    return _base("XDG_DATA_HOME", "LOCALAPPDATA", ".local/share")


def _base(xdg_variable: str, windows_variable: str, fallback: str) -> Path:
    variable = windows_variable if sys.platform == "win32" else xdg_variable
    chosen = os.environ.get(variable, "")
    # the XDG base directory specification says to ignore relative paths
    return (Path(chosen) if Path(chosen).is_absolute() else Path.home() / fallback) / "visavis"


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
