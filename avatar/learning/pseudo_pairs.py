"""Motion for people of whom there is one still: the still is the target, and a copy moved by its relief the source.

The target is always a real picture, so the networks only ever learn to produce real pixels.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from avatar.core.arrays import Array, Picture
from avatar.face.face_model import face_model
from avatar.face.gaps import gaps, mouth_width, set_mouth_gaps, uncross
from avatar.face.head_pose import head_pose
from avatar.face.regions import INNER_LIP_PAIRS
from avatar.render.eye_layers import EyeLayers
from avatar.render.mouth_layers import MouthLayers
from avatar.render.relief import Relief
from avatar.render.view import View
from avatar.retarget.head_limits import moved

# Of a still's turn and size: standard deviations and bounds of pitch, yaw, roll in degrees, and logarithm of the size
TURN_DEGREES, MOST_DEGREES = np.array([6.0, 13.0, 4.0]), np.array([15.0, 35.0, 10.0])
SCALE_SPREAD, MOST_SCALE = 0.09, 0.22
CLOSE_CHANCE = 0.4  # of shutting a still's mouth that is open
OPEN_MOUTH = 0.06  # inner-lip gap over mouth width from which teeth may show


def moved_still(
    picture: Picture, landmarks: Array, motion: tuple[Array, Array], rng: np.random.Generator
) -> tuple[Picture, Array]:
    """An (S, S, 3) still with (478, 3) landmarks in [0, 1], turned, and with the change of expression between the two
    frames of `motion`: the picture and its landmarks."""
    mean = face_model().mean_shape
    pose = head_pose(landmarks, mean)
    shape = pose.remove(landmarks)
    before, after = (head_pose(frame, mean).remove(frame) for frame in motion)
    open_now = mouth_opening(shape)
    changed = shape + rng.uniform(0.6, 1.2) * (after - before)
    if open_now > OPEN_MOUTH and rng.random() < CLOSE_CHANCE:
        changed = set_mouth_gaps(changed, np.zeros(len(INNER_LIP_PAIRS), np.float32))
    changed = uncross(changed)
    turn = np.clip(rng.normal(size=3) * TURN_DEGREES, -MOST_DEGREES, MOST_DEGREES)
    grown = np.clip(rng.normal(0, SCALE_SPREAD), -MOST_SCALE, MOST_SCALE)
    vector = Rotation.from_euler("xyz", turn, degrees=True).as_rotvec()
    goal = moved(pose, np.array([*vector, grown, 0, 0, 0], np.float32)).apply(changed)
    relief, view = Relief(landmarks), View.whole(len(picture))
    mouth = MouthLayers(picture, landmarks)
    result = relief.draw(relief.place(goal), view).sample(mouth.skin)
    mouth.draw(result, view, goal)
    EyeLayers(picture, landmarks).draw(result, view, goal)
    return result, goal


def mouth_opening(shape: Array) -> float:
    """Largest inner-lip gap of a pose-free (478, 3) face, in widths of the mouth."""
    return float(gaps(shape, INNER_LIP_PAIRS).max()) / mouth_width(shape)
