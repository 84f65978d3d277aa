"""Things handed out in real time, as a camera hands them out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Played(Generic[T]):
    """One item, when it was due."""

    item: T
    due_ns: int  # by time.monotonic_ns()
    index: int  # of those handed out


class Playback(Generic[T]):
    """Plays items by their times: `read` waits until the next one is due.

    Whoever asks late gets the newest item that is due; those before it are dropped and counted, so that a slow
    consumer never builds up delay. `endless` starts over at the end, `gap_s` after the last item.
    """

    def __init__(
        self, open_items: Callable[[], Iterable[tuple[float, T]]], gap_s: float, endless: bool = False
    ) -> None:
        """`open_items` gives (seconds, item) in order, afresh at each call."""
        self._open_items = open_items
        self._gap_s = gap_s
        self._endless = endless
        self._items: Iterator[tuple[float, T]] = iter(open_items())
        self._ahead: tuple[float, T] | None = next(self._items, None)
        self._zero_ns: int | None = None  # the moment of 0 s; moves on when it starts over
        self._index = 0
        self.dropped = 0

    def read(self) -> Played[T] | None:
        """The next item, when it is due; None after the last one."""
        if self._ahead is None:
            return None
        media_s, item = self._ahead
        if self._zero_ns is None:
            self._zero_ns = time.monotonic_ns() - round(media_s * 1e9)
        due_ns = self._due_ns(media_s)
        self._advance(media_s)
        # At most a second's worth in one go: where decoding itself is slower than real time, some frame must come out
        for _ in range(max(1, round(1 / self._gap_s))):
            if self._ahead is None or self._due_ns(self._ahead[0]) > time.monotonic_ns():
                break
            media_s, item = self._ahead
            due_ns = self._due_ns(media_s)
            self.dropped += 1
            self._advance(media_s)
        wait_s = (due_ns - time.monotonic_ns()) / 1e9
        if wait_s > 0:
            time.sleep(wait_s)
        self._index += 1
        return Played(item, due_ns, self._index - 1)

    def _due_ns(self, media_s: float) -> int:
        assert self._zero_ns is not None
        return self._zero_ns + round(media_s * 1e9)

    def _advance(self, last_s: float) -> None:
        self._ahead = next(self._items, None)
        if self._ahead is None and self._endless and self._zero_ns is not None:
            self._items = iter(self._open_items())
            self._ahead = next(self._items, None)
            if self._ahead is not None:
                self._zero_ns += round((last_s + self._gap_s - self._ahead[0]) * 1e9)
