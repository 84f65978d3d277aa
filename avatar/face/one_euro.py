"""The One-Euro filter: steady when the face rests, quick when it moves."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from avatar.core.arrays import Array


class OneEuroFilter:
    """A first-order low-pass whose cutoff rises with each value's own speed: fc = min_cutoff_hz + beta · |speed|.

    Lag: a first-order low-pass at cutoff fc delays slow motion by τ = 1 / (2π fc); the discrete form used here has
    exactly that delay at any frame rate. With the defaults (values in [0, 1] of a crop, speeds in crops a second):

    | motion                                        | speed  | cutoff | lag    |
    |-----------------------------------------------|--------|--------|--------|
    | at rest (only jitter is left)                 | 0      | 3 Hz   | 53 ms  |
    | a slow turn                                   | 0.25/s | 8 Hz   | 20 ms  |
    | a quick nod, a closing lid's landmarks        | 1/s    | 23 Hz  | 7 ms   |

    The speed itself is low-passed at `derivative_cutoff_hz` (159 ms at 1 Hz): that is how long the cutoff takes to
    rise when a motion begins. `beta` has the unit 1/value: for values in pixels divide it by the crop's side.

    Every element of the array is filtered by itself, or with its group: `groups` holds a number from 0 on for each
    element, and the speed is then the group's root mean square, less `rest_speed`. Noise is many points' own, motion is
    shared: a group tells them apart sooner than a point can, so it may rest at a lower cutoff and start more steeply.

    The first value after a reset, a change of shape or a step back in time passes unchanged; a repeated time gives the
    last result again. Not thread-safe.

    Source: Casiez, Roussel, Vogel: 1€ Filter, CHI 2012, https://gery.casiez.net/1euro/
    """

    def __init__(
        self,
        min_cutoff_hz: float = 3.0,
        beta: float = 20.0,
        derivative_cutoff_hz: float = 1.0,
        rest_speed: float = 0.0,
        groups: NDArray[np.int_] | None = None,
    ) -> None:
        if min_cutoff_hz <= 0 or derivative_cutoff_hz <= 0 or beta < 0 or rest_speed < 0:
            raise ValueError("cutoffs must be positive, and neither beta nor rest_speed may be negative")
        self.min_cutoff_hz = min_cutoff_hz
        self.beta = beta
        self.derivative_cutoff_hz = derivative_cutoff_hz
        self.rest_speed = rest_speed
        self._groups = None if groups is None else groups.reshape(-1)
        self._group_sizes = None if groups is None else np.maximum(np.bincount(groups.reshape(-1)), 1)
        self.reset()

    def reset(self) -> None:
        """Forget the past: call it when the face was lost."""
        self._time_s = 0.0
        self._raw: NDArray[np.float64] | None = None
        self._value: NDArray[np.float64] = np.zeros(0)
        self._speed: NDArray[np.float64] = np.zeros(0)

    def __call__(self, values: NDArray[np.floating], time_s: float) -> Array:
        """Filter an array of any shape, taken at `time_s` (seconds of any monotonic clock). Same shape, float32."""
        new = np.array(values, np.float64)  # a copy: the caller may reuse its array
        if self._raw is None or self._raw.shape != new.shape or time_s < self._time_s:
            self._raw, self._value, self._speed = new, new, np.zeros_like(new)
        elif time_s > self._time_s:
            step_s = time_s - self._time_s
            # from the raw values: measured from the filtered ones, the speed would grow with the frame rate
            speed = (new - self._raw) / step_s
            self._speed = self._speed + _gain(self.derivative_cutoff_hz, step_s) * (speed - self._speed)
            moving = np.maximum(self._magnitude() - self.rest_speed, 0.0)
            gain = _gain(self.min_cutoff_hz + self.beta * moving, step_s)
            self._value = self._value + gain * (new - self._value)
            self._raw = new
        self._time_s = time_s
        return self._value.astype(np.float32)

    def _magnitude(self) -> NDArray[np.float64]:
        """Of the speed: each element's own, or its group's."""
        if self._groups is None or self._group_sizes is None:
            return np.abs(self._speed)
        squares = np.bincount(self._groups, (self._speed * self._speed).reshape(-1))
        return np.asarray(np.sqrt(squares / self._group_sizes)[self._groups].reshape(self._speed.shape))


def _gain(cutoff_hz: NDArray[np.float64] | float, step_s: float) -> NDArray[np.float64]:
    return np.asarray(1.0 / (1.0 + 1.0 / (2.0 * np.pi * np.asarray(cutoff_hz) * step_s)))
