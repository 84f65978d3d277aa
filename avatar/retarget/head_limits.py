"""How far a head may leave its portraits: beyond, no picture of it exists to be warped, nor of the body below it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from avatar.core.arrays import Array
from avatar.face.body import NECK_JOINT, neck_joint
from avatar.face.head_pose import HeadPose, turn_between, turned_by

MAX_TURN_RADIANS = 0.6  # to the sides (yaw) and in the picture's plane (roll), from the nearest portrait's pose
MAX_NOD_RADIANS = 0.45  # pitch: a warp bears less of it, since it brings chin or crown into view
MAX_SHIFT = 0.12  # of the neck's joint, and of the body with it: of the crop's side
MAX_RISE, MAX_SINK = 0.06, 0.08  # the same, up and down: outside of its edge a portrait has no body and no hair to show
MAX_GROWTH, MAX_SHRINKAGE = 0.2, 0.1  # natural logarithm of the size
KNEE = 0.6  # share of a limit up to which motion passes as it is; from there it eases towards the limit


@dataclass(frozen=True)
class HeadLimits:
    """Bounds of a head's motion, as differences from the first portrait's pose. Several portraits widen them."""

    low: Array  # (7,) as `moved` takes it
    high: Array  # (7,)

    @classmethod
    def of(cls, portraits: list[HeadPose]) -> HeadLimits:
        own = portraits[0]
        turns = np.stack([turn_between(pose.rotation, own.rotation) for pose in portraits])
        reach = np.array([MAX_NOD_RADIANS, MAX_TURN_RADIANS, MAX_TURN_RADIANS], np.float32)
        near = np.array([MAX_GROWTH, MAX_SHIFT, MAX_SINK, 1.0], np.float32)  # depth shows nowhere
        far = -np.array([MAX_SHRINKAGE, MAX_SHIFT, MAX_RISE, 1.0], np.float32)
        low = np.concatenate([np.minimum(turns.min(0), 0) - reach, far])
        return cls(low, np.concatenate([np.maximum(turns.max(0), 0) + reach, near]))

    def ease(self, change: Array) -> Array:
        """A (7,) change of pose: unchanged near zero, and never beyond the limits."""
        limit = np.where(change < 0, -self.low, self.high)
        knee = KNEE * limit
        size = np.abs(change)
        beyond = np.maximum(size - knee, 0.0) / (limit - knee)
        return np.asarray(np.sign(change) * np.where(size < knee, size, knee + (limit - knee) * np.tanh(beyond)))


def moved(own: HeadPose, change: Array) -> HeadPose:
    """`own` after a (7,) change: turned about the neck's joint in the picture's axes, scaled by a logarithm, and the
    joint shifted."""
    rotation = np.asarray(turned_by(change[:3]) @ own.rotation, np.float32)
    scale = own.scale * float(np.exp(change[3]))
    joint = neck_joint(own) + change[4:]
    return HeadPose(rotation, scale, np.asarray(joint - scale * rotation @ NECK_JOINT, np.float32))
