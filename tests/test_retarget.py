"""Expression and pose go over to the avatar; the shape of the driver's face does not."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from avatar.core.arrays import Array
from avatar.face.crop import Crop
from avatar.face.driving import Driving
from avatar.face.face_model import face_model
from avatar.face.gaps import gaps, lip_heights, set_lid_gaps, set_mouth_gaps
from avatar.face.head_pose import HeadPose, head_pose
from avatar.face.regions import INNER_LIP_PAIRS, LEFT_LID_PAIRS, OUTER_LIP_PAIRS, RIGHT_LID_PAIRS
from avatar.face.state import BLENDSHAPE_INDEX, BLENDSHAPE_NAMES, FaceState, no_face
from avatar.retarget.head_limits import MAX_SHIFT, MAX_TURN_RADIANS
from avatar.retarget.retargeter import Mode, Retargeter
from tests.clips import astronaut_avatar

FRAME_NS = 40_000_000


def turned(degrees: float, axis: str = "y") -> Array:
    return np.asarray(Rotation.from_euler(axis, degrees, degrees=True).as_matrix(), np.float32)


def seen(
    shape: Array,
    index: int = 0,
    rotation: Array | None = None,
    scale: float = 60.0,
    at: tuple[float, float] = (160, 120),
) -> FaceState:
    """A driver with a pose-free shape, as the tracker would report it at frame `index`."""
    pose = HeadPose(turned(0) if rotation is None else rotation, scale, np.array([*at, 0.0], np.float32))
    scores = np.zeros(len(BLENDSHAPE_NAMES), np.float32)
    return FaceState(pose.apply(shape), scores, np.eye(4, dtype=np.float32), 1.0, index * FRAME_NS)


def driver(wider: float = 1.15) -> Array:
    """Somebody whose face is wider than the mean."""
    return np.asarray(face_model().mean_shape * np.array([wider, 1.0, 1.0]), np.float32)


def shape_of(driving: Driving) -> Array:
    return head_pose(driving.landmarks, face_model().mean_shape).remove(driving.landmarks)


def mouth_gap(driving: Driving) -> float:
    return float(gaps(shape_of(driving), INNER_LIP_PAIRS).max())


def calibrated(mode: Mode = "relative", smoothing: bool = False) -> Retargeter:
    retargeter = Retargeter(astronaut_avatar(), mode, Crop(0, 0, 320), smoothing)
    retargeter.recalibrate(seen(driver()))
    return retargeter


def test_pose_is_recovered_and_removed() -> None:
    shape = face_model().mean_shape
    pose = HeadPose(turned(25) @ turned(-10, "x"), 0.3, np.array([0.4, 0.5, 0.1], np.float32))
    found = head_pose(pose.apply(shape), shape)
    assert np.allclose(found.rotation, pose.rotation, atol=1e-4)
    assert found.scale == pytest.approx(0.3, abs=1e-5)
    assert np.allclose(found.remove(pose.apply(shape)), shape, atol=1e-4)


def test_mirrored_landmarks_name_each_other() -> None:
    mirror = face_model().mirror
    assert np.array_equal(mirror[mirror], np.arange(478))
    assert mirror[33] == 263 and mirror[61] == 291 and mirror[468] == 473


def test_the_drivers_face_shape_does_not_leak() -> None:
    """Two drivers of different width with the same expression give the same avatar."""
    scores = np.zeros(52, np.float32)
    scores[BLENDSHAPE_INDEX["jawOpen"]] = 0.5
    opening = face_model().expression(scores)
    results = []
    for wider in (0.9, 1.2):
        retargeter = Retargeter(astronaut_avatar(), "relative", Crop(0, 0, 320), smoothing=False)
        retargeter.recalibrate(seen(driver(wider)))
        results.append(shape_of(retargeter.drive(seen(driver(wider) + opening))))
    oval = [10, 234, 454, 152]
    assert np.abs(results[0] - results[1])[oval, :2].max() < 0.03
    assert np.ptp(driver(1.2)[oval, 0]) - np.ptp(driver(0.9)[oval, 0]) > 0.3  # what did not leak


@pytest.mark.parametrize("mode", ["relative", "absolute"])
def test_a_shut_mouth_is_shut_and_an_open_one_is_open(mode: Mode) -> None:
    shut = set_mouth_gaps(driver(), np.zeros(9, np.float32))
    wide = set_mouth_gaps(driver(), np.full(9, 0.25, np.float32))
    retargeter = calibrated(mode)
    assert mouth_gap(retargeter.drive(seen(shut, 1))) < 0.01  # the portrait itself shows its teeth
    assert mouth_gap(retargeter.drive(seen(wide, 2))) > 0.15


def test_lips_that_are_rolled_in_keep_a_height() -> None:
    """A driver's thick lips lose more than the avatar's have: the warp would fold, and tear open chin and nose."""
    retargeter = calibrated()
    thick = driver()
    thick[OUTER_LIP_PAIRS[:, 0], 1] -= 0.2
    thick[OUTER_LIP_PAIRS[:, 1], 1] += 0.2
    retargeter.recalibrate(seen(thick))
    at_rest = lip_heights(shape_of(retargeter.drive(seen(thick))))
    rolled_in = lip_heights(shape_of(retargeter.drive(seen(driver(), 1))))
    middle = slice(2, 7)
    assert (rolled_in[:, middle] < 0.8 * at_rest[:, middle]).all()
    assert (rolled_in[:, middle] > 0.4 * at_rest[:, middle]).all()


@pytest.mark.parametrize("pairs", [RIGHT_LID_PAIRS, LEFT_LID_PAIRS], ids=["right", "left"])
def test_one_eye_shuts_and_the_other_stays_open(pairs: NDArray[np.int_]) -> None:
    other = LEFT_LID_PAIRS if pairs is RIGHT_LID_PAIRS else RIGHT_LID_PAIRS
    shape = shape_of(calibrated().drive(seen(set_lid_gaps(driver(), pairs, np.zeros(7, np.float32)))))
    assert gaps(shape, pairs).max() < 0.01
    assert gaps(shape, other).mean() > 0.05


def test_relative_mode_starts_at_the_portraits_own_pose() -> None:
    avatar = astronaut_avatar()
    rest = turned(12) @ turned(-6, "x")
    retargeter = Retargeter(avatar, "relative", smoothing=False)
    retargeter.recalibrate(seen(driver(), rotation=rest))
    landmarks = retargeter.drive(seen(driver(), 1, rotation=rest)).landmarks
    mean = face_model().mean_shape
    own, now = head_pose(avatar.landmarks[0], mean), head_pose(landmarks, mean)
    assert np.allclose(now.rotation, own.rotation, atol=0.03)
    assert np.allclose(now.translation, own.translation, atol=0.01)


def test_a_turn_of_the_head_goes_over_and_is_bounded() -> None:
    retargeter = calibrated()
    mean = face_model().mean_shape
    start = head_pose(retargeter.drive(seen(driver(), 1)).landmarks, mean).rotation

    def angle(index: int, degrees: float) -> float:
        now = head_pose(retargeter.drive(seen(driver(), index, rotation=turned(degrees))).landmarks, mean).rotation
        return float(np.linalg.norm(Rotation.from_matrix(now @ start.T).as_rotvec()))

    assert np.degrees(angle(2, 15.0)) == pytest.approx(14.0, abs=1.5)
    assert angle(3, 80.0) < MAX_TURN_RADIANS


def test_moving_aside_is_bounded() -> None:
    retargeter = calibrated()
    start = retargeter.drive(seen(driver(), 1)).landmarks.mean(0)
    far = retargeter.drive(seen(driver(), 2, at=(420, 120))).landmarks.mean(0)
    assert 0.5 * MAX_SHIFT < far[0] - start[0] <= MAX_SHIFT + 0.01


def test_absolute_mode_takes_pose_and_place_as_they_are() -> None:
    retargeter = Retargeter(astronaut_avatar(), "absolute", Crop(40, 0, 240), smoothing=False)
    state = seen(driver(), rotation=turned(20), at=(160, 130))
    now = head_pose(retargeter.drive(state).landmarks, face_model().mean_shape)
    assert np.allclose(now.rotation, turned(20), atol=0.06)
    assert np.allclose(now.translation[:2], [(160 - 40) / 240, 130 / 240], atol=0.02)


def test_driving_oneself_gives_ones_own_landmarks() -> None:
    """Self-reenactment with the portrait as calibration is the identity."""
    avatar = astronaut_avatar()
    crop = Crop(0, 0, 512)
    state = FaceState(avatar.landmarks[0] * 512, avatar.blendshapes[0], np.eye(4, dtype=np.float32), 1.0, FRAME_NS)
    retargeter = Retargeter(avatar, "absolute", crop, smoothing=False)
    retargeter.recalibrate(state)
    assert np.allclose(retargeter.drive(state).landmarks, avatar.landmarks[0], atol=2e-3)


def test_a_lost_face_eases_to_an_idle_pose_that_lives() -> None:
    retargeter = calibrated()
    away = retargeter.drive(seen(driver(), 1, rotation=turned(25))).landmarks
    steps = [retargeter.drive(no_face(i * FRAME_NS)) for i in range(2, 60)]
    jumps = [np.abs(b.landmarks - a.landmarks).max() for a, b in pairwise(steps)]
    assert not steps[0].live
    assert np.abs(steps[0].landmarks - away).max() < 0.02  # no jump at the loss
    assert max(jumps) < 0.03
    assert np.abs(steps[-1].landmarks - astronaut_avatar().landmarks[0]).max() < 0.03
    assert np.abs(steps[-1].landmarks - steps[-6].landmarks).max() > 0


def test_a_face_that_returns_eases_in() -> None:
    retargeter = calibrated()
    retargeter.drive(seen(driver(), 1, rotation=turned(25)))
    for i in range(2, 40):
        idle = retargeter.drive(no_face(i * FRAME_NS))
    back = retargeter.drive(seen(driver(), 40, rotation=turned(25)))
    assert back.live
    assert np.abs(back.landmarks - idle.landmarks).max() < 0.05


def test_nobody_at_the_start_shows_the_portrait() -> None:
    retargeter = Retargeter(astronaut_avatar())
    first = retargeter.drive(no_face(5 * FRAME_NS))
    assert np.abs(first.landmarks - astronaut_avatar().landmarks[0]).max() < 0.02


def test_smoothing_calms_a_resting_face() -> None:
    rng = np.random.default_rng(0)
    noise = [rng.normal(0, 0.25, (478, 3)).astype(np.float32) for _ in range(80)]  # a quarter of a pixel

    def restlessness(smoothing: bool) -> float:
        retargeter = Retargeter(astronaut_avatar(), "relative", Crop(0, 0, 320), smoothing)
        points = []
        for i, jitter in enumerate(noise):
            state = seen(driver(), i)
            shaken = FaceState(state.landmarks + jitter, state.blendshapes, state.pose, 1.0, state.capture_ns)
            points.append(retargeter.drive(shaken).landmarks)
        return float(np.std(np.diff(np.stack(points[20:]), axis=0)))

    assert restlessness(True) < 0.6 * restlessness(False)
