"""Who is it that moves? The identity network's 128 numbers of the tracked face, every few seconds.

OpenCV runs it: it is loaded in this process anyway, and answers what ONNX Runtime does to the sixth digit.
"""

from __future__ import annotations

import cv2
import numpy as np

from avatar.core.arrays import Array, Picture
from avatar.core.model_files import model_file
from avatar.face.face_descriptor import NETWORK, chip, describable
from avatar.face.state import FaceState
from avatar.tracking.child.face_cover import GONE_S

FIRST, FIRST_S = 3, 0.4  # of whoever has come, so many, and so long from one to the next
LATER_S = 4.0  # from then on: 0.3 % of a core
STILL = 0.5  # sizes of the face a second: faster ones are blurred


class FaceDescriber:
    """Looks at a face when it is calm and looks ahead. About 11 ms of one core each time."""

    def __init__(self) -> None:
        cv2.setNumThreads(1)  # the other cores draw the picture meanwhile
        self._network = cv2.dnn.readNetFromONNX(str(model_file(NETWORK)))
        self._last_ns: int | None = None  # of the last face
        self._centre: Array = np.zeros(2, np.float32)
        self._described_ns = 0
        self._count = 0  # of descriptors since somebody came

    def lost(self) -> None:
        """No face was found: whoever comes is looked at again."""
        self._last_ns = None

    def descriptor(self, rgb: Picture, face: FaceState) -> Array | None:
        """(128,) for a face tracked in the (H, W, 3) picture, when it is time for one. None otherwise."""
        points = face.landmarks[:, :2]
        centre, size = points.mean(0), float(np.ptp(points[:, 1]))
        elapsed_s = np.inf if self._last_ns is None else (face.capture_ns - self._last_ns) / 1e9
        way = float(np.linalg.norm(centre - self._centre)) / max(size, 1.0)
        self._last_ns, self._centre = face.capture_ns, centre
        if not 0 <= elapsed_s <= GONE_S or way > 1:
            self._count = 0
            return None
        wait_s = LATER_S if self._count >= FIRST else FIRST_S if self._count else 0.0
        due = face.capture_ns - self._described_ns >= wait_s * 1e9
        if not due or way > STILL * elapsed_s or not describable(face):
            return None
        self._described_ns = face.capture_ns
        self._count += 1
        self._network.setInput(chip(rgb, face.landmarks)[None])
        return np.asarray(self._network.forward()[0], np.float32)
