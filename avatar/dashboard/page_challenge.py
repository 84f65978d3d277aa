"""The liveness challenge on the page: its webcam's pictures go to the same check as a camera's at a terminal."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from avatar.core.arrays import Array, Picture
from avatar.core.frame import Frame
from avatar.core.mailbox import Mailbox
from avatar.identity.liveness import GESTURES, LivenessChallenge
from avatar.identity.liveness_check import TRIES, check_liveness

PATIENCE_S = 15.0  # without any picture

Told = dict[str, Any]


class PageChallenge:
    """`run` in a thread of its own; `see` and `stop` from any.

    What the page is told is {say, gesture, done, asked, tries_left, failure}: gesture is one of GESTURES or "" between
    two, failure why the try before was none.
    """

    def __init__(self, tracker_model: Callable[[], Path]) -> None:
        self._tracker_model = tracker_model
        self._pictures: Mailbox[Frame] = Mailbox("challenge")
        self._numbers = itertools.count()
        self._tries_left, self._failure = TRIES, ""
        self._told: Told = {}

    def run(self, portraits: Array) -> tuple[dict[str, Any] | None, str]:
        """As of `check_liveness`. portraits: (T, 128) descriptors."""
        return check_liveness(self._frames(), self._tracker_model(), portraits, self._tell)

    def see(self, rgb: Picture) -> Told:
        """The newest picture (H, W, 3) of the webcam; one that nobody has looked at yet is let go. What is said now."""
        self._pictures.put(Frame(rgb, time.monotonic_ns(), next(self._numbers)))
        return self._told

    def stop(self) -> None:
        self._pictures.close(discard=True)

    def _frames(self) -> Iterator[Frame]:
        while (frame := self._pictures.take(PATIENCE_S)) is not None:
            yield frame

    def _tell(self, challenge: LivenessChallenge) -> None:
        if challenge.failure is not None:
            self._tries_left -= 1
            self._failure = challenge.failure
        elif challenge.done:
            self._failure = ""
        hint = "" if challenge.over else challenge.hint
        self._told = {
            "say": hint[:1].upper() + hint[1:],
            "gesture": next((name for name, words in GESTURES.items() if words == hint), ""),
            "done": challenge.done,
            "asked": len(challenge.order),
            "tries_left": self._tries_left,
            "failure": self._failure,
        }
