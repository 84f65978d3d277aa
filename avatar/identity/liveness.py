"""Is a living person there now, and the one whom the portraits show? Gestures are asked for in a random order.

Judges a stream of tracked faces: numbers only. What it withstands and what it cannot: `docs/LIVENESS.md`.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from avatar.core.arrays import Array
from avatar.face.face_descriptor import distance
from avatar.face.state import FaceState
from avatar.identity.liveness_signs import Gesture, Signs, gestures, in_the_middle
from avatar.retarget.likeness import STRANGER, Likeness

GESTURES: dict[Gesture, str] = {
    "left": "turn your head to your left",
    "right": "turn your head to your right",
    "shut": "close your eyes for a moment, and open them",
    "smile": "smile broadly",
    "open": "open your mouth wide",
}
ASKED = 4  # of the five: two at least that no stiff picture does
GESTURE_S, REST_S = 6.0, 8.0  # to do what is asked for, and to come back to the middle
CALM_S, HELD_S = 0.5, 0.12  # how long the middle is held before anything is asked for, and a gesture until it counts
REACTION_S = 0.15  # nobody does within this what is asked for: it had begun before
GAP_S = 1.0  # without a picture: computers are busy
JUMP = 0.5  # sizes of the face from one picture to the next
# What shows that something else is played than what was asked for. People blink unasked, smile while they turn, and
# part their lips when they smile.
AGAINST: dict[Gesture, frozenset[Gesture]] = {
    "left": frozenset({"right", "open"}),
    "right": frozenset({"left", "open"}),
    "shut": frozenset({"left", "right", "open", "smile"}),
    "smile": frozenset({"left", "right"}),
    "open": frozenset({"left", "right"}),
}
BACK = "look straight at the camera, calm, your mouth closed"
# Why it fails, as the end of a sentence
NO_REST = "the face did not come to rest in the middle, its mouth closed"
OTHER_FACE = "it is not the face that was enrolled"
UNDESCRIBED = "whose face it is could not be told: come nearer, into good light"


def random_order() -> tuple[Gesture, ...]:
    """What is asked for, drawn anew each time: 120 orders."""
    return tuple(secrets.SystemRandom().sample(list(GESTURES), ASKED))


class LivenessChallenge:
    """Asks for one gesture after the other, and watches one face all along: `see` each picture's, until it is `over`.

    Some of them need a descriptor, while the face rests: three a second are plenty.
    """

    def __init__(self, portraits: Array, order: Sequence[Gesture] | None = None) -> None:
        """portraits: (T, 128) descriptors of the person's portraits. order: what is asked for; None: it is drawn."""
        self.order = tuple(order) if order is not None else random_order()
        self.done = 0  # gestures that were seen
        self.passed = False
        self.failure: str | None = None
        self._own = portraits.mean(0)
        self._likeness = Likeness(portraits)
        self._descriptors: list[Array] = []
        self._described = False  # since the last gesture
        self._asking = False
        self._rest: Signs | None = None
        self._since_ns: int | None = None  # when the gesture was asked for, or the way back to the middle began
        self._held_ns: int | None = None  # since when the gesture, or the middle, is held
        self._last: FaceState | None = None

    @property
    def over(self) -> bool:
        return self.passed or self.failure is not None

    @property
    def hint(self) -> str:
        """What the person should do now, as part of a sentence."""
        return GESTURES[self.order[self.done]] if self._asking else BACK

    def record(self) -> dict[str, Any]:
        """What the consent record keeps of a challenge that was passed."""
        return {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "gestures": list(self.order),
            "distance": round(distance(np.mean(self._descriptors, axis=0), self._own), 3),
        }

    def see(self, face: FaceState) -> None:
        if self.over:
            return
        if self._since_ns is None:
            self._since_ns = face.capture_ns
        fault = self._not_one_face(face) or self._not_the_person(face)
        self._last = face if face.found else None
        if fault is None:
            judge = self._expect_gesture if self._asking else self._expect_rest
            judge(face, Signs.of(face))
        elif self._rest is not None:
            self.failure = fault
        else:
            self._begin_watching(face, fault)

    def _begin_watching(self, face: FaceState, fault: str) -> None:
        """Anew, as nothing was asked for yet: the person is still coming."""
        self._held_ns, self._described = None, False
        self._descriptors.clear()
        self._likeness.forget()
        self.failure = fault if self._waited_s(face) > REST_S else None

    def _not_one_face(self, face: FaceState) -> str | None:
        """Why this is not one face that was seen all along."""
        if not face.found:
            return "the face was out of sight for a moment"
        if face.faces > 1:
            return "a second face came into the picture"
        if self._last is None:
            return None
        if not 0 < face.capture_ns - self._last.capture_ns <= GAP_S * 1e9:
            return "the picture stood still"
        way = float(np.linalg.norm((face.landmarks - self._last.landmarks)[:, :2].mean(0)))
        return "the picture jumped" if way > JUMP * float(np.ptp(self._last.landmarks[:, 1])) else None

    def _not_the_person(self, face: FaceState) -> str | None:
        if face.descriptor is None:
            return None
        before, known = self._likeness.driver, self._likeness.whose == "own"
        if before is not None and distance(face.descriptor, before) > STRANGER:
            return OTHER_FACE
        self._descriptors.append(face.descriptor)
        self._described = True
        return OTHER_FACE if self._likeness.see(face.descriptor) == "other" and known else None

    def _expect_rest(self, face: FaceState, now: Signs) -> None:
        resting = now.calm if self._rest is None else in_the_middle(now, self._rest)
        if self._held(face, resting, CALM_S) and self._described and self._likeness.whose == "own":
            self._rest = self._rest or now
            self.passed = self.done == len(self.order)
            self._begin(face, asking=not self.passed)
        elif self._waited_s(face) > REST_S:
            described = OTHER_FACE if self._likeness.whose == "other" else UNDESCRIBED
            self.failure = described if resting else NO_REST

    def _expect_gesture(self, face: FaceState, now: Signs) -> None:
        assert self._rest is not None
        asked, shown = self.order[self.done], gestures(now, self._rest)
        if shown & AGAINST[asked]:
            self.failure = f"something else was done when it was asked to {_told(asked)}"
        elif asked in shown and self._held_ns is None and self._waited_s(face) < REACTION_S:
            self._begin(face, asking=False)  # it had begun before: it is asked for again
        elif self._held(face, asked in shown, HELD_S):
            self.done += 1
            self._begin(face, asking=False)
        elif self._waited_s(face) > GESTURE_S:
            self.failure = f"it took longer than {GESTURE_S:.0f} seconds to {_told(asked)}"

    def _held(self, face: FaceState, shown: bool, seconds: float) -> bool:
        """Has it been shown for so long, without a break?"""
        if not shown:
            self._held_ns = None
        elif self._held_ns is None:
            self._held_ns = face.capture_ns
        return self._held_ns is not None and face.capture_ns - self._held_ns >= seconds * 1e9

    def _begin(self, face: FaceState, asking: bool) -> None:
        self._asking, self._since_ns, self._held_ns = asking, face.capture_ns, None
        self._described = False  # anew, each time that the face comes back to the middle

    def _waited_s(self, face: FaceState) -> float:
        return (face.capture_ns - (self._since_ns or 0)) / 1e9


def _told(gesture: Gesture) -> str:
    return GESTURES[gesture].replace("your ", "the ")
