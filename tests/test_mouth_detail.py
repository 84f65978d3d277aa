"""Between the lips: tones of what the network painted, edges of what the layers drew; elsewhere nothing changes."""

import numpy as np

from avatar.face.face_model import face_model
from avatar.face.head_pose import HeadPose, turned_by
from avatar.face.state import BLENDSHAPE_INDEX
from avatar.render.mouth_detail import DETAIL, keep_detail

SIZE_PX = 256


def test_edges_of_the_layers_on_tones_of_the_network() -> None:
    scores = np.zeros(len(face_model().expression_basis), np.float32)
    scores[BLENDSHAPE_INDEX["jawOpen"]] = 0.8
    pose = HeadPose(turned_by(np.zeros(3, np.float32)), 0.25, np.array([0.5, 0.45, 0.0], np.float32))
    driving = pose.apply(face_model().mean_shape + face_model().expression(scores))
    stripes = np.where(np.arange(SIZE_PX) % 4 < 2, 40, 80).astype(np.uint8)
    before = np.repeat(np.tile(stripes, (SIZE_PX, 1))[..., None], 4, axis=2)
    picture = np.full((SIZE_PX, SIZE_PX, 3), 150, np.uint8)
    keep_detail(picture, before, driving)
    x, y = (driving[[13, 14], :2].mean(0) * SIZE_PX).astype(int)
    middle = picture[y - 2 : y + 2, x - 4 : x + 4].astype(int)
    assert abs(middle.mean() - 150) < 3
    assert abs(np.ptp(middle) - DETAIL * 40) < 8
    assert (picture[: y - 60] == 150).all()
    assert (picture[:, :20] == 150).all()
    assert (picture[y + 60 :] == 150).all()


def test_a_mouth_outside_of_the_picture_changes_nothing() -> None:
    driving = face_model().mean_shape * 0.2 + np.array([3.0, 0.5, 0.0], np.float32)
    picture = np.full((SIZE_PX, SIZE_PX, 3), 150, np.uint8)
    keep_detail(picture, np.zeros((SIZE_PX, SIZE_PX, 4), np.uint8), driving)
    assert (picture == 150).all()
