"""The only thing between two stages: room for one item."""

from __future__ import annotations

import threading
import time
from typing import Generic, TypeVar

T = TypeVar("T")


class Mailbox(Generic[T]):
    """Holds the newest item. Putting over an item that nobody took drops the old one and counts it.

    A bounded queue of size one, so that a slow stage costs frames and never adds delay.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.dropped = 0
        self.closed = False
        self._item: T | None = None
        self._changed = threading.Condition()

    def put(self, item: T) -> bool:
        """Leave an item. False when the mailbox is closed: nobody will ever take it."""
        with self._changed:
            if self.closed:
                return False
            if self._item is not None:
                self.dropped += 1
            self._item = item
            self._changed.notify()
            return True

    def offer(self, item: T) -> bool:
        """Leave a less important item: where another one waits, this one is dropped and counted. False when closed."""
        with self._changed:
            if self._item is None or self.closed:
                return self.put(item)
            self.dropped += 1
            return True

    def take(self, within_s: float | None = None) -> T | None:
        """Wait for an item. None when none came in time; after `close`, the one that is left and then None."""
        deadline_s = None if within_s is None else time.monotonic() + within_s
        with self._changed:
            while self._item is None and not self.closed:
                left_s = 0.5  # a wait without limit would hold back Ctrl-C on Windows
                if deadline_s is not None:
                    left_s = min(left_s, deadline_s - time.monotonic())
                    if left_s <= 0:
                        return None
                self._changed.wait(left_s)
            item, self._item = self._item, None
            return item

    def close(self, discard: bool = False) -> None:
        """No more items. Wakes the reader; `discard` also throws away the last item. Safe to call twice."""
        with self._changed:
            self.closed = True
            if discard:
                self._item = None
            self._changed.notify_all()
