"""Frames handed out in real time, as a camera hands them out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from avatar.frame import Frame


class Pacer:
    """Plays frames by their `media_s`: `read` waits until the next one is due and stamps it with that moment.

    Whoever asks late gets the newest frame that is due; those before it are dropped and counted, so that a slow
    consumer never builds up delay. `endless` starts over at the end, `gap_s` after the last frame.
    """

    def __init__(self, open_frames: Callable[[], Iterable[Frame]], gap_s: float, endless: bool = False) -> None:
        self._open_frames = open_frames
        self._gap_s = gap_s
        self._endless = endless
        self._frames: Iterator[Frame] = iter(open_frames())
        self._ahead: Frame | None = next(self._frames, None)
        self._zero_ns: int | None = None  # the moment of media_s == 0; moves on when the file starts over
        self._index = 0
        self.dropped = 0

    def read(self) -> Frame | None:
        """The next frame, when it is due; None after the last one."""
        frame = self._ahead
        if frame is None:
            return None
        if self._zero_ns is None:
            self._zero_ns = time.monotonic_ns() - round(frame.media_s * 1e9)
        due_ns = self._due_ns(frame)
        self._advance(frame)
        # At most a second's worth in one go: where decoding itself is slower than real time, some frame must come out
        for _ in range(max(1, round(1 / self._gap_s))):
            ahead = self._ahead
            if ahead is None or self._due_ns(ahead) > time.monotonic_ns():
                break
            frame, due_ns = ahead, self._due_ns(ahead)
            self.dropped += 1
            self._advance(frame)
        wait_s = (due_ns - time.monotonic_ns()) / 1e9
        if wait_s > 0:
            time.sleep(wait_s)
        stamped = replace(frame, capture_ns=due_ns, index=self._index)
        self._index += 1
        return stamped

    def _due_ns(self, frame: Frame) -> int:
        assert self._zero_ns is not None
        return self._zero_ns + round(frame.media_s * 1e9)

    def _advance(self, last: Frame) -> None:
        self._ahead = next(self._frames, None)
        if self._ahead is None and self._endless and self._zero_ns is not None:
            self._frames = iter(self._open_frames())
            self._ahead = next(self._frames, None)
            if self._ahead is not None:
                self._zero_ns += round((last.media_s + self._gap_s - self._ahead.media_s) * 1e9)
