"""Lids that shut wholly and together when the driver blinks, and one alone when the driver winks.

MediaPipe's lids stop at 0.1 to 0.4 of their open distance when an eye is shut, one earlier than the other, and the eye
on the far side of a turned head is mostly guessed. Its blink scores are as uneven, for other reasons: both are read.
"""

from __future__ import annotations

import numpy as np

from avatar.core.arrays import Array
from avatar.face.gaps import DRAWN_SHUT

SHUT_OPENNESS = 0.3  # of the distance at rest: what the tracker still measures between lids that are shut
SHUT_SCORE = 0.55  # of eyeBlink
FALLING, SHUT = 0.55, 0.85  # closure from which the lids run ahead of the tracker, and at which they meet
TOGETHER_FROM, TOGETHER = 0.3, 0.5  # ratio of the two closures: below one eye winks, above both blink
DECIDED, OVER = 0.6, 0.3  # closure at which blink or wink is decided, and below which it is over
FAR_FROM, FAR = 0.25, 0.5  # sine of the turn at which the far eye begins to be guessed, and is


class BlinkDetector:
    """Judges both eyes of one driver, frame by frame."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._coupling: float | None = None  # while an eye is shut: how it was decided

    def __call__(self, openness: Array, scores: Array, rest_scores: Array, turn_sine: float) -> tuple[Array, Array]:
        """(2,) openness to show, of the right and the left eye, and (2,) closure in [0, 1].

        openness: distance of the lids over that at rest; scores, rest_scores: eyeBlink now and at rest; all (2,), right
        eye first. turn_sine: positive where the head is turned so that its left eye is the far one.
        """
        by_lids = (1 - openness) / (1 - SHUT_OPENNESS)
        by_score = np.maximum(scores - rest_scores, 0) / np.maximum(SHUT_SCORE - rest_scores, 0.1)
        closure = np.clip(0.6 * by_lids + 0.4 * by_score, 0, 1.2)
        far = int(turn_sine > 0)
        guessed = _smoothstep(FAR_FROM, FAR, abs(turn_sine))
        closure[far] += guessed * (closure[1 - far] - closure[far])
        openness = openness.copy()
        openness[far] += guessed * (openness[1 - far] - openness[far])
        most = float(closure.max())
        closure += self._together(most, float(closure.min())) * (most - closure)
        shut = _smoothstep(FALLING, SHUT, closure)
        ceiling = np.minimum(openness, 1 - (1 - SHUT_OPENNESS) * closure)
        shown = openness + np.minimum(closure / OVER, 1) * (ceiling - openness)
        shown = np.maximum(shown + shut * (DRAWN_SHUT - shown), DRAWN_SHUT)
        return np.asarray(shown, np.float32), np.clip(closure, 0, 1).astype(np.float32)

    def _together(self, most: float, least: float) -> float:
        """How far the eye that is shut less follows the other, decided once for each blink or wink."""
        coupling = _smoothstep(TOGETHER_FROM, TOGETHER, least / most) if most > 1e-3 else 0.0
        if most < OVER:
            self._coupling = None
        elif self._coupling is not None:
            return self._coupling
        elif most > DECIDED:
            self._coupling = float(round(float(coupling)))
        return float(coupling)


def _smoothstep(low: float, high: float, value: Array | float) -> Array | float:
    share = np.clip((value - low) / (high - low), 0, 1)
    return np.asarray(share * share * (3 - 2 * share), np.float32)
