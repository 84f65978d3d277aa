"""One frame of a real person, to try networks on: a portrait, and the pose and expression in which it is drawn."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avatar.core.arrays import Array
from avatar.face.face_model import face_model
from avatar.face.head_pose import HeadPose, head_pose
from avatar.face.state import BLENDSHAPE_NAMES

# What a portrait acts: blendshape scores, and turns of the head in degrees (yaw, pitch, roll)
ACTS: tuple[tuple[dict[str, float], tuple[float, float, float]], ...] = (
    ({}, (0, 0, 0)),
    ({"jawOpen": 0.6}, (8, 0, 0)),
    ({"eyeBlinkLeft": 0.9, "eyeBlinkRight": 0.9}, (-8, 4, 0)),
    ({"mouthSmileLeft": 0.8, "mouthSmileRight": 0.8, "jawOpen": 0.2}, (16, 0, 4)),
    ({"mouthPucker": 0.8}, (-16, 0, -4)),
    ({"browInnerUp": 0.8, "jawOpen": 0.3}, (0, -10, 8)),
    ({"mouthFunnel": 0.6, "jawOpen": 0.4}, (4, 10, -8)),
    ({"eyeBlinkLeft": 0.8, "mouthSmileRight": 0.6}, (-24, -4, 0)),
)


@dataclass(frozen=True)
class RealFrame:
    """One person's portrait and the pose and expression in which it is drawn."""

    person: str
    portrait: NDArray[np.uint8]  # (S, S, 3) crop
    landmarks: Array  # (478, 3) of the portrait, in [0, 1] of it
    driving: Array  # (478, 3) of the frame, likewise


def acted(person: str, portrait: NDArray[np.uint8], landmarks: Array) -> list[RealFrame]:
    """A portrait (S, S, 3) with landmarks (478, 3) in [0, 1] of it, in the poses and expressions of ACTS."""
    model = face_model()
    pose = head_pose(landmarks, model.mean_shape)
    shape = pose.remove(landmarks)
    frames = []
    for scores, turns in ACTS:
        row = np.array([scores.get(name, 0.0) for name in BLENDSHAPE_NAMES], np.float32)
        turned = HeadPose((_turn(*turns) @ pose.rotation).astype(np.float32), pose.scale, pose.translation)
        frames.append(RealFrame(person, portrait, landmarks, turned.apply(shape + model.expression(row))))
    return frames


def _turn(yaw_deg: float, pitch_deg: float, roll_deg: float) -> NDArray[np.float64]:
    (c, s), (d, t), (e, u) = (
        (math.cos(math.radians(angle)), math.sin(math.radians(angle))) for angle in (yaw_deg, pitch_deg, roll_deg)
    )
    yaw = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    pitch = np.array([[1, 0, 0], [0, d, -t], [0, t, d]])
    roll = np.array([[e, -u, 0], [u, e, 0], [0, 0, 1]])
    return np.asarray(yaw @ pitch @ roll)
