"""CSIM: is it the same person? Cosine similarity (and distance) of dlib's face descriptors.

Source: http://blog.dlib.net/2017/02/high-quality-face-recognition-with-deep.html. The network was trained so that
descriptors of one person lie within about 0.6 (L2). They are not centred: cosines of different people are high too, so
compare systems with each other, and not with papers that use ArcFace.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from avatar.evaluation.optional import need, package_file

NETWORK = "dlib face recognition ResNet v1"
# dlib aligns by five points: outer and inner corner of the eye on the picture's right, the same on the left, nose base
ALIGNMENT = (263, 362, 33, 133, 2)


class IdentityNetwork:
    """dlib's ResNet (about 90 ms a face on two cores)."""

    def __init__(self) -> None:
        self._dlib = need("dlib")
        weights = package_file("face_recognition_models", "models", "dlib_face_recognition_resnet_model_v1.dat")
        self._network = self._dlib.face_recognition_model_v1(str(weights))

    def descriptor(self, rgb: NDArray[np.uint8], landmarks: NDArray[np.float32]) -> NDArray[np.float64]:
        """(128,) descriptor of the face with these (478, 3) landmarks in pixels of the (H, W, 3) picture."""
        points = [self._dlib.point(round(float(x)), round(float(y))) for x, y in landmarks[list(ALIGNMENT), :2]]
        left, top = landmarks[:, :2].min(0).astype(int).tolist()
        right, bottom = landmarks[:, :2].max(0).astype(int).tolist()
        box = self._dlib.rectangle(left, top, right, bottom)
        shape = self._dlib.full_object_detection(box, self._dlib.points(points))
        return np.array(self._network.compute_face_descriptor(np.ascontiguousarray(rgb), shape))


def cosine(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Cosine similarity in [-1, 1]."""
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def distance(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """L2 distance; the same person below about 0.45 to 0.6."""
    return float(np.linalg.norm(a - b))
