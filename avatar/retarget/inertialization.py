"""Takes the jump out of a change of target: what was shown fades into what is wanted."""

from __future__ import annotations

import numpy as np

from avatar.core.arrays import Array
from avatar.face.gaps import uncross


class Inertialization:
    """Adds the jump that a change would show to what comes after it, less and less of it.

    One mechanism for a face that goes or comes back, another mode, a pause of minutes: whatever the reason, the picture
    goes on from where it was. Known as inertialisation (D. Bollo, "Inertialization: High-Performance Animation
    Transitions in Gears of War", GDC 2018), here with a smoothstep. Works on a pose-free shape and a pose: easing
    landmarks themselves would flatten a head on its way from one side to the other.
    """

    def __init__(self) -> None:
        self._shown: tuple[Array, Array] | None = None
        self._offset: tuple[Array, Array] | None = None
        self._duration_s = self._left_s = 0.0
        self._starts = False

    def start(self, duration_s: float) -> None:
        """The next target is not what would follow from the last: arrive there within `duration_s`."""
        self._starts = True
        self._duration_s = self._left_s = duration_s

    def __call__(self, shape: Array, pose: Array, step_s: float) -> tuple[Array, Array]:
        """(478, 3) shape and (7,) pose to show, `step_s` seconds after the last ones."""
        if self._starts and self._shown is not None:
            self._offset = self._shown[0] - shape, self._shown[1] - pose
        self._starts = False
        if self._offset is not None:
            self._left_s -= step_s
            if self._left_s <= 0:
                self._offset = None
            else:
                left = self._left_s / self._duration_s
                share = np.float32(left * left * (3 - 2 * left))
                shape = uncross(shape + share * self._offset[0])
                pose = pose + share * self._offset[1]
        self._shown = shape, pose
        return shape, pose
