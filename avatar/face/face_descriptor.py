"""Descriptors of faces: how a face is laid out for the network that describes it, and how far apart two of them are.

Source: http://blog.dlib.net/2017/02/high-quality-face-recognition-with-deep.html. The network's origin, licence, known
bias and measured distances: `avatar/weights/identity/MODEL_CARD.md`.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.core.arrays import Array, Picture
from avatar.core.errors import InputError
from avatar.face.face_model import face_model
from avatar.face.head_pose import head_pose
from avatar.face.state import FaceState

NETWORK = "identity/face_identity.onnx"
LEAST_HEIGHT_PX = 60  # of a face that is described as it moves, from its brows to its chin
MOST_TURN_RADIANS = 0.5  # further away, the same person's descriptors come as far apart as other people's
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


def describable(face: FaceState) -> bool:
    """Whether a descriptor of it would tell who it is: it looks ahead, is near enough, and nothing hides it."""
    if not face.found or face.covered or face.confidence < 1 or np.ptp(face.landmarks[:, 1]) < LEAST_HEIGHT_PX:
        return False
    ahead = float(head_pose(face.landmarks, face_model().mean_shape).rotation[2, 2])
    return ahead > float(np.cos(MOST_TURN_RADIANS))


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
