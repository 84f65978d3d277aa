"""The driver's turns and moves as the avatar's: from rest, in the picture, and no further than its portraits bear."""

from __future__ import annotations

import numpy as np

from avatar.core.arrays import Array
from avatar.face.head_pose import HeadPose, from_vector, to_vector, turn_between
from avatar.retarget.driver_face import DriverFace
from avatar.retarget.framing import Framing, place
from avatar.retarget.head_limits import HeadLimits, moved


class HeadMotion:
    """Moves one avatar's head. `framed`: the driver's rest place follows what exceeds the limits, as of `Framing`."""

    def __init__(self, portraits: list[HeadPose], framed: bool = True) -> None:
        """`portraits`: poses in [0, 1] of the crop; the first is the avatar's own."""
        self._own, self._limits = portraits[0], HeadLimits.of(portraits)
        self._framing, self._framed = Framing(), framed
        self._at_once = False

    def stay_in_the_middle(self, closely: bool) -> None:
        """Whether the frame follows the driver's every move, or only one that it would lose, as of `Framing`."""
        self._framing.closely = closely

    def reset(self) -> None:
        """The driver's rest place is the one that was learnt."""
        self._framing.reset()
        self.reframe()

    def reframe(self) -> None:
        """The driver's next place may be a new one: the frame follows at once what exceeds the limits there."""
        self._at_once = True

    def of(self, face: DriverFace, calm: DriverFace, relative: bool, gain: float, step_s: float) -> Array:
        """(7,) pose of the avatar's head, as of `to_vector`, for the driver's `face`, `step_s` after the last one.

        `relative`: the moves since `calm` are added to the avatar's own pose. Otherwise the driver's pose and place are
        taken as they are, with limits only where the place is `framed`.
        """
        own, now = self._own, from_vector(face.pose)
        base = from_vector(calm.pose) if relative else own
        since_rest = self._framing.since_rest(place(now), place(base))
        if self._framed and gain > 0:
            shown = np.float32(gain) * np.array([1, own.scale, own.scale, own.scale], np.float32)
            low, high = self._limits.low[3:] / shown, self._limits.high[3:] / shown
            since_rest = self._framing.follow(since_rest, low, high, step_s, self._at_once)
            self._at_once = False
        turn = turn_between(now.rotation, base.rotation)
        change = np.float32(gain) * np.array([*turn, since_rest[0], *since_rest[1:] * own.scale], np.float32)
        if self._framed or relative:
            change = self._limits.ease(change)
        return to_vector(moved(own, change))
