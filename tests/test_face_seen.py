"""What the face's network is shown of a drawn picture, and its answer in the picture."""

from functools import cache

import cv2
import numpy as np

from avatar.core.arrays import Array, Picture
from avatar.face.face_model import face_model
from avatar.face.head_pose import head_pose
from avatar.render.drawn_person import DrawnPerson, draw_person, made_ready
from avatar.render.eye_layers import EyeLayers
from avatar.render.face_seen import HINTS, mend, seen_face, small_plate
from avatar.render.mouth_layers import MouthLayers
from avatar.retarget.head_limits import moved
from tests.clips import astronaut_avatar

SIZE_PX = 512


@cache
def turned(yaw_degrees: float) -> tuple[DrawnPerson, Array, Picture]:
    """The astronaut, her landmarks and her plate."""
    avatar = astronaut_avatar()
    portrait, landmarks = avatar.portraits[0], avatar.landmarks[0]
    alpha = np.zeros(portrait.shape[:2], np.uint8)  # a head and shoulders
    middle = np.rint(landmarks[:468, :2].mean(0) * SIZE_PX).astype(int)
    cv2.circle(alpha, (int(middle[0]), int(middle[1])), 150, 255, -1)
    cv2.rectangle(alpha, (int(middle[0]) - 170, int(middle[1]) + 120), (int(middle[0]) + 170, SIZE_PX), 255, -1)
    pose = head_pose(landmarks, face_model().mean_shape)
    change = np.array([0, np.radians(yaw_degrees), 0, 0, 0, 0, 0], np.float32)
    driving = moved(pose, change).apply(pose.remove(landmarks))
    layers = MouthLayers(portrait, landmarks), EyeLayers(portrait, landmarks)
    sheet, plate = made_ready(landmarks, alpha, *layers)
    return draw_person(sheet, plate, driving), driving, plate


def hints(yaw_degrees: float) -> Picture:
    person, driving, plate = turned(yaw_degrees)
    picture, found = seen_face(person, small_plate(plate), driving)
    assert picture.shape == (128, 128, 3) and found.shape == (HINTS, 128, 128)
    return found


def test_the_portrait_itself_lacks_nothing() -> None:
    assert hints(0)[0].max() < 40 and hints(0)[1].max() == 0


def test_what_a_turn_stretches_is_in_reach_and_the_plate_is_not() -> None:
    lack, reach, alpha, *_ = hints(30)
    assert (lack > 127).sum() > 50 and (reach > 127).sum() > 300
    behind = cv2.dilate(alpha, np.ones((5, 5), np.uint8)) == 0
    assert not reach[behind].any()


def test_the_mouth_is_left_to_its_own_network() -> None:
    _, driving, _ = turned(30)
    column, row = (driving[[13, 14], :2].mean(0) * 128).astype(int)
    assert hints(30)[1][row, column] == 0


def test_no_change_leaves_the_picture_to_the_bit() -> None:
    picture = turned(0)[0].picture
    same = picture.copy()
    reach = np.zeros((128, 128), np.float32)
    reach[50:70, 11:90] = 1
    none = np.zeros((2, 64, 64), np.float32), np.ones((1, 128, 128), np.float32), np.zeros((3, 128, 128), np.float32)
    mend(same, reach, *none)
    np.testing.assert_array_equal(same, picture)


def test_a_change_is_where_it_belongs() -> None:
    picture = np.zeros((SIZE_PX, SIZE_PX, 3), np.uint8)
    picture[:, 256:] = 200
    offset, keep, added = np.zeros((2, 64, 64)), np.ones((1, 128, 128)), np.zeros((3, 128, 128))
    reach = np.zeros((128, 128))
    reach[30:101, 20:111] = 1
    offset[0, 10:50, 28:36] = 16 / 256  # 16 pixels to the right
    keep[0, 90:96, 30:50] = 0
    added[1, 90:96, 30:50] = 1
    mend(picture, *(part.astype(np.float32) for part in (reach, offset, keep, added)))
    assert (picture[200:300, 243:] == 200).all() and (picture[200:300, :237] == 0).all()
    assert (picture[366:378, 126:194] == (0, 255, 0)).all()
    assert (picture[:100, 256:] == 200).all() and not picture[:100, :256].any()
