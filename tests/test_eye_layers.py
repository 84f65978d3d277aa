"""Eyes of a portrait look where they are told to and shut, and are the portrait's own while they rest."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from avatar.core.arrays import Array, Picture
from avatar.face import regions as at
from avatar.face.crop import face_crop
from avatar.face.face_model import face_model
from avatar.face.gaps import gaps, set_lid_gaps
from avatar.face.gaze import gaze, set_gaze
from avatar.face.head_pose import head_pose
from avatar.render.eye_layers import EyeLayers
from avatar.render.view import View
from avatar.tracking.caged_tracker import CagedTracker
from avatar.tracking.model_asset import tracker_model
from tests.portraits import astronaut, resized

SIZE_PX = 512
WHOLE = View.whole(SIZE_PX)
RINGS = ((at.RIGHT_EYE, at.RIGHT_IRIS_CENTRE), (at.LEFT_EYE, at.LEFT_IRIS_CENTRE))


@lru_cache(maxsize=1)
def portrait() -> tuple[Picture, Array]:
    """The astronaut's crop, (512, 512, 3), and its (478, 3) landmarks."""
    picture = resized(astronaut(), 3)
    with CagedTracker(tracker_model(), "image", patient=True) as tracker:
        found = tracker.track(picture, 0).landmarks
    crop = face_crop(found, *picture.shape[1::-1])
    return crop.cut(picture, SIZE_PX), crop.normalise(found)


def looking(across: float, down: float = 0.0, open_share: float = 1.0) -> Array:
    """The portrait's landmarks with its gaze moved by shares of the eye's width, and its lids further shut."""
    _, landmarks = portrait()
    pose = head_pose(landmarks, face_model().mean_shape)
    shape = pose.remove(landmarks)
    lids = shape
    for pairs in (at.RIGHT_LID_PAIRS, at.LEFT_LID_PAIRS):
        lids = set_lid_gaps(lids, pairs, open_share * gaps(shape, pairs))
    return pose.apply(set_gaze(lids, shape, gaze(shape) + np.array([across, down], np.float32)))


def drawn(driving: Array, view: View = WHOLE) -> tuple[Picture, Array]:
    """The eyes of `driving` in the portrait as it is, and the hints."""
    picture, landmarks = portrait()
    result = picture.copy() if view is WHOLE else np.zeros((view.height, view.width, 3), np.uint8)
    hints = EyeLayers(picture, landmarks).draw(result, view, driving)
    return result, hints


def inside(landmarks: Array, eye: int, margin: float = 0.0) -> Array:
    """(512, 512) bool: between the lids."""
    import cv2

    mask = np.zeros((SIZE_PX, SIZE_PX), np.uint8)
    cv2.fillPoly(mask, [np.rint(landmarks[list(RINGS[eye][0]), :2] * SIZE_PX).astype(np.int32)], 1)
    return mask > 0


def middle(mask: Array) -> Array:
    """(2,) x and y of the middle of what a mask holds, in its pixels."""
    y, x = np.mgrid[: mask.shape[0], : mask.shape[1]] + 0.5
    return np.array([(mask * x).sum(), (mask * y).sum()]) / mask.sum()


def test_at_rest_the_eyes_are_the_portraits_own() -> None:
    picture, landmarks = portrait()
    result, _ = drawn(landmarks)
    off = np.abs(result.astype(int) - picture).max(2)
    for eye in (0, 1):
        assert off[inside(landmarks, eye)].mean() < 2
    assert not off[: SIZE_PX // 4].any() and not off[SIZE_PX * 2 // 3 :].any(), "only eyes are touched"
