"""Keeps the driver in the picture as a camera operator would: what leaves the limits moves the frame, not the neck."""

from __future__ import annotations

import numpy as np

from avatar.core.arrays import Array
from avatar.face.body import neck_joint
from avatar.face.head_pose import HeadPose

REFRAME_S = 0.7  # time constant with which the rest place follows what exceeds the limits: done within 2 s
CENTRE_S = 30.0  # time constant with which it follows a driver who has sat down differently
# Where the head is to stay in the middle: share of the limits that is followed as what exceeds them; as CENTRE_S
QUIET, CLOSE_CENTRE_S = 0.3, 5.0


def place(pose: HeadPose) -> Array:
    """(4,) logarithm of the size, and the neck's joint: what a camera operator minds."""
    return np.array([np.log(pose.scale), *neck_joint(pose)], np.float32)


class Framing:
    """How far the driver's rest place has moved from the one that was learnt. In the units of the driver's crop."""

    def __init__(self) -> None:
        self.closely = False  # the head stays in the middle of the picture, whatever the driver does
        self.reset()

    def reset(self) -> None:
        """The driver's rest place is the one that was learnt."""
        self._moved = np.zeros(4, np.float32)
        self._learnt: Array | None = None

    def since_rest(self, now: Array, learnt: Array) -> Array:
        """(4,) how far the place `now` is from rest: logarithm of the size, and shift in the driver's sizes at rest."""
        if self._learnt is not None:  # a better reference takes over what was moved
            step = learnt - self._learnt
            left = np.sign(self._moved) * np.maximum(np.abs(self._moved) - np.abs(step), 0)
            self._moved = np.where(self._moved * step > 0, left, self._moved)
        self._learnt = learnt
        change = now - learnt - self._moved
        change[1:] /= np.exp(learnt[0] + self._moved[0])
        return change

    def follow(self, change: Array, low: Array, high: Array, step_s: float, at_once: bool) -> Array:
        """Move the rest place after a `change` (4,) that exceeds `low` or `high`, or home with a driver who goes home.

        Returns what is left of the change.
        """
        assert self._learnt is not None
        quiet, centre_s = (QUIET, CLOSE_CENTRE_S) if self.closely else (1.0, CENTRE_S)
        share = 1.0 if at_once else 1 - float(np.exp(-step_s / REFRAME_S))
        size = float(np.exp(self._learnt[0] + self._moved[0]))
        unit = np.array([1, size, size, size], np.float32)
        excess = change - np.clip(change, quiet * low, quiet * high)
        away = np.abs(self._moved / unit)  # of the place that was learnt; he is on his way there, or past it
        home = np.where(self._moved * change < 0, np.sign(change) * np.minimum(away, np.abs(change)), 0)
        step = share * np.where(np.abs(home) > np.abs(excess), home, excess) + step_s / centre_s * change
        self._moved = np.asarray(self._moved + step * unit, np.float32)
        return np.asarray(change - step, np.float32)
