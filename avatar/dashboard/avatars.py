"""The enrolled avatars as the page lists them; rename and delete. A client's name becomes a path only if it is one."""

from __future__ import annotations

import io
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from avatar.core.arrays import Picture
from avatar.core.avatar import FEWEST_TO_TUNE, Avatar
from avatar.core.errors import VisavisError
from avatar.core.model_files import MODEL_ID
from avatar.core.resizing import resized
from avatar.dashboard.refusals import NotThereError
from avatar.identity.bundle import all_names, load_avatar, named_avatar
from avatar.identity.consent import consent_words
from avatar.identity.ready_faces import READY, shown_title
from avatar.identity.removal import delete_avatar
from avatar.live.avatar_file import rename_avatar
from avatar.live.canvas import Canvas

THUMBNAIL_PX = 256
HEADROOM = 0.06  # share of a portrait's side: with less above the head, more is shown above it


@dataclass(frozen=True, slots=True)
class Card:
    """One avatar. `problem`: why it cannot be shown; then all else is unknown."""

    name: str
    title: str = ""  # for people to read
    ready: bool = False  # it comes with visavis, and stays as it is
    portraits: int = 0
    fine_tuned: bool = False
    tunable: bool = False  # it may be fine-tuned, and has portraits enough
    shows: str = ""  # whom, by what was said at enrolment
    consent: str = ""
    made_at: str = ""
    problem: str | None = None


class Shelf:
    """Reads each bundle once, and again when the file has changed. From any thread; takes a while."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, tuple[tuple[int, int], Card, bytes]] = {}

    def cards(self) -> list[dict[str, Any]]:
        names = all_names()
        with self._lock:
            self._known = {name: known for name, known in self._known.items() if name in names}
            return [asdict(card) for name in names if (card := self._look_at(name)) is not None]

    def thumbnail(self, name: str) -> bytes:
        """JPEG. Raises NotThereError where there is none."""
        existing(name)
        with self._lock:
            self._look_at(name)
            if name not in self._known or not self._known[name][2]:
                raise NotThereError(f"There is no picture of {name}.")
            return self._known[name][2]

    def _look_at(self, name: str) -> Card | None:
        try:
            path = existing(name)
            stat = path.stat()
        except (OSError, VisavisError):  # deleted meanwhile, or a file that nobody could have enrolled
            return None
        stamp = (stat.st_mtime_ns, stat.st_size)
        if name not in self._known or self._known[name][0] != stamp:
            self._known[name] = (stamp, *_read(name, path))
        return self._known[name][1]


def existing(name: str) -> Path:
    """The bundle of that name. Raises UsageError for what is no name, NotThereError where there is none."""
    path = named_avatar(name)
    if path is None:
        raise NotThereError(f"There is no avatar {name}. It may have been deleted: reload the page.")
    return path


def rename(old: str, new: str) -> None:
    """Raises UsageError for a name that is none, or taken, and for a ready face."""
    rename_avatar(existing(old), new)


def delete(name: str) -> None:
    existing(name)
    delete_avatar(name)


def _read(name: str, path: Path) -> tuple[Card, bytes]:
    try:
        avatar = load_avatar(path, None)
    except VisavisError as error:
        return Card(name, name, problem=str(error)), b""
    picture = io.BytesIO()
    Image.fromarray(_thumbnail(avatar)).save(picture, "JPEG", quality=88)
    problem, ready = None, path.parent == READY
    if avatar.model_id != MODEL_ID:
        problem = "It was made for an older network. Enrol the photos again."
    return Card(
        name,
        title=shown_title(name, path),
        ready=ready,
        portraits=len(avatar.portraits),
        fine_tuned=avatar.fine_tuned,
        tunable=not (ready or problem or avatar.fine_tuned) and len(avatar.portraits) >= FEWEST_TO_TUNE,
        shows=consent_words(avatar.consent),
        consent=str(avatar.consent.get("statement", "")),
        made_at=str(avatar.provenance.get("at", "")),
        problem=problem,
    ), picture.getvalue()


def _thumbnail(avatar: Avatar) -> Picture:
    """The whole head, also of a portrait whose edge it touches."""
    portrait = avatar.portraits[0]
    above = round(HEADROOM * len(portrait))
    if not len(avatar.mattes) or not (avatar.mattes[0][:above] > 127).any():
        return resized(portrait, THUMBNAIL_PX)
    beside = THUMBNAIL_PX // 8
    canvas = Canvas(portrait, THUMBNAIL_PX + 2 * beside, THUMBNAIL_PX, None, avatar.mattes[0])  # as a wide picture
    wide = canvas.place(resized(portrait, canvas.square_px))
    return np.ascontiguousarray(wide[:, beside : beside + THUMBNAIL_PX])
