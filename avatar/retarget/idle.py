"""The idle pose: a portrait that breathes and blinks while nobody drives it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from avatar.retarget.apertures import gaps, set_lid_gaps
from avatar.retarget.face_regions import LEFT_LID_PAIRS, RIGHT_LID_PAIRS
from avatar.retarget.geometry import HeadPose

Array = NDArray[np.float32]

BREATH_HZ = 0.25
BREATH_SHIFT = 0.002  # of the crop's side
SWAY_HZ, SWAY_RADIANS = 0.11, 0.012
BLINK_EVERY_S, BLINK_S = 4.3, 0.28


class IdleMotion:
    """The portrait's own expression and pose with small motions that depend on the time alone."""

    def __init__(self, shape: Array, pose: HeadPose) -> None:
        self._shape, self._pose = shape, pose

    def at(self, time_s: float) -> Array:
        """(478, 3) landmarks in [0, 1] of the crop at a time in seconds."""
        turn = Rotation.from_rotvec([0.0, SWAY_RADIANS * np.sin(2 * np.pi * SWAY_HZ * time_s), 0.0]).as_matrix()
        breath = np.array([0.0, BREATH_SHIFT * np.sin(2 * np.pi * BREATH_HZ * time_s), 0.0])
        pose = HeadPose(
            (turn @ self._pose.rotation).astype(np.float32),
            self._pose.scale,
            (self._pose.translation + breath).astype(np.float32),
        )
        shape = self._shape
        phase = (time_s % BLINK_EVERY_S) / BLINK_S
        if phase < 1.0:
            open_share = abs(2 * phase - 1)
            for pairs in (RIGHT_LID_PAIRS, LEFT_LID_PAIRS):
                shape = set_lid_gaps(shape, pairs, gaps(shape, pairs) * open_share)
        return pose.apply(shape)
