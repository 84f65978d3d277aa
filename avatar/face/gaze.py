"""Where the eyes look: irises that follow the driver's, and stay in the avatar's eyes."""

from __future__ import annotations

import numpy as np

from avatar.core.arrays import Array
from avatar.face import regions as at

# by eye, the subject's right one first: corners, iris (centre, then ring), the middle of its lids (upper, lower)
_OUTER, _INNER = np.array([33, 263]), np.array([133, 362])
_IRIS = np.array([[at.RIGHT_IRIS_CENTRE, *at.RIGHT_IRIS], [at.LEFT_IRIS_CENTRE, *at.LEFT_IRIS]])
_LIDS = np.stack([at.RIGHT_LID_PAIRS[2:5], at.LEFT_LID_PAIRS[2:5]])
MOST_ASIDE = 0.24  # of the eye's width, from the middle between its corners: there the white ends
MOST_UP = 0.16  # likewise, up and down
_LIMIT = np.array([MOST_ASIDE, MOST_UP], np.float32)
# In widths of the eye. How far an iris is from the middle of its eyeball, 11 of 29 mm; and where both irises are, as a
# mean, of people who look straight ahead. Whoever looks into a camera while the head is turned away from it has them
# IRIS_ORBIT · sine to the side: 28 people 0.007 ± 0.023 from there, in height ± 0.03
IRIS_ORBIT = 0.38
AHEAD = np.array([0.0, -0.065], np.float32)
REST_REACH = np.array([0.045, 0.06], np.float32)  # from there: a rest further away is a look elsewhere
HIDDEN_FROM, HIDDEN = 0.3, 0.6  # closure of an eye at which its iris begins to be guessed, and is


def gaze(shape: Array) -> Array:
    """(2, 2) by eye: the iris' way from the middle between the corners, x and y, in widths of the eye."""
    middle, width = _corners(shape)
    return np.asarray((shape[_IRIS[:, 0]] - middle)[:, :2] / width, np.float32)


def gaze_at_rest(learnt: Array, rotation: Array) -> Array:
    """(2, 2) gaze of a driver at rest, from the one that was `learnt` with the head at a (3, 3) rotation.

    At rest one looks ahead, into the camera, or between them. Who looked at another screen meanwhile did not rest.
    """
    at_camera = AHEAD - np.float32(IRIS_ORBIT) * rotation[2, :2]
    low, high = np.minimum(AHEAD, at_camera) - REST_REACH, np.maximum(AHEAD, at_camera) + REST_REACH
    mean = learnt.sum(0) / 2
    return np.asarray(learnt + np.clip(mean, low, high) - mean, np.float32)


def set_gaze(shape: Array, neutral: Array, wanted: Array) -> Array:
    """A copy of `shape` whose irises are the `neutral` face's own, moved to (2, 2) `wanted` within its eyes."""
    irises = neutral[_IRIS]
    own_middle, width = _corners(neutral)
    own = (irises[:, 0] - own_middle)[:, :2] / width
    # a portrait that looks to the side has its iris there already
    limit = np.maximum(_LIMIT, np.abs(own))
    centre = (shape[_OUTER] + shape[_INNER]) / 2
    centre[:, :2] += np.minimum(np.maximum(wanted, -limit), limit) * width
    centre[:, 2] += irises[:, 0, 2] - own_middle[:, 2]
    heights = shape[_LIDS, 1].sum(1) / _LIDS.shape[1]  # (2, 2) by eye: upper, lower
    middle, room = heights.sum(1) / 2, np.maximum(heights[:, 1] - heights[:, 0], 0) / 2
    centre[:, 1] = np.minimum(np.maximum(centre[:, 1], middle - room), middle + room)
    result = shape.copy()
    result[_IRIS] = centre[:, None] + irises - irises[:, :1]
    return result


class Gaze:
    """The driver's gaze, told by both eyes as far as they can be seen, and kept through a blink."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._last: Array | None = None

    def __call__(self, change: Array, closure: Array, turn_sine: float) -> Array:
        """(2,) change of gaze from the (2, 2) changes of the two irises. closure, turn_sine: as of `BlinkDetector`."""
        seen = 1 - np.clip((closure - HIDDEN_FROM) / (HIDDEN - HIDDEN_FROM), 0, 1)
        near = np.clip(1 + np.array([2.0, -2.0]) * turn_sine, 0.05, 1)
        weights = seen * near
        sum_of_weights = float(weights.sum())
        both = (change * weights[:, None]).sum(0) / max(sum_of_weights, 1e-6)
        trust = min(1.0, sum_of_weights)
        last = both if self._last is None else self._last
        self._last = np.asarray(trust * both + (1 - trust) * last, np.float32)
        return self._last


def _corners(shape: Array) -> tuple[Array, Array]:
    """(2, 3) middles between the corners, and (2, 1) widths."""
    outer, inner = shape[_OUTER], shape[_INNER]
    return (outer + inner) / 2, np.sqrt(((outer - inner) ** 2).sum(1))[:, None]
