"""Is it the same person? Descriptors of faces by dlib's face recognition ResNet, run by an engine without dlib.

Source: http://blog.dlib.net/2017/02/high-quality-face-recognition-with-deep.html. The network's origin, licence, known
bias and measured distances: `avatar/weights/identity/MODEL_CARD.md`.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.core.arrays import Array, Picture
from avatar.core.closing import Closing
from avatar.core.errors import InputError, VisavisError
from avatar.core.model_files import model_file
from engines import Engine, EngineFailure, open_engine

NETWORK = "identity/face_identity.onnx"
# Distance of two photos above which they hardly show one person: 0.8 % of one person's pairs from different clips, and
# 90 % of different people's pairs of portraits. See the model card.
DIFFERENT_PEOPLE = 0.7
CHIP_PX = 150
# dlib aligns by five points: outer and inner corner of the eye on the picture's right, the same on the left, nose base
ALIGNMENT = (263, 362, 33, 133, 2)
PADDING = 0.25  # room around dlib's mean face, in sizes of that face
# The five points of dlib's mean face in its unit square: image_transforms/interpolation.h, get_face_chip_details.
_MEAN_FACE = np.array(
    [
        [0.8595674595992, 0.2134981538014],
        [0.6460604764104, 0.2289674387677],
        [0.1205750620789, 0.2137274526848],
        [0.3340850613712, 0.2290642403242],
        [0.4901123135679, 0.6277975316475],
    ]
)
TEMPLATE_PX = (_MEAN_FACE + PADDING) / (1 + 2 * PADDING) * CHIP_PX  # (5, 2): where ALIGNMENT comes to lie in the chip


class FaceIdentity(Closing):
    """The network (about 8 ms a face on two cores). Close it, or use it in a `with` statement."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def descriptor(self, rgb: Picture, landmarks: Array) -> Array:
        """(128,) descriptor of the face with these (478, 3) landmarks in pixels of the (H, W, 3) picture."""
        return self.describe_chip(chip(rgb, landmarks))

    def describe_chip(self, face: Picture) -> Array:
        """(128,) descriptor of an aligned (150, 150, 3) face, RGB."""
        try:
            return np.asarray(self._engine.infer({"chip": face[None]})["descriptor"][0], np.float32)
        except EngineFailure as error:
            raise VisavisError(f"The face could not be compared: {error}.") from error

    def close(self) -> None:
        self._engine.close()


def open_face_identity(backend: str = "auto", threads: int | None = None) -> FaceIdentity:
    """Load the shipped network; arguments as of `engines.open_engine`. Raises VisavisError."""
    try:
        return FaceIdentity(open_engine(model_file(NETWORK), backend, threads))
    except EngineFailure as error:
        raise VisavisError(f"The network that compares faces does not start: {error}.") from error


def chip(rgb: Picture, landmarks: Array) -> Picture:
    """The face turned, scaled and cut out as dlib does: (150, 150, 3), black where the (H, W, 3) picture ends.

    landmarks: (478, 3) in pixels of the picture, 0 at its left and upper edge. Raises InputError when they are no face.
    """
    if len(landmarks) <= max(ALIGNMENT) or not np.isfinite(points := landmarks[list(ALIGNMENT), :2]).all():
        raise InputError(f"A face is aligned by its 478 landmarks, not by an array of shape {landmarks.shape}.")
    matrix = _similarity(TEMPLATE_PX - 0.5, points - 0.5)  # for OpenCV, whole numbers are the centres of pixels
    scale = float(np.hypot(*matrix[:, 0]))  # pixels of the picture to one of the chip
    if scale < 1e-3:
        raise InputError("The face cannot be aligned: the corners of its eyes and its nose lie on one point.")
    while scale > 2 and min(rgb.shape[:2]) > 2:  # dlib halves too before it interpolates
        rgb = np.asarray(cv2.pyrDown(rgb), np.uint8)
        matrix, scale = matrix / 2, scale / 2
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(rgb, matrix, (CHIP_PX, CHIP_PX), flags=how), np.uint8)


def distance(a: Array, b: Array) -> float:
    """L2 distance of two descriptors."""
    return float(np.linalg.norm(a - b))


def cosine(a: Array, b: Array) -> float:
    """Cosine similarity in [-1, 1]. Descriptors are not centred: it is high for different people too."""
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def _similarity(source: NDArray[np.floating], target: NDArray[np.floating]) -> NDArray[np.float64]:
    """(2, 3): the turn, scale and shift that bring (N, 2) `source` nearest to `target` in least squares."""
    a, b = (np.asarray(points, np.float64) @ np.array([1, 1j]) for points in (source, target))
    turn = np.vdot(a - a.mean(), b - b.mean()) / np.vdot(a - a.mean(), a - a.mean()).real
    shift = b.mean() - turn * a.mean()
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])
