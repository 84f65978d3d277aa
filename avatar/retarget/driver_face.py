"""The driver's face as retargeting sees it: a pose-free shape, a pose and blink scores; calmed, and mirrored."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from avatar.core.arrays import Array
from avatar.face.crop import Crop, face_crop
from avatar.face.face_model import face_model
from avatar.face.gaps import gaps
from avatar.face.head_pose import head_pose, to_vector
from avatar.face.one_euro import OneEuroFilter
from avatar.face.regions import LEFT_LID_PAIRS, RIGHT_LID_PAIRS, landmark_groups
from avatar.face.state import BLENDSHAPE_INDEX, FaceState

_BLINKS = [BLENDSHAPE_INDEX["eyeBlinkRight"], BLENDSHAPE_INDEX["eyeBlinkLeft"]]
BLINK_FROM, BLINK = 0.005, 0.015  # an open eye measures some 0.1; noise is 0.001
_MIRRORED_POSE = np.array([1, -1, -1, 1, -1, 1, 1], np.float32)


@dataclass(frozen=True, slots=True)
class DriverFace:
    """One tracked face, in [0, 1] of the driver's crop."""

    shape: Array  # (478, 3) pose-free
    pose: Array  # (7,) as of `to_vector`
    blinks: Array  # (2,) scores of the right and the left eye
    openings: Array  # (2,) mean distance of the lids of the right and the left eye

    @property
    def turn(self) -> float:
        """How far it is turned from straight ahead, in radians."""
        return float(np.linalg.norm(self.pose[:3]))

    def parts(self) -> tuple[Array, Array, Array, Array]:
        return self.shape, self.pose, self.blinks, self.openings

    def mirrored(self) -> DriverFace:
        """As a mirror shows it: the left is the right."""
        shape = self.shape[face_model().mirror] * np.array([-1, 1, 1], np.float32)
        pose = self.pose * _MIRRORED_POSE
        pose[4] += 1.0  # x becomes 1 − x
        return DriverFace(shape, pose, self.blinks[::-1], self.openings[::-1])


class DriverView:
    """One crop of the driver's picture for all of a run, whatever size the camera gives the picture later."""

    def __init__(self, crop: Crop | None = None) -> None:
        """`crop`: None for one around the first face."""
        self.crop = crop
        self._frame_px = 0  # longer side of the picture at first; the crop is in its pixels

    def face(self, state: FaceState) -> DriverFace:
        """The tracked face of `state`, in this crop."""
        self._frame_px = self._frame_px or state.frame_px
        landmarks = state.landmarks
        if state.frame_px not in (0, self._frame_px):
            landmarks = landmarks * np.float32(self._frame_px / state.frame_px)
        if self.crop is None:
            # only differences of place and size matter from here on: any fixed square will do
            width, height = np.ceil(landmarks[:, :2].max(0)).astype(int)
            self.crop = face_crop(landmarks, max(1, int(width)), max(1, int(height)))
        return driver_face(landmarks, state.blendshapes, self.crop)


def driver_face(landmarks: Array, blendshapes: Array, crop: Crop) -> DriverFace:
    """Of a tracked face, with (478, 3) landmarks in the crop's pixels."""
    landmarks = crop.normalise(landmarks)
    pose = head_pose(landmarks, face_model().mean_shape)
    shape = pose.remove(landmarks)
    return DriverFace(shape, to_vector(pose), blendshapes[_BLINKS], _openings(shape))


def _openings(shape: Array) -> Array:
    return np.array([gaps(shape, pairs).mean() for pairs in (RIGHT_LID_PAIRS, LEFT_LID_PAIRS)], np.float32)


class FaceFilter:
    """Calms what only jitters. Each part of the face has a filter of its own, after `OneEuroFilter`.

    Lag: 450 ms where motion is too slow to be told from noise (0.35 Hz); a talking mouth 6 ms, a turning head 4 ms
    (`scripts/driving_figures.py`, mean of two clips at 25 fps).

    The size has the slowest: a head comes nearer slowly, while what the tracker calls size also wavers with the jaw.
    """

    def __init__(self) -> None:
        # units: distances of the outer eye corners (a lip travels some 3 of them a second); radians; crops
        self._shape = OneEuroFilter(0.35, 120.0, 3.0, 0.05, landmark_groups())
        self._turn = OneEuroFilter(0.35, 120.0, 2.0, 0.06, np.zeros(3, int))
        self._size = OneEuroFilter(0.2, 0.8, 1.0, 0.2)
        self._place = OneEuroFilter(0.35, 400.0, 2.0, 0.02, np.zeros(3, int))

    def reset(self) -> None:
        for part in (self._shape, self._turn, self._size, self._place):
            part.reset()

    def __call__(self, face: DriverFace, time_s: float) -> DriverFace:
        parts = (self._turn, face.pose[:3]), (self._size, face.pose[3:4]), (self._place, face.pose[4:])
        pose = np.concatenate([calm(values, time_s) for calm, values in parts])
        shape = self._shape(face.shape, time_s)
        calm = _openings(shape)
        # a blink may be over after two frames: lids that leave their calmed place are taken as they are
        away = np.clip((np.abs(face.openings - calm) - BLINK_FROM) / (BLINK - BLINK_FROM), 0, 1)
        return DriverFace(shape, pose, face.blinks, calm + away * (face.openings - calm))
