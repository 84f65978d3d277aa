"""What the networks are told of a frame: drawn landmarks, and the places of mouth and eyes.

The same code runs in training and in the live loop. All inputs are numbers derived from landmarks.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.core.arrays import Array
from avatar.face import regions as at
from avatar.face.face_model import face_model
from avatar.face.head_pose import HeadPose, head_pose

# (height, width) in pixels at which each region is drawn and painted
FACE_SIZE = (128, 128)
MOUTH_SIZE = (64, 96)
EYE_SIZE = (32, 48)

# Half extents (x, y) of the crops in distances of the outer eye corners: one crop pixel is about one picture pixel
MOUTH_EXTENT = (0.72, 0.48)
EYE_EXTENT = (0.36, 0.24)

_SUBPIXEL_BITS = 4


@dataclass(frozen=True, slots=True)
class RegionFrame:
    """A rectangle that turns with the head. Maps crop (x, y) to picture (x, y), both in [-1, 1]."""

    matrix: Array  # (2, 3)

    def to_picture(self, places: Array) -> Array:
        return np.asarray(places @ self.matrix[:, :2].T + self.matrix[:, 2], np.float32)

    def inverse(self) -> Array:
        """(2, 3) from the picture to the crop."""
        return np.asarray(cv2.invertAffineTransform(self.matrix), np.float32)


def region_frame(centre: Array, pose: HeadPose, extent: tuple[float, float], mirrored: bool = False) -> RegionFrame:
    """A rectangle around `centre` ([0, 1] of the crop), turned with the head's roll and scaled with its size."""
    right = pose.rotation[:2, 0] / max(float(np.linalg.norm(pose.rotation[:2, 0])), 1e-6)
    down = np.array([-right[1], right[0]])
    flip = -1.0 if mirrored else 1.0
    columns = [flip * right * extent[0], down * extent[1], centre * 2 - 1]
    columns[0], columns[1] = columns[0] * 2 * pose.scale, columns[1] * 2 * pose.scale
    return RegionFrame(np.stack(columns, axis=1).astype(np.float32))


def mouth_frame(landmarks: Array, pose: HeadPose) -> RegionFrame:
    return region_frame(landmarks[list(at.LIPS_OUTER), :2].mean(0), pose, MOUTH_EXTENT)


def eye_frames(landmarks: Array, pose: HeadPose) -> tuple[RegionFrame, RegionFrame]:
    """The subject's right eye and left eye, the left one mirrored: one net serves both."""
    right, left = (landmarks[list(eye), :2].mean(0) for eye in (at.RIGHT_EYE, at.LEFT_EYE))
    return region_frame(right, pose, EYE_EXTENT), region_frame(left, pose, EYE_EXTENT, mirrored=True)


def region_frames(driving: Array) -> tuple[RegionFrame, RegionFrame, RegionFrame]:
    """Where mouth, right eye and left eye are, for (478, 3) landmarks in [0, 1]."""
    pose = head_pose(driving, face_model().mean_shape)
    return mouth_frame(driving, pose), *eye_frames(driving, pose)


def draw_face(landmarks: Array) -> Array:
    """(478, 2+) landmarks in [0, 1] to the (3, 128, 128) landmark image: outline, brows and nose; eyes; lips."""
    canvas = np.zeros((3, *FACE_SIZE), np.uint8)
    points = landmarks[:, :2] * np.array(FACE_SIZE[::-1], np.float32) - 0.5
    _lines(canvas[0], points, at.FACE_OVAL, closed=True)
    for line in (at.RIGHT_BROW, at.LEFT_BROW, at.NOSE_BRIDGE, at.NOSE_BASE):
        _lines(canvas[0], points, line)
    for ring in (at.RIGHT_EYE, at.LEFT_EYE, at.RIGHT_IRIS, at.LEFT_IRIS):
        _lines(canvas[1], points, ring, closed=True)
    for lips in (at.LIPS_OUTER, at.LIPS_INNER):
        _lines(canvas[2], points, lips, closed=True)
    return canvas.astype(np.float32) / 255.0


def draw_mouth(landmarks: Array, frame: RegionFrame) -> Array:
    """(3, 64, 96): between the lips; lips; lines (lips, nose and chin: where the teeth hang)."""
    canvas = np.zeros((3, *MOUTH_SIZE), np.uint8)
    points = _to_crop(landmarks, frame, MOUTH_SIZE)
    _fill(canvas[0], points, at.LIPS_INNER)
    _fill(canvas[1], points, at.LIPS_OUTER)
    for outline in (at.LIPS_OUTER, at.LIPS_INNER, at.FACE_OVAL):
        _lines(canvas[2], points, outline, closed=True)
    _lines(canvas[2], points, at.NOSE_BASE)
    return canvas.astype(np.float32) / 255.0


def draw_eye(
    landmarks: Array, frame: RegionFrame, eye: tuple[int, ...], iris: tuple[int, ...], brow: tuple[int, ...]
) -> Array:
    """(3, 32, 48): between the lids; iris; lines (lids and brow)."""
    canvas = np.zeros((3, *EYE_SIZE), np.uint8)
    points = _to_crop(landmarks, frame, EYE_SIZE)
    _fill(canvas[0], points, eye)
    _fill(canvas[1], points, iris)
    _lines(canvas[2], points, eye, closed=True)
    _lines(canvas[2], points, brow)
    return canvas.astype(np.float32) / 255.0


def _to_crop(landmarks: Array, frame: RegionFrame, size: tuple[int, int]) -> Array:
    inverse = frame.inverse()
    crop = (landmarks[:, :2] * 2 - 1) @ inverse[:, :2].T + inverse[:, 2]
    return np.asarray((crop + 1) / 2 * np.array(size[::-1]) - 0.5, np.float32)


def _fixed_point(points: Array, index: tuple[int, ...]) -> NDArray[np.int32]:
    # landmarks far outside the canvas would overflow OpenCV's fixed-point coordinates
    return np.rint(np.clip(points[list(index)], -1000, 1000) * (1 << _SUBPIXEL_BITS)).astype(np.int32)


def _lines(canvas: NDArray[np.uint8], points: Array, index: tuple[int, ...], closed: bool = False) -> None:
    cv2.polylines(canvas, [_fixed_point(points, index)], closed, 255, 1, cv2.LINE_AA, _SUBPIXEL_BITS)


def _fill(canvas: NDArray[np.uint8], points: Array, index: tuple[int, ...]) -> None:
    cv2.fillPoly(canvas, [_fixed_point(points, index)], 255, cv2.LINE_AA, _SUBPIXEL_BITS)
