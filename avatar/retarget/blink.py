"""Lids that shut wholly and together when the driver blinks, one alone for a wink, and eyes that laugh and stay open.

MediaPipe's lids stop at 0 to 0.4 of their open distance when an eye is shut, one earlier than the other, and the eye
on the far side of a turned head is mostly guessed. Its blink scores are as uneven, for other reasons: both are read.
What tells a blink from a laughing or a reading eye, half shut as well, is its speed: lids that blink fall by 5 to 30
of their distances at rest a second, others by 3 at most (ten clips at 25 fps).
"""

from __future__ import annotations

import numpy as np

from avatar.core.arrays import Array
from avatar.face.gaps import DRAWN_SHUT

SHUT_OPENNESS = 0.3  # of the distance at rest: what the tracker still measures between lids that are shut
LEAST_SHUT = 0.05  # the same of drivers whose lids it sees wholly shut; learnt from their blinks
LEARNT = 0.3  # share of it that one blink teaches
SHUT_SCORE = 0.55  # of eyeBlink
FALLING, SHUT = 0.55, 0.85  # closure from which lids that blink run ahead of the tracker, and at which they meet
SLOW_FALLING, SLOW_SHUT = 0.85, 1.1  # the same of lids that fall slowly
FAST_FROM, FAST = 2.5, 5.0  # distances at rest a second: slower ones do not blink, faster ones do
BLINKS_S = 0.4  # time constant with which a fall that was fast is forgotten
TOGETHER_FROM, TOGETHER = 0.3, 0.5  # ratio of the two closures: below one eye winks, above both blink
DECIDED, OVER = 0.6, 0.3  # closure at which blink or wink is decided, and below which it is over
FAR_FROM, FAR = 0.25, 0.5  # sine of the turn at which the far eye begins to be guessed, and is


class BlinkDetector:
    """Judges both eyes of one driver, frame by frame."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._coupling: float | None = None  # while an eye is shut: how it was decided
        self._shut = SHUT_OPENNESS  # this driver's
        self._lowest = 1.0  # openness of the present blink
        self._before: Array | None = None
        self._fast = 0.0  # 1: the lids blink

    def __call__(
        self, openness: Array, scores: Array, rest_scores: Array, turn_sine: float, step_s: float
    ) -> tuple[Array, Array]:
        """(2,) openness to show, of the right and the left eye, and (2,) closure in [0, 1].

        openness: distance of the lids over that at rest; scores, rest_scores: eyeBlink now and at rest; all (2,), right
        eye first. turn_sine: positive where the head is turned so that its left eye is the far one. step_s: since the
        last frame.
        """
        by_lids = (1 - openness) / (1 - self._shut)
        by_score = np.maximum(scores - rest_scores, 0) / np.maximum(SHUT_SCORE - rest_scores, 0.1)
        closure = np.clip(0.6 * by_lids + 0.4 * by_score, 0, 1.2)
        far = int(turn_sine > 0)
        guessed = _smoothstep(FAR_FROM, FAR, abs(turn_sine))
        closure[far] += guessed * (closure[1 - far] - closure[far])
        openness = openness.copy()
        openness[far] += guessed * (openness[1 - far] - openness[far])
        most = float(closure.max())
        closure += self._together(most, float(closure.min())) * (most - closure)
        fast = self._blinks(openness, float(closure.max()), step_s)
        falling, shut_at = (
            slow + fast * (quick - slow) for slow, quick in ((SLOW_FALLING, FALLING), (SLOW_SHUT, SHUT))
        )
        shut = _smoothstep(falling, shut_at, closure)
        ceiling = np.minimum(openness, 1 - (1 - self._shut) * closure)
        shown = openness + np.minimum(closure / OVER, 1) * (ceiling - openness)
        shown = np.maximum(shown + shut * (DRAWN_SHUT - shown), DRAWN_SHUT)
        return np.asarray(shown, np.float32), np.clip(closure, 0, 1).astype(np.float32)

    def _blinks(self, openness: Array, most: float, step_s: float) -> float:
        """0: what narrows the eyes is slow, 1: it is a blink or a wink. Learns from each how far its lids shut."""
        falls = 0.0
        if self._before is not None and step_s > 0:
            falls = float((self._before - openness).max()) / step_s
        self._before = openness
        if most < OVER:
            if self._fast > 0 and self._lowest < SHUT_OPENNESS:
                self._shut += LEARNT * (max(self._lowest, LEAST_SHUT) - self._shut)
            self._fast, self._lowest = 0.0, 1.0
        else:
            self._lowest = min(self._lowest, float(openness.min()))
        self._fast *= float(np.exp(-step_s / BLINKS_S))
        self._fast = max(self._fast, float(_smoothstep(FAST_FROM, FAST, falls)))
        return self._fast

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
