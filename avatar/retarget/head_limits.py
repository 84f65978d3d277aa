"""How far a head may leave its portraits: beyond, no picture of it exists to be warped, nor of the body below it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from avatar.core.arrays import Array
from avatar.face.body import NECK_JOINT, neck_joint
from avatar.face.head_pose import HeadPose, turn_between, turned_by

MAX_TURN_RADIANS = 0.6  # to the sides (yaw), from the nearest portrait's pose
MAX_ROLL_RADIANS = 0.45  # in the picture's plane: collars and hair on the shoulders bear no more
MAX_NOD_RADIANS = 0.45  # pitch: a relief bears less of it, since it brings chin or crown into view
# A portrait that is itself turned: it turns back, towards the side that it hides, the less the further it is turned
HALF_HIDDEN_RADIANS = 0.8  # yaw from which on it hardly does
PROFILE_RADIANS = 1.1  # and no further away than to this yaw
LEAST_TURN_RADIANS = 0.08
MAX_SHIFT = 0.12  # of the neck's joint, and of the body with it: of the crop's side
MAX_RISE, MAX_SINK = 0.08, 0.08  # the same, up and down: outside of its edge body and hair of a portrait are made up
MAX_GROWTH, MAX_SHRINKAGE = 0.25, 0.15  # natural logarithm of the size
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
        left, right = np.stack([_yaw_reach(pose) for pose in portraits]).T
        near = np.array([MAX_GROWTH, MAX_SHIFT, MAX_SINK, 1.0], np.float32)  # depth shows nowhere
        far = -np.array([MAX_SHRINKAGE, MAX_SHIFT, MAX_RISE, 1.0], np.float32)
        back, forth = np.minimum(turns.min(0), 0), np.maximum(turns.max(0), 0)
        low = [back[0] - MAX_NOD_RADIANS, (turns[:, 1] - left).min(), back[2] - MAX_ROLL_RADIANS]
        high = [forth[0] + MAX_NOD_RADIANS, (turns[:, 1] + right).max(), forth[2] + MAX_ROLL_RADIANS]
        return cls(*(np.concatenate([turn, place]).astype(np.float32) for turn, place in ((low, far), (high, near))))

    def ease(self, change: Array) -> Array:
        """A (7,) change of pose: unchanged near zero, and never beyond the limits."""
        limit = np.where(change < 0, -self.low, self.high)
        knee = KNEE * limit
        size = np.abs(change)
        beyond = np.maximum(size - knee, 0.0) / (limit - knee)
        return np.asarray(np.sign(change) * np.where(size < knee, size, knee + (limit - knee) * np.tanh(beyond)))


def _yaw_reach(portrait: HeadPose) -> tuple[float, float]:
    """How far the portrait's head may turn about the vertical, each way: negative and positive, in radians."""
    yaw = float(turn_between(portrait.rotation, np.eye(3, dtype=np.float32))[1])
    hides, away = (
        max(LEAST_TURN_RADIANS, min(MAX_TURN_RADIANS, reach))
        for reach in (MAX_TURN_RADIANS * (1 - abs(yaw) / HALF_HIDDEN_RADIANS), PROFILE_RADIANS - abs(yaw))
    )
    return (hides, away) if yaw > 0 else (away, hides)


def moved(own: HeadPose, change: Array) -> HeadPose:
    """`own` after a (7,) change: turned about the neck's joint in the picture's axes, scaled by a logarithm, and the
    joint shifted."""
    rotation = np.asarray(turned_by(change[:3]) @ own.rotation, np.float32)
    scale = own.scale * float(np.exp(change[3]))
    joint = neck_joint(own) + change[4:]
    return HeadPose(rotation, scale, np.asarray(joint - scale * rotation @ NECK_JOINT, np.float32))
