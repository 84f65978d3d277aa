"""The idle pose: a portrait that breathes, sways, blinks and looks about a little while nobody drives it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from avatar.core.arrays import Array
from avatar.face.gaps import DRAWN_SHUT, gaps, set_lid_gaps
from avatar.face.gaze import gaze, set_gaze
from avatar.face.head_pose import HeadPose, to_vector
from avatar.face.regions import LEFT_LID_PAIRS, RIGHT_LID_PAIRS
from avatar.retarget.head_limits import moved

ROUND_S = 240.0  # then everything repeats, without a seam
BREATHS = 56  # a round: 14 a minute
BREATH_SHIFT, BREATH_NOD = 0.0025, 0.006  # of the crop's side; radians
SWAYS = ((17, 29), (23, 38), (13, 31))  # waves a round of nod, turn and tilt: they never meet twice alike
SWAY_RADIANS = (0.007, 0.014, 0.006)
BLINK_MEAN_S, BLINK_LEAST_S = 3.6, 1.4  # people at rest: 12 to 19 a minute (Bentivoglio et al., 1997)
BLINK_TWICE = 0.12  # share of blinks that are followed by another at once
CLOSE_S, OPEN_S = 0.09, 0.19
GLANCE_MEAN_S, GLANCE_LEAST_S, GLANCE_TAKES_S = 2.2, 0.8, 0.06
GLANCE = (0.035, 0.018)  # standard deviation, in widths of the eye


class IdleMotion:
    """The portrait's own expression and pose with small motions that depend on the time and the seed alone."""

    def __init__(self, shape: Array, pose: HeadPose, seed: int = 0) -> None:
        self._shape, self._pose, self._time_s = shape, pose, 0.0
        rng = np.random.default_rng(seed)
        self._phases = rng.uniform(0, 2 * np.pi, (3, 2))
        blinks = _times(rng, BLINK_MEAN_S, BLINK_LEAST_S)
        again = blinks[rng.random(len(blinks)) < BLINK_TWICE] + CLOSE_S + OPEN_S + 0.06
        self._blinks = np.sort(np.concatenate([blinks, again]))
        self._glances = _times(rng, GLANCE_MEAN_S, GLANCE_LEAST_S)
        places = rng.normal(0, GLANCE, (len(self._glances), 2))
        places[rng.random(len(places)) < 0.45] = 0  # back to the camera
        self._places = places
        self._gaze = gaze(shape)

    def advance(self, step_s: float) -> None:
        """Time goes on, whether the portrait idles or is driven."""
        self._time_s += step_s

    def now(self) -> tuple[Array, Array]:
        """As of `at`."""
        return self.at(self._time_s)

    def at(self, time_s: float) -> tuple[Array, Array]:
        """(478, 3) pose-free shape and (7,) pose in [0, 1] of the crop at a time in seconds."""
        time_s %= ROUND_S
        angle = 2 * np.pi * time_s / ROUND_S
        breath = np.sin(BREATHS * angle)
        change = np.zeros(7, np.float32)
        for axis, (waves, radians) in enumerate(zip(SWAYS, SWAY_RADIANS, strict=True)):
            change[axis] = radians * np.mean(np.sin(np.multiply(waves, angle) + self._phases[axis]))
        change[0] += BREATH_NOD * breath
        change[5] = BREATH_SHIFT * breath
        shape = self._shape
        if (open_share := self._open_share(time_s)) < 1:
            for pairs in (RIGHT_LID_PAIRS, LEFT_LID_PAIRS):
                shape = set_lid_gaps(shape, pairs, gaps(shape, pairs) * open_share)
        shape = set_gaze(shape, self._shape, self._gaze + self._glance(time_s))
        return shape, to_vector(moved(self._pose, change))

    def _open_share(self, time_s: float) -> float:
        after = time_s - self._blinks[np.searchsorted(self._blinks, time_s, "right") - 1]
        if not 0 <= after < CLOSE_S + OPEN_S:
            return 1.0
        shut = after / CLOSE_S if after < CLOSE_S else 1 - (after - CLOSE_S) / OPEN_S
        return float(1 - (1 - DRAWN_SHUT) * shut * shut * (3 - 2 * shut))

    def _glance(self, time_s: float) -> Array:
        number = int(np.searchsorted(self._glances, time_s, "right")) - 1
        share = np.clip((time_s - self._glances[number]) % ROUND_S / GLANCE_TAKES_S, 0, 1)
        return np.asarray(self._places[number - 1] + share * (self._places[number] - self._places[number - 1]))


def _times(rng: np.random.Generator, mean_s: float, least_s: float) -> NDArray[np.float64]:
    """Moments within a round, `least_s` apart at least, else at random."""
    steps = least_s + rng.exponential(mean_s - least_s, int(3 * ROUND_S / mean_s))
    times = np.cumsum(steps)
    return times[times < ROUND_S - 2 * least_s]
