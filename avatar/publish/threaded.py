"""A publisher whose work may take its time: a window, an encoder, a slow disk."""

from __future__ import annotations

import threading
from abc import abstractmethod
from functools import partial

from avatar.core.errors import DeviceError
from avatar.core.frame import Frame
from avatar.core.mailbox import Mailbox
from avatar.publish.publisher import Publisher

FINISH_S = 20.0  # an encoder's last frames on a slow disk


class ThreadedPublisher(Publisher):
    """Works in a thread of its own behind a mailbox of size one: `send` never waits, the newest frame wins.

    `_begin`, `_take` and `_end` are called in that thread, `_end` also after a failure. What they raise comes out of
    the next `open`, `send` or `close`, once.
    """

    def __init__(self) -> None:
        self._mailbox: Mailbox[Frame] = Mailbox("publisher")
        self._ended: threading.Event | None = None  # of the work that was begun
        self._failure: BaseException | None = None
        self._dropped_before = 0

    def open(self, width: int, height: int, fps: float) -> None:
        self._mailbox, self._failure, self._dropped_before = Mailbox("publisher"), None, self.dropped
        begun, self._ended = threading.Event(), threading.Event()
        work = partial(self._work, self._mailbox, begun, self._ended, width, height, fps)
        # daemon: a desktop or a disk that never answers must not keep the program alive
        threading.Thread(target=work, name=f"visavis-{type(self).__name__}", daemon=True).start()
        if not begun.wait(FINISH_S):
            raise DeviceError(f"{self.name} did not open within {FINISH_S:.0f} s.")
        self._raise_failure()

    def send(self, frame: Frame) -> None:
        self._mailbox.put(frame)
        self.dropped = self._dropped_before + self._mailbox.dropped
        self._raise_failure()

    def close(self) -> None:
        ended, self._ended = self._ended, None
        if ended is None:
            return
        self._mailbox.close()
        if not ended.wait(FINISH_S):
            raise DeviceError(f"{self.name} did not come to its end within {FINISH_S:.0f} s.")
        self._raise_failure()

    @abstractmethod
    def _begin(self, width: int, height: int, fps: float) -> None: ...

    @abstractmethod
    def _take(self, frame: Frame) -> None: ...

    @abstractmethod
    def _end(self) -> None: ...

    def _work(
        self,
        mailbox: Mailbox[Frame],
        begun: threading.Event,
        ended: threading.Event,
        width: int,
        height: int,
        fps: float,
    ) -> None:
        try:
            try:
                self._begin(width, height, fps)
                begun.set()
                while (frame := mailbox.take()) is not None:
                    self._take(frame)
            finally:
                mailbox.close(discard=True)
                self._end()
        except BaseException as failure:
            self._failure = failure
        finally:
            begun.set()
            ended.set()

    def _raise_failure(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure
