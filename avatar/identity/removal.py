"""Taking away what is kept of people on this computer, and saying what was, and what cannot be reached."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from avatar.core.errors import VisavisError
from avatar.core.paths import OWN_FOLDERS, engine_folder, home_path
from avatar.core.private_file import delete_private
from avatar.identity.bundle import avatar_path, named_avatar
from avatar.identity.ready_faces import refuse_ready_face
from engines.files import remove_kept

OUT_OF_REACH = (
    "Not reached: .avatar files and videos that were written elsewhere, copied, backed up or given away, and what "
    "others recorded. A visavis that runs now keeps what it holds in memory until it ends."
)


@dataclass(frozen=True, slots=True)
class Removed:
    """How many files of one kind, and how large they were together."""

    what: str
    files: int
    size_bytes: int


def delete_avatar(name: str) -> list[Path]:
    """Delete an enrolled avatar, and what killed programs left of it. Returns what was deleted.

    Raises UsageError for what is no name, and for a ready face; VisavisError where a file cannot be deleted.
    """
    bundle = avatar_path(name)
    refuse_ready_face(named_avatar(name) or bundle)
    part = re.compile(rf"\.{re.escape(bundle.stem)}\.[a-z0-9_]{{8}}\.part")  # as `write_private` names it
    beside = bundle.parent.iterdir() if bundle.parent.is_dir() else ()
    files = [path for path in beside if path == bundle or part.fullmatch(path.name)]
    for path in files:
        delete_private(path)
    return sorted(files, reverse=True)


def kept_of_people() -> dict[str, list[Path]]:
    """The files in visavis' own folders, by kind. Links are not followed. Makes nothing."""
    folder = home_path()
    kept = {name: _files(folder / name) for name in OWN_FOLDERS}
    kept["call"] = sorted(path for path in folder.glob("call.*") if path.is_file() and not path.is_symlink())
    return kept


def forget_all() -> list[Removed]:
    """Delete all of `kept_of_people`, and what engines keep. Raises VisavisError at the first that cannot be."""
    folder, removed = home_path(), []
    for what, files in kept_of_people().items():
        size_bytes = sum(path.lstat().st_size for path in files)
        for path in files:
            delete_private(path)
        if what in OWN_FOLDERS and (folder / what).is_dir() and not (folder / what).is_symlink():
            shutil.rmtree(folder / what, ignore_errors=True)  # folders that are empty now, and links
        removed.append(Removed(what, len(files), size_bytes))
    try:
        engines = remove_kept(engine_folder())
    except OSError as error:
        raise VisavisError(f"{error.filename} cannot be deleted ({error.strerror}). Delete it yourself.") from error
    removed.append(Removed("engines", len(engines), sum(file.size_bytes for file in engines)))
    return removed


def _files(folder: Path) -> list[Path]:
    if folder.is_symlink() or not folder.is_dir():
        return []
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
