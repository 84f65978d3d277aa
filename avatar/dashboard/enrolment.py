"""Enrolment from the page: photos come in one by one, or one clip; then an avatar is made. One enrolment at a time.

What was sent lies in a private folder below `paths.home()` under names given here, and is deleted when the avatar is
made, when the enrolment is given up, and when nothing happens for IDLE_S.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

from avatar.core.arrays import Picture
from avatar.core.errors import PhotoError, UsageError, VisavisError
from avatar.dashboard.making import GivenUpError, Making, Wanted, require_free
from avatar.dashboard.page_challenge import Told
from avatar.dashboard.page_clip import CLIP, Clip, look_at
from avatar.dashboard.photo_check import Photo, Pose, ShotChecker
from avatar.dashboard.photo_strangers import stranger_numbers
from avatar.dashboard.refusals import BusyError
from avatar.dashboard.upload_folder import UploadFolder
from avatar.dashboard.uploads import MOST_BYTES, store
from avatar.identity.enrolment import MAX_PHOTOS, StrangersError
from avatar.sources.photo import load_photo
from engines import EngineFailure

MOST_RECEIVING = 4  # photos at once
IDLE_S = 30 * 60.0

# "proof": the avatar is made, and waits for its person to show that they are there, or to say that they will not
State = Literal["none", "collecting", "working", "proof", "challenge", "done", "failed"]
Report = dict[str, Any]

logger = logging.getLogger(__name__)


class Enrolment:
    """`add` and `add_clip` belong to the event loop, the rest may come from any thread. `changed` is called when
    `report` is new."""

    def __init__(self, tracker_model: Callable[[], Path], checker: ShotChecker, changed: Callable[[], None]) -> None:
        self._tracker_model, self._checker, self._changed = tracker_model, checker, changed
        self._lock = threading.Lock()  # of the state and the photos, never held for long
        self._state: State = "none"
        self._folder: UploadFolder | None = None
        self._photos: dict[int, Photo] = {}
        self._clip: Clip | None = None
        self._next = 1
        self._receiving = 0
        self._making: Making | None = None  # the last one
        self._strangers: tuple[int, ...] = ()  # numbers of the photos that seem to show somebody else
        self._problem: str | None = None
        self._worker: threading.Thread | None = None
        self._touched_s = time.monotonic()

    def report(self) -> Report:
        with self._lock:
            photos, making = list(self._photos.values()), self._making
        return {
            "state": self._state,
            "photos": [photo.told() for photo in photos],
            "clip": None if self._clip is None else asdict(self._clip),
            "name": making.wanted.name if making else "",
            "line": making.line if making else "",
            "done": making.done if making else 0.0,
            "total": making.total if making else 0.0,
            "missing": making.missing if making else (),
            "strangers": self._strangers,
            "problem": self._problem,
            "most_photos": MAX_PHOTOS,
            "most_bytes": MOST_BYTES,
            "most_clip_bytes": CLIP.most_bytes,
        }

    async def add(self, chunks: AsyncIterator[bytes]) -> Path:
        """Store an upload. `check` comes next. Raises TooLargeError, BusyError, UsageError for too many."""
        with self._lock:
            self._begin_collecting()
            if self._clip is not None:
                raise UsageError("There is a clip already, and an avatar is made of one or the other. Remove it first.")
        if len(self._photos) + self._receiving >= MAX_PHOTOS:
            raise UsageError(f"An avatar takes up to {MAX_PHOTOS} photos. Remove some to add others.")
        if self._receiving >= MOST_RECEIVING:
            raise BusyError("Send one photo after another.")
        number, self._next = self._next, self._next + 1
        path = self._own_folder() / f"photo-{number}"
        self._receiving += 1
        try:
            await store(chunks, path)
        finally:
            self._receiving -= 1
        return path

    def check(self, path: Path, pose: Pose | None = None) -> Photo:
        """Look at a stored upload. One that cannot be used is deleted at once. Slow: not for an event loop.

        pose: it is a shot of the webcam. Raises BusyError for one that came too late.
        """
        number = int(path.name.rpartition("-")[2])
        kept = False
        try:
            self._require_wanted(path)
            try:
                photo = replace(self._checker.photo(load_photo(path), pose), number=number)
            except PhotoError as error:
                photo = Photo(error.on_page, number=number)
            with self._lock:
                self._require_wanted(path)
                if photo.reason is None:
                    self._photos[number] = photo
                    self._strangers = stranger_numbers(self._photos.values())
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
            self._strangers = stranger_numbers(self._photos.values())
        self._changed()

    async def add_clip(self, chunks: AsyncIterator[bytes]) -> Path:
        """Store a clip. `check_clip` comes next. Raises TooLargeError, BusyError, UsageError beside photos."""
        with self._lock:
            self._begin_collecting()
            if self._photos or self._receiving:
                raise UsageError(
                    "There are photos already, and an avatar is made of one or the other. Remove them first."
                )
            path = self._own_folder() / "clip"
            if self._clip is not None or path.exists():
                raise UsageError("There is a clip already. Remove it first.")
        self._receiving += 1
        try:
            await store(chunks, path, CLIP)
        finally:
            self._receiving -= 1
        return path

    def check_clip(self, path: Path) -> Clip:
        """As `check`."""
        self._require_wanted(path)
        clip = look_at(path)
        with self._lock:
            self._require_wanted(path)
            if clip.reason is None:
                self._clip = clip
            else:
                path.unlink(missing_ok=True)
        self._changed()
        return clip

    def remove_clip(self) -> None:
        with self._lock:
            self._require_idle()
            self._clip = None
            if self._folder is not None:
                (self._folder.path / "clip").unlink(missing_ok=True)
        self._changed()

    def start(self, wanted: Wanted, shown: Sequence[int] | None = None) -> None:
        """Make the avatar in a thread. shown: numbers of the photos that the person sees; None: all there are.

        Raises UsageError, and BusyError also where there are others.
        """
        require_free(wanted.name)
        with self._lock:
            self._require_idle()
            if self._folder is None or not (self._photos or self._clip):
                raise UsageError("Add at least one photo, or a clip.")
            folder, numbers, clip = self._folder.path, list(self._photos), self._clip
            if shown is not None and set(shown) != set(numbers):
                raise BusyError(
                    "Another window of this page adds photos too. Close it, then cancel here and begin anew."
                )
            before = self._making
            making = self._making = Making(wanted, self._tracker_model, self._changed)

            def make() -> State:
                if clip is not None:
                    making.of_clip(folder / "clip")
                else:
                    making.of_photos([folder / f"photo-{number}" for number in numbers])
                if wanted.proof:
                    return "proof"
                making.save()
                return "done"

            try:
                self._work_on("working", make)
            except RuntimeError:  # no more threads
                self._making = before
                raise
        self._changed()

    def prove(self) -> None:
        """Begin the challenge, in a thread, with the pictures that `see` brings. Raises UsageError."""
        with self._lock:
            making = self._waiting()

            def prove() -> State:
                if (why := making.prove()) is not None:
                    self._problem = f"It was not seen that it is you: {why}."
                    return "proof"
                making.save()
                return "done"

            self._work_on("challenge", prove)
        self._changed()

    def see(self, rgb: Picture) -> Told:
        """A picture (H, W, 3) of the webcam, for the challenge. What the person should do now."""
        making = self._making
        return making.see(rgb) if making is not None and self._state == "challenge" else {}

    def leave_unproven(self) -> None:
        """Keep the avatar with the statement alone: nothing locks it. Raises UsageError, VisavisError."""
        with self._lock:
            making = self._waiting()
        making.save()
        self._end("done")
        self._changed()

    def give_up(self) -> None:
        """Stop what is being done, and delete what was sent."""
        with self._lock:
            if self._making is not None and self._state in ("working", "challenge"):
                self._making.stop()
            else:
                self._forget("none")
        self._changed()

    def tick(self) -> None:
        """To be called now and then: forgets what was left lying."""
        with self._lock:
            waits = self._state in ("collecting", "failed", "proof")
            idle = waits and time.monotonic() - self._touched_s > IDLE_S
            if idle:
                self._forget("none")
        if idle:
            self._changed()

    def close(self) -> None:
        if self._making is not None:
            self._making.stop()
        if self._worker is not None:
            self._worker.join(30.0)
        with self._lock:
            self._forget("none")

    def _begin_collecting(self) -> None:
        """With the lock held."""
        self._require_idle()
        self._state, self._problem, self._touched_s = "collecting", None, time.monotonic()

    def _require_idle(self) -> None:
        if self._making is not None and self._state in ("working", "proof", "challenge"):
            raise BusyError(f"{self._making.wanted.name} is being made. Wait until that is done, or stop it.")

    def _waiting(self) -> Making:
        """The avatar that waits for its person. With the lock held."""
        if self._making is None or self._state != "proof":
            raise UsageError("There is no avatar that waits for its person. Make one first.")
        return self._making

    def _require_wanted(self, path: Path) -> None:
        if self._state != "collecting" or self._folder is None or path.parent != self._folder.path or not path.exists():
            raise BusyError("It came too late: the avatar is being made, or was given up. Add it anew.")

    def _own_folder(self) -> Path:
        if self._folder is None:
            self._folder = UploadFolder()
        return self._folder.path

    def _forget(self, state: State) -> None:
        """With the lock held. What is said of the avatar that was made last stays."""
        folder, self._folder = self._folder, None
        if folder is not None:
            folder.remove()
        self._photos.clear()
        self._clip, self._strangers = None, ()
        self._making = None if state == "none" else self._making
        self._state, self._problem, self._touched_s = state, None, time.monotonic()

    def _work_on(self, state: State, work: Callable[[], State]) -> None:
        """In a thread; the state is then what `work` returns. With the lock held."""
        before, self._state, self._problem = self._state, state, None
        worker = threading.Thread(target=self._run, args=(work,), name="visavis-enrol", daemon=True)
        try:
            worker.start()
        except RuntimeError:  # no more threads
            self._state = before
            raise
        self._worker = worker

    def _run(self, work: Callable[[], State]) -> None:
        try:
            self._end(work())
        except GivenUpError:
            self._end("none")
        except StrangersError as error:
            self._fail(error.on_page, error.photos)
        except VisavisError as error:
            self._fail(error.on_page)
        except EngineFailure as error:
            self._fail(str(error))
        except Exception:
            logger.exception("enrolment failed")
            self._fail("Something unexpected went wrong. The terminal says what.")
        self._changed()

    def _end(self, state: State) -> None:
        """Pictures are not needed any more, also where the avatar waits for its person."""
        with self._lock:
            problem = self._problem
            self._forget(state)
            self._problem = problem

    def _fail(self, problem: str, strangers: Sequence[int] = ()) -> None:
        """What was sent stays, so that some can be left out and the rest tried again."""
        with self._lock:
            if strangers:
                numbers = list(self._photos)
                self._strangers = tuple(numbers[index] for index in strangers)
            self._state = "proof" if self._state == "challenge" else "failed"
            self._problem, self._touched_s = problem, time.monotonic()
