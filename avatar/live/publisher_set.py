"""All publishers of a run: one that fails is closed and opened again, while the others go on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from avatar.core.errors import VisavisError
from avatar.core.frame import Frame
from avatar.publish.publisher import Publisher

RETRY_S = 2.0


@dataclass
class _Member:
    publisher: Publisher
    working: bool = False  # opened, and has not failed since
    retry_s: float = 0.0  # monotonic, when to try again
    opening: threading.Thread | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)  # held while it is opened or closed


class PublisherSet:
    """Opens, feeds and closes publishers. `send` comes from one thread and raises nothing that a retry could mend."""

    def __init__(self, publishers: Sequence[Publisher], say: Callable[[str], None]) -> None:
        self._members = [_Member(publisher) for publisher in publishers]
        self._say = say
        self._shape = (0, 0, 0.0)
        self._closing = False

    @property
    def dropped(self) -> int:
        return sum(member.publisher.dropped for member in self._members)

    def open(self, width: int, height: int, fps: float) -> None:
        """Open them all. Raises what the first raises that cannot be opened; `close` closes the others."""
        self._shape = (width, height, fps)
        for member in self._members:
            member.working = True  # one that fails to open is closed too
            member.publisher.open(width, height, fps)

    def send(self, frame: Frame) -> None:
        for member in self._members:
            if member.working:
                try:
                    member.publisher.send(frame)
                except Exception as failure:  # of whatever kind: the others go on
                    self._lost(member, failure)
            elif member.opening is None and time.monotonic() >= member.retry_s:
                member.opening = threading.Thread(
                    target=self._reopen, args=(member,), name="visavis-reopen", daemon=True
                )
                member.opening.start()

    def close(self) -> list[BaseException]:
        """Close all, whatever happens; what failed in it is returned."""
        self._closing = True
        failures: list[BaseException] = []
        for member in self._members:
            with member.lock:
                if member.working:
                    member.working = False
                    try:
                        member.publisher.close()
                    except BaseException as failure:
                        failures.append(failure)
        return failures

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
            if self._closing:
                return
            try:
                member.publisher.open(*self._shape)
            except Exception:
                with suppress(Exception):
                    member.publisher.close()  # what was half opened
                member.retry_s = time.monotonic() + RETRY_S
            else:
                member.working = True
                self._say(f"{member.publisher.name} is back.")
            finally:
                member.opening = None


def _told(member: _Member, failure: Exception) -> str:
    """In one line. Our own errors name the publisher; before any other, its name is put."""
    if isinstance(failure, VisavisError):
        return str(failure).splitlines()[0].rstrip(".")
    return f"{member.publisher.name} failed ({type(failure).__name__}: {failure})"
