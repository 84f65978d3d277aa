"""One avatar on its way from what the page sent to the file: made, proven by its person where that is wanted, saved."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from avatar.core.arrays import Picture
from avatar.core.avatar import Avatar
from avatar.core.errors import UsageError
from avatar.dashboard.page_challenge import PageChallenge, Told
from avatar.dashboard.page_clip import make_of
from avatar.identity.bundle import avatar_path, shown_name
from avatar.identity.consent import Statement, consent_record
from avatar.identity.enrolment import enroll
from avatar.identity.enrolment_steps import EnrolmentOptions
from avatar.identity.ready_faces import refuse_hiding
from avatar.live.avatar_file import keep_avatar


class GivenUpError(Exception):
    """Raised by what was at work, once `stop` was called."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What shall be made of what was sent. proof: its person is to show that they are there, and locks it so."""

    name: str
    consent: Statement
    same_person: bool = False
    proof: bool = False


class Making:
    """Its steps take long, and run in a thread of the caller's, one after the other; the rest may come from any."""

    def __init__(self, wanted: Wanted, tracker_model: Callable[[], Path], changed: Callable[[], None]) -> None:
        self.wanted = wanted
        self.line, self.done, self.total = "Starting", 0.0, 1.0
        self.missing: tuple[str, ...] = ()  # what the clip did not show
        self._tracker_model, self._changed = tracker_model, changed
        self._avatar: Avatar | None = None
        self._challenge: PageChallenge | None = None
        self._stopped = threading.Event()

    def of_photos(self, paths: Sequence[Path]) -> None:
        """Raises InputError, StrangersError with the photos that do not belong, VisavisError, EngineFailure."""
        self.total = len(paths) + 2.0
        options = EnrolmentOptions(self.wanted.consent, self.wanted.same_person)
        self._avatar = enroll(paths, self.wanted.name, self._tracker_model(), options, self._of_photos).avatar
        self._go_on()

    def of_clip(self, path: Path) -> None:
        """Raises InputError."""
        made = make_of(path, self.wanted.name, self._tracker_model(), self._of_clip)
        self.missing = made.missing
        self._avatar = replace(made.avatar, consent=consent_record(self.wanted.consent))
        self._go_on()

    def prove(self) -> str | None:
        """The challenge, with the pictures that `see` brings. Why its person was not seen; None: they were."""
        assert self._avatar is not None
        self._challenge = PageChallenge(self._tracker_model)
        record, why = self._challenge.run(self._avatar.descriptors)
        self._go_on()
        if record is None:
            return why
        self._avatar = replace(self._avatar, consent=self._avatar.consent | {"liveness": record})
        return None

    def see(self, rgb: Picture) -> Told:
        """A picture (H, W, 3) of the webcam. What the person should do now; nothing before they are asked."""
        return {} if self._challenge is None else self._challenge.see(rgb)

    def save(self) -> None:
        """Raises UsageError for a name that is taken by now, VisavisError."""
        assert self._avatar is not None
        path = avatar_path(self.wanted.name)
        keep_avatar(self._avatar, path, None)  # another window, or `visavis enroll`, may have been quicker
        if self._stopped.is_set():
            path.unlink(missing_ok=True)
            raise GivenUpError
        self._avatar = None  # tens of megabytes

    def stop(self) -> None:
        self._stopped.set()
        self.line = "Stopping"
        if self._challenge is not None:
            self._challenge.stop()

    def _go_on(self) -> None:
        if self._stopped.is_set():
            raise GivenUpError

    def _of_photos(self, line: str) -> None:
        self._go_on()
        self.line, self.done = line[:1].upper() + line[1:].partition(": photo-")[0], self.done + 1
        self._changed()

    def _of_clip(self, done_s: float, total_s: float) -> None:
        self._go_on()
        line = f"Watching the clip: {done_s:.0f} of {total_s:.0f} seconds"
        self.done, self.total = done_s, 1.1 * total_s  # and what comes after it
        if line != self.line:
            self.line = line
            self._changed()


def require_free(name: str) -> None:
    """Raises UsageError for what cannot be a name, for one that is taken, and for a ready face's."""
    if (path := avatar_path(name)).exists():
        raise UsageError(f"There is an avatar {shown_name(path)} already. Choose another name.")
    refuse_hiding(name, path)
