"""Body, neck's joint, head: a head turns about the joint; what moves or sizes the joint takes the body along.

So the neck keeps its length, whatever the driver does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from avatar.core.arrays import Array
from avatar.face.head_pose import HeadPose

# Pose-free: between the ears. About this place the heads in 31 clips of talking people turn (least squares).
NECK_JOINT = np.array([0.0, 0.6, 0.8], np.float32)


def neck_joint(pose: HeadPose) -> Array:
    """(3,) place of the joint, in the units of the pose."""
    return pose.apply(NECK_JOINT)


@dataclass(frozen=True, slots=True)
class BodyMove:
    """Where a head's move from one pose to another takes the body: a shift, and a scale about the neck's joint."""

    scale: float
    before: Array  # (2,) the joint
    after: Array  # (2,)

    @classmethod
    def between(cls, before: HeadPose, after: HeadPose) -> BodyMove:
        return cls(after.scale / before.scale, neck_joint(before)[:2], neck_joint(after)[:2])

    def apply(self, places: Array) -> Array:
        """(..., 2) places of the body in the picture, after the move."""
        return np.asarray((places - self.before) * self.scale + self.after, np.float32)


@dataclass(frozen=True, slots=True)
class BodyFit:
    """What brings one portrait's body to where another has it while the heads are alike."""

    log_scale: float = 0.0  # about the neck's joint
    shift: tuple[float, float] = (0.0, 0.0)  # in distances of the outer eye corners

    def apply(self, places: Array, joint: Array, unit: float) -> Array:
        """(..., 2) places of the body; (2,) the neck's joint and the distance of the outer eye corners there."""
        moved = joint + unit * np.array(self.shift, np.float32)
        return np.asarray((places - joint) * np.float32(np.exp(self.log_scale)) + moved, np.float32)

    def plus(self, other: BodyFit, share: float = 1.0) -> BodyFit:
        """And a share of another one."""
        (x, y), (dx, dy) = self.shift, other.shift
        return BodyFit(self.log_scale + share * other.log_scale, (x + share * dx, y + share * dy))


AS_IT_IS = BodyFit()
