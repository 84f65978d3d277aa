"""Enrolment from the page: photos come in one by one, then an avatar is made of them. One enrolment at a time.

Photos lie in a private folder below `paths.home()` under names given here, and are deleted when the avatar is made,
when the enrolment is given up, and when nothing happens for IDLE_S.
"""

from __future__ import annotations

import logging
import re
import shutil
import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from avatar.errors import InputError, UsageError, VisavisError
from avatar.identity.bundle import avatar_path, save_avatar
from avatar.identity.enrolment import MAX_PHOTOS, consent_record, enroll
from avatar.model_files import MODEL_ID, model_file
from avatar.web.studio_check import ShotChecker
from avatar.web.studio_uploads import MOST_BYTES, load_upload, private_folder, store
from engines import EngineFailure, open_engine

MOST_RECEIVING = 4  # photos at once
IDLE_S = 30 * 60.0

State = Literal["none", "collecting", "working", "done", "failed"]
Report = dict[str, Any]

logger = logging.getLogger(__name__)


class BusyError(VisavisError):
    """Another enrolment is being worked on."""


class _GivenUpError(Exception):
    """Raised inside `enroll`, by its progress."""


@dataclass(frozen=True, slots=True)
class Photo:
    """What became of one photo. `reason`: why it cannot be used, and what to do."""

    number: int
    reason: str | None
    warnings: tuple[str, ...] = ()
    score: float = 0.0


class Enrolment:
    """`add` belongs to the event loop, the rest may come from any thread. `changed` is called when `report` is new."""

    def __init__(self, tracker_model: Callable[[], Path], checker: ShotChecker, changed: Callable[[], None]) -> None:
        self._tracker_model, self._checker, self._changed = tracker_model, checker, changed
        self._state: State = "none"
        self._folder: Path | None = None
        self._photos: dict[int, Photo] = {}
        self._next = 1
        self._receiving = 0
        self._name = ""
        self._line, self._done, self._total = "", 0, 0
        self._problem: str | None = None
        self._stop = threading.Event()
        self._worker: threading.Thread | None = None
        self._touched_s = time.monotonic()

    def report(self) -> Report:
        return {
            "state": self._state,
            "photos": [asdict(photo) for photo in self._photos.values()],
            "name": self._name,
            "line": self._line,
            "done": self._done,
            "total": self._total,
            "problem": self._problem,
            "most_photos": MAX_PHOTOS,
            "most_bytes": MOST_BYTES,
        }

    async def add(self, chunks: AsyncIterator[bytes]) -> Path:
        """Store an upload. `check` comes next. Raises TooLargeError, BusyError, UsageError for too many."""
        self._require_idle()
        if self._state in ("done", "failed", "none"):
            self._state, self._problem = "collecting", None
        if len(self._photos) + self._receiving >= MAX_PHOTOS:
            raise UsageError(f"An avatar takes up to {MAX_PHOTOS} photos. Remove some to add others.")
        if self._receiving >= MOST_RECEIVING:
            raise BusyError("Send one photo after another.")
        self._touched_s = time.monotonic()
        number, self._next = self._next, self._next + 1
        path = self._own_folder() / f"photo-{number}"
        self._receiving += 1
        try:
            await store(chunks, path)
        finally:
            self._receiving -= 1
        return path

    def check(self, path: Path) -> Photo:
        """Look at a stored upload. One that cannot be used is deleted at once. Slow: not for an event loop."""
        number = int(path.name.rpartition("-")[2])
        try:
            check = self._checker.photo(load_upload(path)).check
            photo = Photo(number, check.refusal, check.warnings, check.score)
        except InputError as error:
            photo = Photo(number, for_page(str(error).replace(str(path), "It")))
        if photo.reason is not None:
            path.unlink(missing_ok=True)
        elif self._folder is not None and path.exists():  # not given up meanwhile
            self._photos[number] = photo
            self._changed()
        return photo

    def remove(self, number: int) -> None:
        self._require_idle()
        if self._photos.pop(number, None) is not None and self._folder is not None:
            (self._folder / f"photo-{number}").unlink(missing_ok=True)
        self._changed()

    def start(self, name: str, consent: str, same_person: bool, replace: bool) -> None:
        """Make the avatar in a thread. Raises UsageError, BusyError."""
        self._require_idle()
        if avatar_path(name).exists() and not replace:
            raise UsageError(f"There is an avatar {name} already. Choose another name.")
        if not consent.strip():
            raise UsageError("Say that the person shown agrees: only then an avatar is made.")
        consent_record(consent)
        if not self._photos:
            raise UsageError("Add at least one photo.")
        self._stop.clear()
        self._name, self._problem = name, None
        self._state, self._line, self._done, self._total = "working", "Starting", 0, len(self._photos) + 2
        self._worker = threading.Thread(
            target=self._work, args=(name, consent, same_person), name="visavis-enrol", daemon=True
        )
        self._worker.start()
        self._changed()

    def give_up(self) -> None:
        """Stop what is being done, and delete the photos."""
        if self._state == "working":
            self._stop.set()
            self._line = "Stopping"
        else:
            self._forget("none")
        self._changed()

    def tick(self) -> None:
        """To be called now and then: forgets what was left lying."""
        if self._state in ("collecting", "failed") and time.monotonic() - self._touched_s > IDLE_S:
            self._forget("none")
            self._changed()

    def close(self) -> None:
        self._stop.set()
        if self._worker is not None:
            self._worker.join(30.0)
        self._forget("none")

    def _require_idle(self) -> None:
        if self._state == "working":
            raise BusyError(f"{self._name} is being made. Wait until that is done, or stop it.")

    def _own_folder(self) -> Path:
        if self._folder is None:
            self._folder = private_folder()
        return self._folder

    def _forget(self, state: State) -> None:
        folder, self._folder = self._folder, None
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
        self._photos.clear()
        self._state, self._line, self._problem = state, "", None

    def _work(self, name: str, consent: str, same_person: bool) -> None:
        folder = self._folder
        assert folder is not None
        paths = [folder / f"photo-{number}" for number in self._photos]
        try:
            embedder = open_engine(model_file("fast/embedder.onnx"))
            try:
                made = enroll(
                    paths,
                    name,
                    tracker_model=self._tracker_model(),
                    embedder=embedder,
                    model_id=MODEL_ID,
                    consent=consent,
                    same_person=same_person,
                    progress=self._progress,
                )
            finally:
                embedder.close()
            save_avatar(made.avatar, avatar_path(name))
        except _GivenUpError:
            self._forget("none")
        except (VisavisError, EngineFailure) as error:
            self._fail(for_page(str(error)))
        except Exception:
            logger.exception("enrolment failed")
            self._fail("Something unexpected went wrong. The terminal says what.")
        else:
            self._forget("done")
        self._changed()

    def _fail(self, problem: str) -> None:
        """The photos stay, so that one can be left out and the rest tried again."""
        self._state, self._problem, self._touched_s = "failed", problem, time.monotonic()

    def _progress(self, line: str) -> None:
        if self._stop.is_set():
            raise _GivenUpError
        self._line, self._done = line[:1].upper() + line[1:].partition(": photo-")[0], self._done + 1
        self._changed()


def for_page(message: str) -> str:
    """An error without what to type in a terminal: the page has its own buttons for that."""
    kept = re.sub(r":? ?`(?:visavis|--)[^`]*`", "", message)
    return kept.replace(", or add --same-person if it is", ", or tick “It is one person”").strip()
