"""What finds a face in a picture: MediaPipe in this process, or in a cage."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from avatar.face.state import FaceState


class Tracker(Protocol):
    """`FaceTracker` and `CagedTracker`."""

    def track(self, rgb: NDArray[np.uint8], capture_ns: int) -> FaceState:
        """Find the face in an (H, W, 3) uint8 picture."""
        ...
