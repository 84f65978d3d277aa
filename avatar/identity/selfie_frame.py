"""A frame of a selfie clip: kept small while it may yet be chosen, and cut to a portrait when it is."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from avatar.core.arrays import Array, Picture
from avatar.face.crop import CROP_SIZE_PX, Crop, face_crop
from avatar.face.face_model import face_model
from avatar.face.gaps import eye_width, gaps
from avatar.face.head_pose import head_pose
from avatar.face.regions import LEFT_LID_PAIRS, RIGHT_LID_PAIRS
from avatar.face.state import FaceState
from avatar.identity.photo_check import PhotoCheck, ramp
from avatar.identity.selfie_signs import shows, teeth_share

MARGIN = 0.04  # of the crop, which the landmarks must not come nearer to
VIEW = 1.6  # side of what is kept of a frame, in sides of its crop


@dataclass(frozen=True)
class SelfieFrame:
    """One frame of the clip, reduced to what the networks need."""

    portrait: Picture  # (512, 512, 3)
    landmarks: Array  # (478, 3) in [0, 1] of the portrait
    blendshapes: Array  # (52,)
    check: PhotoCheck
    shows: frozenset[str]  # names of WANTED
    capture_ns: int


@dataclass
class Candidate:
    """A frame that might be chosen, in little memory."""

    view: Picture  # part of the frame about the face, shrunk where a crop would be
    origin: Array  # (3,) of the view, in pixels of the frame
    scale: float  # pixels of the view to one of the frame
    frame_size: tuple[int, int]  # width, height
    face: FaceState
    check: PhotoCheck
    shows: frozenset[str]
    teeth: float
    closed_mouth: float  # in [0, 1]
    eye_gap: float  # in widths of the eye
    several_faces: bool

    def turn(self) -> Array:
        return np.array([self.check.yaw_deg, self.check.pitch_deg, self.check.roll_deg], np.float32)

    def crop(self) -> Crop:
        return face_crop(self.face.landmarks, *self.frame_size)

    def framed(self, shared: Crop) -> SelfieFrame:
        """By the clip's shared crop, so that the background stays where it is; by its own if the face leaves that."""
        cut = self._cut(shared)
        if cut is None:
            own = self.crop()
            low = (np.array([own.x, own.y]) - self.origin[:2]) * self.scale
            cut = _square(self.view, low, own.side * self.scale), own.normalise(self.face.landmarks)
        portrait, points = cut
        return SelfieFrame(portrait, points, self.face.blendshapes, self.check, self.shows, self.face.capture_ns)

    def _cut(self, crop: Crop) -> tuple[Picture, Array] | None:
        """Portrait and its landmarks; None where the face or the crop's border would be cut off."""
        points = crop.normalise(self.face.landmarks)
        inside = points[:, :2].min() > MARGIN and points[:, :2].max() < 1 - MARGIN
        low = (np.array([crop.x, crop.y]) - self.origin[:2]) * self.scale
        high = low + crop.side * self.scale
        size = np.array(self.view.shape[1::-1])
        if not inside or (low < -0.5).any() or (high > size + 0.5).any():
            return None
        return _square(self.view, low, crop.side * self.scale), points


def candidate(rgb: Picture, face: FaceState, check: PhotoCheck) -> Candidate:
    height, width = rgb.shape[:2]
    crop = face_crop(face.landmarks, width, height)
    around = (VIEW - 1) / 2 * crop.side
    x, y = (max(0, int(corner - around)) for corner in (crop.x, crop.y))
    view = rgb[y : int(crop.y + crop.side + around), x : int(crop.x + crop.side + around)]
    scale = min(1.0, CROP_SIZE_PX / crop.side)
    if scale < 1:
        view = np.asarray(cv2.resize(view, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    shape = head_pose(face.landmarks, face_model().mean_shape).remove(face.landmarks)
    teeth = teeth_share(rgb, face.landmarks)
    lids = (RIGHT_LID_PAIRS, LEFT_LID_PAIRS)
    return Candidate(
        view=view.copy(),
        origin=np.array([x, y, 0], np.float32),
        scale=scale,
        frame_size=(width, height),
        face=face,
        check=check,
        shows=shows(face, check, teeth),
        teeth=teeth,
        closed_mouth=ramp(-check.lips_apart, -0.2, -0.03),
        eye_gap=min(float(gaps(shape, pairs).max()) / eye_width(shape, pairs) for pairs in lids),
        several_faces=face.faces > 1,
    )


def _square(view: Picture, low: NDArray[np.floating], side: float) -> Picture:
    """(512, 512, 3) of the square whose upper left corner is `low` (2,)."""
    x, y = np.maximum(low, 0.0)
    box = (float(x), float(y), min(float(x + side), view.shape[1]), min(float(y + side), view.shape[0]))
    picture = Image.fromarray(view).resize((CROP_SIZE_PX, CROP_SIZE_PX), Image.Resampling.LANCZOS, box=box)
    return np.asarray(picture, np.uint8)
