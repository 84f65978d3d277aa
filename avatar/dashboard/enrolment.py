"""Enrolment from the page: photos come in one by one, then an avatar is made of them. One enrolment at a time.

Photos lie in a private folder below `paths.home()` under names given here, and are deleted when the avatar is made,
when the enrolment is given up, and when nothing happens for IDLE_S.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from avatar.core.errors import PhotoError, UsageError, VisavisError
from avatar.dashboard.photo_check import ShotChecker
from avatar.dashboard.refusals import BusyError
from avatar.dashboard.upload_folder import UploadFolder
from avatar.dashboard.uploads import MOST_BYTES, store
from avatar.identity.bundle import avatar_path, shown_name
from avatar.identity.consent import Statement
from avatar.identity.enrolment import MAX_PHOTOS, enroll
from avatar.identity.enrolment_steps import EnrolmentOptions
from avatar.live.avatar_file import keep_avatar
from avatar.sources.photo import load_photo
from engines import EngineFailure

MOST_RECEIVING = 4  # photos at once
IDLE_S = 30 * 60.0

State = Literal["none", "collecting", "working", "done", "failed"]
Report = dict[str, Any]

logger = logging.getLogger(__name__)


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
        self._lock = threading.Lock()  # of the state and the photos, never held for long
        self._state: State = "none"
        self._folder: UploadFolder | None = None
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
        with self._lock:
            photos = list(self._photos.values())
        return {
            "state": self._state,
            "photos": [asdict(photo) for photo in photos],
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
        with self._lock:
            self._require_idle()
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
        """Look at a stored upload. One that cannot be used is deleted at once. Slow: not for an event loop.

        Raises BusyError for one that came too late.
        """
        number = int(path.name.rpartition("-")[2])
        kept = False
        try:
            self._require_wanted(path)
            try:
                check = self._checker.photo(load_photo(path)).check
                photo = Photo(number, check.refusal, check.warnings, check.score)
            except PhotoError as error:
                photo = Photo(number, error.on_page)
            with self._lock:
                self._require_wanted(path)
                if photo.reason is None:
                    self._photos[number] = photo
                    kept = True
        finally:
            if not kept:
                path.unlink(missing_ok=True)
        self._changed()
        return photo

    def remove(self, number: int) -> None:
        with self._lock:
            self._require_idle()
            if self._photos.pop(number, None) is not None and self._folder is not None:
                (self._folder.path / f"photo-{number}").unlink(missing_ok=True)
        self._changed()

    def start(self, name: str, consent: Statement, same_person: bool, replace: bool) -> None:
        """Make the avatar in a thread. Raises UsageError, BusyError."""
        _require_free(name, replace)
        with self._lock:
            self._require_idle()
            if not self._photos or self._folder is None:
                raise UsageError("Add at least one photo.")
            paths = [self._folder.path / f"photo-{number}" for number in self._photos]
            worker = threading.Thread(
                target=self._work, args=(paths, name, consent, same_person, replace), name="visavis-enrol", daemon=True
            )
            before = self._state
            self._stop.clear()
            self._name, self._problem = name, None
            self._state, self._line, self._done, self._total = "working", "Starting", 0, len(paths) + 2
            try:
                worker.start()
            except RuntimeError:  # no more threads
                self._state = before
                raise
            self._worker = worker
        self._changed()

    def give_up(self) -> None:
        """Stop what is being done, and delete the photos."""
        with self._lock:
            if self._state == "working":
                self._stop.set()
                self._line = "Stopping"
            else:
                self._forget("none")
        self._changed()

    def tick(self) -> None:
        """To be called now and then: forgets what was left lying."""
        with self._lock:
            idle = self._state in ("collecting", "failed") and time.monotonic() - self._touched_s > IDLE_S
            if idle:
                self._forget("none")
        if idle:
            self._changed()

    def close(self) -> None:
        self._stop.set()
        if self._worker is not None:
            self._worker.join(30.0)
        with self._lock:
            self._forget("none")

    def _require_idle(self) -> None:
        if self._state == "working":
            raise BusyError(f"{self._name} is being made. Wait until that is done, or stop it.")

    def _require_wanted(self, path: Path) -> None:
        if self._state != "collecting" or self._folder is None or path.parent != self._folder.path or not path.exists():
            raise BusyError("The photo came too late: the avatar is being made, or was given up. Add it anew.")

    def _own_folder(self) -> Path:
        if self._folder is None:
            self._folder = UploadFolder()
        return self._folder.path

    def _forget(self, state: State) -> None:
        """With the lock held."""
        folder, self._folder = self._folder, None
        if folder is not None:
            folder.remove()
        self._photos.clear()
        self._state, self._line, self._problem = state, "", None

    def _work(self, paths: list[Path], name: str, consent: Statement, same_person: bool, replace: bool) -> None:
        try:
            self._make(paths, name, consent, same_person, replace)
        except _GivenUpError:
            self._end("none")
        except VisavisError as error:
            self._fail(error.on_page)
        except EngineFailure as error:
            self._fail(str(error))
        except Exception:
            logger.exception("enrolment failed")
            self._fail("Something unexpected went wrong. The terminal says what.")
        else:
            self._end("done")
        self._changed()

    def _make(self, paths: list[Path], name: str, consent: Statement, same_person: bool, replace: bool) -> None:
        made = enroll(paths, name, self._tracker_model(), EnrolmentOptions(consent, same_person), self._progress)
        if self._stop.is_set():
            raise _GivenUpError
        # None: another window, or `visavis enroll`, may have been quicker
        keep_avatar(made.avatar, avatar_path(name), "any" if replace else None)
        if self._stop.is_set() and not replace:
            avatar_path(name).unlink(missing_ok=True)
            raise _GivenUpError

    def _end(self, state: State) -> None:
        with self._lock:
            self._forget(state)

    def _fail(self, problem: str) -> None:
        """The photos stay, so that one can be left out and the rest tried again."""
        with self._lock:
            self._state, self._problem, self._touched_s = "failed", problem, time.monotonic()

    def _progress(self, line: str) -> None:
        if self._stop.is_set():
            raise _GivenUpError
        self._line, self._done = line[:1].upper() + line[1:].partition(": photo-")[0], self._done + 1
        self._changed()


def _require_free(name: str, replace: bool) -> None:
    if (path := avatar_path(name)).exists() and not replace:
        raise UsageError(f"There is an avatar {shown_name(path)} already. Choose another name.")
