import numpy as np

from avatar.face.face_model import face_model
from avatar.face.head_pose import HeadPose, turned_by
from avatar.render.conditioning import MOUTH_SIZE, mouth_frame
from avatar.render.view import View


def test_the_whole_crop_in_pixels() -> None:
    view = View.whole(512)
    assert view.pixels(np.array([[0.0, 0.0], [1.0, 0.5]], np.float32)).tolist() == [[0, 0], [512, 256]]
    assert view.scale == 512


def test_a_region_is_seen_as_its_frame_says() -> None:
    pose = HeadPose(turned_by(np.array([0.1, 0.3, 0.4], np.float32)), 0.25, np.array([0.5, 0.45, 0], np.float32))
    frame = mouth_frame(pose.apply(face_model().mean_shape), pose)
    height, width = MOUTH_SIZE
    view = View.region(frame.inverse(), width, height)
    corners = np.array([[-1, -1], [1, -1], [1, 1], [0, 0]], np.float32)
    places = (frame.to_picture(corners) + 1) / np.float32(2)
    pixels: list[list[float]] = [[0, 0], [width, 0], [width, height], [width / 2, height / 2]]
    np.testing.assert_allclose(view.pixels(places), pixels, atol=1e-3)
    np.testing.assert_allclose(view.places(view.pixels(places)), places, atol=1e-5)
