"""All publishers of a run, which come and go: one that fails is closed and opened again, while the others go on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from avatar.core.errors import UsageError, VisavisError
from avatar.core.frame import Frame
from avatar.publish.publisher import Publisher

RETRY_S = 2.0


@dataclass
class _Member:
    publisher: Publisher
    working: bool = False  # opened, and has not failed since
    removed: bool = False  # never to be opened again
    retry_s: float = 0.0  # monotonic, when to try again
    opening: threading.Thread | None = None
    shape: tuple[int, int] = (0, 0)  # width and height with which it was opened
    lock: threading.Lock = field(default_factory=threading.Lock)  # held while it is opened, closed, or sent to


class PublisherSet:
    """Opens, feeds and closes publishers. `send` comes from one thread and raises nothing that a retry could mend.

    `add` and `remove` may come from others while it runs.
    """

    def __init__(self, publishers: Sequence[Publisher], say: Callable[[str], None]) -> None:
        self._members = tuple(_Member(publisher) for publisher in publishers)  # replaced, never changed
        self._say = say
        self._shape = (0, 0)  # of the newest frame
        self._fps = 0.0
        self._changing = threading.Lock()  # held while the members are replaced, and while all are opened
        self._closing = False
        self._dropped_before = 0  # by those that were removed

    @property
    def dropped(self) -> int:
        return self._dropped_before + sum(member.publisher.dropped for member in self._members)

    @property
    def keeps_size(self) -> str:
        """Why frames may not change their size now; "": they may."""
        return next((member.publisher.keeps_size for member in self._members if member.publisher.keeps_size), "")

    @property
    def watched(self) -> bool:
        """Whether anybody may see what is sent."""
        return not self._members or any(member.working and member.publisher.watched for member in self._members)

    def open(self, width: int, height: int, fps: float) -> None:
        """Open them all. Raises what the first raises that cannot be opened; `close` closes the others."""
        with self._changing:
            self._shape, self._fps = (width, height), fps
            for member in self._members:
                member.working = True  # one that fails to open is closed too
                member.shape = self._shape
                member.publisher.open(width, height, fps)

    def add(self, publisher: Publisher, size: tuple[int, int]) -> None:
        """Send to it too, frames of that width and height.

        Raises what it raises where it cannot be opened; UsageError where all is over.
        """
        member = _Member(publisher)
        with self._changing:
            if self._closing:
                raise UsageError("The avatar is not live any more.")
            if self._fps:  # else it is opened with the others
                self._open(member, size)
            self._members = (*self._members, member)

    def remove(self, publisher: Publisher) -> None:
        """Send to it no longer, and close it. Raises what it raises while it ends its work. Not there: does nothing."""
        with self._changing:
            removed = [member for member in self._members if member.publisher is publisher]
            self._members = tuple(member for member in self._members if member not in removed)
        for member in removed:
            with member.lock:
                self._dropped_before += publisher.dropped
                working, member.working, member.removed = member.working, False, True
                if working:
                    publisher.close()

    def send(self, frame: Frame) -> None:
        self._shape = frame.rgb.shape[1], frame.rgb.shape[0]
        for member in self._members:
            if member.working:
                self._send(member, frame)
            elif member.opening is None and time.monotonic() >= member.retry_s:
                member.opening = threading.Thread(
                    target=self._reopen, args=(member,), name="visavis-reopen", daemon=True
                )
                member.opening.start()

    def close(self) -> list[BaseException]:
        """Close all, whatever happens; what failed in it is returned."""
        failures: list[BaseException] = []
        with self._changing:
            self._closing = True
            members = self._members
        for member in members:
            with member.lock:
                if member.working:
                    member.working = False
                    try:
                        member.publisher.close()
                    except BaseException as failure:
                        failures.append(failure)
        return failures

    def _open(self, member: _Member, size: tuple[int, int]) -> None:
        """Also what was half opened is closed where that fails."""
        member.shape = size
        try:
            member.publisher.open(*member.shape, self._fps)
        except Exception:
            with suppress(Exception):
                member.publisher.close()
            raise
        member.working = True

    def _send(self, member: _Member, frame: Frame) -> None:
        if member.publisher.keeps_size and member.shape != self._shape:
            return  # of before it was opened
        if not member.lock.acquire(blocking=False):
            return  # it is being closed
        try:
            member.publisher.send(frame)
        except Exception as failure:  # of whatever kind: the others go on
            self._lost(member, failure)
        finally:
            member.lock.release()

    def _lost(self, member: _Member, failure: Exception) -> None:
        member.working = False
        member.retry_s = time.monotonic() + RETRY_S
        self._say(f"{_told(member, failure)}. Trying again every {RETRY_S:.0f} s.")
        try:
            member.publisher.close()
        except Exception as also:
            self._say(f"{_told(member, also)}.")

    def _reopen(self, member: _Member) -> None:
        with member.lock:
            if self._closing or member.removed:
                return
            try:
                self._open(member, self._shape)
            except Exception:
                member.retry_s = time.monotonic() + RETRY_S
            else:
                self._say(f"{member.publisher.name} is back.")
            finally:
                member.opening = None


def _told(member: _Member, failure: Exception) -> str:
    """In one line. Our own errors name the publisher; before any other, its name is put."""
    if isinstance(failure, VisavisError):
        return str(failure).splitlines()[0].rstrip(".")
    return f"{member.publisher.name} failed ({type(failure).__name__}: {failure})"
