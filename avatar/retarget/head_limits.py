"""How far a head may leave its portraits: beyond, no picture of it exists to be warped."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avatar.retarget.geometry import HeadPose, turn_between, turned_by

Array = NDArray[np.float32]

MAX_TURN_RADIANS = 0.6  # to the sides (yaw) and in the picture's plane (roll), from the nearest portrait's pose
MAX_NOD_RADIANS = 0.45  # pitch: a warp bears less of it, since it brings chin or crown into view
MAX_SHIFT = 0.14  # of the crop's side
MAX_SCALE_CHANGE = 0.25  # natural logarithm
KNEE = 0.6  # share of a limit up to which motion passes as it is; from there it eases towards the limit


@dataclass(frozen=True)
class HeadLimits:
    """Bounds of a head's motion, as differences from the first portrait's pose. Several portraits widen them."""

    low: Array  # (7,) as of `to_vector`
    high: Array  # (7,)

    @classmethod
    def of(cls, portraits: list[HeadPose]) -> HeadLimits:
        own = portraits[0]
        turns = np.stack([turn_between(pose.rotation, own.rotation) for pose in portraits])
        reach = np.array([MAX_NOD_RADIANS, MAX_TURN_RADIANS, MAX_TURN_RADIANS], np.float32)
        rest = np.array([MAX_SCALE_CHANGE, MAX_SHIFT, MAX_SHIFT, 1.0], np.float32)  # depth shows nowhere
        low = np.concatenate([np.minimum(turns.min(0), 0) - reach, -rest])
        return cls(low, np.concatenate([np.maximum(turns.max(0), 0) + reach, rest]))

    def ease(self, change: Array) -> Array:
        """A (7,) change of pose, as it is near zero and never beyond the limits."""
        limit = np.where(change < 0, -self.low, self.high)
        knee = KNEE * limit
        size = np.abs(change)
        beyond = np.maximum(size - knee, 0.0) / (limit - knee)
        return np.asarray(np.sign(change) * np.where(size < knee, size, knee + (limit - knee) * np.tanh(beyond)))


def moved(own: HeadPose, change: Array) -> HeadPose:
    """`own` after a (7,) change: turned in the picture's axes, scaled by a logarithm, shifted."""
    return HeadPose(
        np.asarray(turned_by(change[:3]) @ own.rotation, np.float32),
        own.scale * float(np.exp(change[3])),
        np.asarray(own.translation + change[4:], np.float32),
    )
