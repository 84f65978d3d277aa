"""Whose face is in which file: the layouts in which folders of videos and photos come."""

from __future__ import annotations

import csv
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from avatar.core.errors import InputError, UsageError
from avatar.learning.dataset.split import TRAIN, VAL, is_held_out
from avatar.sources.media import SUFFIXES as VIDEO_SUFFIXES
from avatar.sources.photo import SUFFIXES as PHOTO_SUFFIXES

MANIFEST = "manifest.csv"
_VOXCELEB_PERSON = re.compile(r"id\d{5}$")
_VOXCELEB_ROOTS = ("dev/mp4", "test/mp4", "mp4", ".")


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One photo or video, and who is in it."""

    name: str  # relative to the source folder, with forward slashes
    identity: str
    columns: dict[str, str] = field(default_factory=dict)  # what else the manifest says of it

    @property
    def is_video(self) -> bool:
        return self.name.lower().endswith(VIDEO_SUFFIXES)


@dataclass
class Sources:
    """What a folder holds: files in a fixed order, and what was left out of them and why."""

    folder: Path
    layout: str  # one sentence for the person at the terminal
    files: list[SourceFile]
    refused: list[tuple[SourceFile, str]] = field(default_factory=list)  # with the reason
    ignored: Counter[str] = field(default_factory=Counter)  # files that are neither, by suffix

    def by_split(self, hold_out: Sequence[str]) -> dict[str, list[SourceFile]]:
        """The files of those to train on, and of those held out.

        Held out are the people whom `hold_out` names (see `is_held_out`), and whoever stands under `val` in the
        manifest's column `split`: one such row holds the whole person out. Raises UsageError where a name fits nobody,
        and where nobody is left to train on.
        """
        people = {file.identity for file in self.files}
        for pattern in hold_out:
            if not any(is_held_out(name, [pattern]) for name in people):
                raise UsageError(f"--hold-out {pattern} fits none of the {len(people)} people, such as {min(people)}.")
        held_out = {name for name in people if is_held_out(name, hold_out)}
        rows = self.files + [file for file, _ in self.refused]
        held_out |= {file.identity for file in rows if file.columns.get("split") == VAL}
        if people <= held_out:
            raise UsageError(f"--hold-out leaves nobody of {len(people)} people to train on. Hold fewer out.")
        return {split: [f for f in self.files if (f.identity in held_out) == (split == VAL)] for split in (TRAIN, VAL)}


def find_sources(folder: Path) -> Sources:
    """Photos and videos of a folder by person, in the first layout that fits:

    - `manifest.csv` with the columns file and identity, and any others, which are kept;
    - VoxCeleb2: `dev/mp4/id00012/21Uxsk56VDQ/00001.mp4` (or `test/mp4`, `mp4`, or the people's folders alone);
    - one sub-folder per person, however deep;
    - files side by side: each its own person.

    Raises InputError where there is nothing to use, UsageError for a manifest that cannot be understood.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder. Give the folder that holds the videos and photos.")
    if (folder / MANIFEST).is_file():
        return manifest_sources(folder)
    if roots := [root for root in _VOXCELEB_ROOTS if _is_voxceleb(folder / root)]:
        return _usable(_from_voxceleb(folder, roots))
    return _usable(_from_folders(folder))


def _usable(found: Sources) -> Sources:
    if not found.files:
        other = ", ".join(f"{count} {suffix}" for suffix, count in found.ignored.most_common(5))
        reason = f"{found.refused[0][0].name} ({found.refused[0][1]})" if found.refused else ""
        raise InputError(
            f"{found.folder} holds no usable video or photo{f' (but {other})' if other else ''}"
            f"{f'; the first that was refused: {reason}' if reason else ''}. "
            f"Videos end in {', '.join(VIDEO_SUFFIXES)}, photos in {', '.join(PHOTO_SUFFIXES)}."
        )
    return found


def manifest_sources(folder: Path) -> Sources:
    """The files that `manifest.csv` names, in its order.

    Raises UsageError where it cannot be understood, InputError where it is missing or names nothing usable.
    """
    manifest = folder / MANIFEST
    if not manifest.is_file():
        raise InputError(f"{manifest} is missing. Write one with the columns file,identity: one row per still or clip.")
    found = Sources(folder, f"{MANIFEST} names who is in which file", [])
    seen: set[str] = set()
    try:
        with manifest.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            if not {"file", "identity"} <= set(reader.fieldnames or ()):
                raise UsageError(f"{manifest} lacks the columns file,identity: its first line must name them.")
            for row in reader:
                name, identity = (row.pop("file") or "").strip(), (row.pop("identity") or "").strip()
                if not name or not identity:
                    raise UsageError(f"{manifest}, line {reader.line_num}: file or identity is empty. Fill both in.")
                columns = {key: value for key, value in row.items() if isinstance(key, str) and value}
                if (split := columns.get("split", TRAIN)) not in (TRAIN, VAL):
                    raise UsageError(
                        f"{manifest}, line {reader.line_num}: split is '{split}'. Write {TRAIN} or {VAL}, or leave it "
                        "empty."
                    )
                entry = SourceFile(Path(name).as_posix(), identity, columns)
                if entry.name in seen:
                    found.refused.append((entry, "listed twice"))
                elif not entry.name.lower().endswith(VIDEO_SUFFIXES + PHOTO_SUFFIXES):
                    found.refused.append((entry, "neither photo nor video"))
                else:
                    found.files.append(entry)
                seen.add(entry.name)
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{manifest} is not a CSV file in UTF-8 ({error}). Save it as one.") from error
    if not seen:
        raise InputError(f"{manifest} names no file. Write one row per photo or video, with the columns file,identity.")
    return _usable(found)


def _is_voxceleb(root: Path) -> bool:
    """Videos two folders below a folder that is named as VoxCeleb2 names people."""
    if not root.is_dir():
        return False
    with os.scandir(root) as entries:
        people = sorted(e.path for e in entries if _VOXCELEB_PERSON.match(e.name) and e.is_dir())
    return any(next(Path(person).glob("*/*.mp4"), None) is not None for person in people[:20])


def _from_voxceleb(folder: Path, roots: Sequence[str]) -> Sources:
    found = Sources(folder, "VoxCeleb2's folders: person / video / clip", [])
    for name in (name for root in roots for name in _walk(folder, Path(root), found)):
        person = next((part for part in Path(name).parts if _VOXCELEB_PERSON.match(part)), None)
        if _is_media(name, found):
            if person is None:
                found.refused.append((SourceFile(name, ""), "in no person's folder"))
            else:
                found.files.append(SourceFile(name, person))
    return found


def _from_folders(folder: Path) -> Sources:
    found = Sources(folder, "", [])
    names = [name for name in _walk(folder, Path(), found) if _is_media(name, found)]
    top = [name for name in names if "/" not in name]
    if len(top) < len(names):
        found.layout = "one folder per person"
        found.files = [SourceFile(name, name.partition("/")[0]) for name in names if "/" in name]
        found.refused += [(SourceFile(name, ""), "in no person's folder") for name in top]
    else:
        found.layout = f"files side by side, without a {MANIFEST}: each file counts as a person of its own"
        stems = Counter(Path(name).stem for name in top)
        found.files = [SourceFile(n, Path(n).stem if stems[Path(n).stem] == 1 else n) for n in top]
    return found


def _is_media(name: str, found: Sources) -> bool:
    if name.lower().endswith(VIDEO_SUFFIXES + PHOTO_SUFFIXES):
        return True
    found.ignored[Path(name).suffix.lower() or "without suffix"] += 1
    return False


def _walk(folder: Path, below: Path, found: Sources) -> Iterator[str]:
    """Names relative to `folder`, in order; links are followed, but no folder twice on the way down."""

    def refuse(error: OSError) -> None:
        name = Path(error.filename or ".")
        found.refused.append((SourceFile(os.path.relpath(name, folder), ""), f"unreadable folder: {error.strerror}"))

    for place, folders, files in os.walk(folder / below, followlinks=True, onerror=refuse):
        real = os.path.realpath(place)
        folders[:] = sorted(
            f for f in folders
            if not f.startswith(".") and not f"{real}/".startswith(f"{os.path.realpath(Path(place, f))}/")
        )  # fmt: skip
        for file in sorted(files):
            if not file.startswith("."):
                yield Path(os.path.relpath(Path(place, file), folder)).as_posix()
