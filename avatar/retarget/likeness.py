"""Is the driver the avatar's own person? Told by descriptors of the face, and kept until others say otherwise."""

from __future__ import annotations

from collections import deque
from typing import Literal

import numpy as np

from avatar.core.arrays import Array
from avatar.face.face_descriptor import distance

# Distance of the mean of the driver's last descriptors from the mean of the portraits', see the network's model card:
OWN, OTHER = 0.45, 0.55  # up to which somebody becomes the avatar's own person, and from which the person no longer is
STRANGER = 0.7  # distance of one descriptor from the driver's last ones, from which it is of somebody else
KEPT = 3  # descriptors

Whose = Literal["unknown", "own", "other"]


class Likeness:
    """Compares one driver with one avatar's portraits, descriptor by descriptor."""

    def __init__(self, portraits: Array) -> None:
        """`portraits`: (T, 128), or (0, 128) where they have none: then nobody is ever known."""
        self._own = portraits.mean(0) if len(portraits) else None
        self._seen: deque[Array] = deque(maxlen=KEPT)
        self.driver: Array | None = None  # (128,) mean of the driver's last descriptors; None before the first
        self.whose: Whose = "unknown"

    def forget(self) -> None:
        """Somebody else may have taken the driver's place."""
        self._seen.clear()
        self.driver, self.whose = None, "unknown"

    def see(self, descriptor: Array) -> Whose:
        """Take in one more (128,) descriptor of the driver."""
        self._seen.append(descriptor)
        self.driver = np.mean(self._seen, axis=0)
        if self._own is not None:
            apart = distance(self.driver, self._own)
            if apart <= OWN:
                self.whose = "own"
            elif apart > OTHER or self.whose == "unknown":
                self.whose = "other"
        return self.whose
