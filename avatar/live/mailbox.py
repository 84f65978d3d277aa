"""The only thing between two stages: room for one item."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

T = TypeVar("T")


class Mailbox(Generic[T]):
    """Holds the newest item. Putting over an item that nobody took drops the old one and counts it.

    A bounded queue of size one, so that a slow stage costs frames and never adds delay.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.dropped = 0
        self._item: T | None = None
        self._closed = False
        self._changed = threading.Condition()

    def put(self, item: T) -> bool:
        """Leave an item. False when the mailbox is closed: nobody will ever take it."""
        with self._changed:
            if self._closed:
                return False
            if self._item is not None:
                self.dropped += 1
            self._item = item
            self._changed.notify()
            return True

    def take(self) -> T | None:
        """Wait for an item. After `close`, the one that is left and then None."""
        with self._changed:
            while self._item is None and not self._closed:
                self._changed.wait(0.5)  # a wait without limit would hold back Ctrl-C on Windows
            item, self._item = self._item, None
            return item

    def close(self, discard: bool = False) -> None:
        """No more items. Wakes the reader; `discard` also throws away the last item. Safe to call twice."""
        with self._changed:
            self._closed = True
            if discard:
                self._item = None
            self._changed.notify_all()
