"""Driving like a person: calibration, blinks, gaze, gains, mirror, pauses, and faults that must not show."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from functools import cache, lru_cache
from itertools import pairwise

import numpy as np
import pytest

from avatar.core.arrays import Array
from avatar.core.errors import UsageError
from avatar.face.crop import Crop
from avatar.face.driving import Driving
from avatar.face.face_model import face_model
from avatar.face.gaps import DRAWN_SHUT, gaps, set_lid_gaps, set_mouth_gaps
from avatar.face.gaze import gaze, gaze_at_rest
from avatar.face.head_pose import head_pose
from avatar.face.regions import LEFT_BROW, LEFT_LID_PAIRS, RIGHT_BROW, RIGHT_LID_PAIRS
from avatar.face.state import BLENDSHAPE_INDEX, FaceState, no_face
from avatar.retarget.calibration import Calibration
from avatar.retarget.driver_face import driver_face
from avatar.retarget.extrapolation import MotionExtrapolator
from avatar.retarget.gains import Gains
from avatar.retarget.hold import HOLD_S
from avatar.retarget.idle import ROUND_S, IdleMotion
from avatar.retarget.retargeter import Retargeter
from tests.clips import astronaut_avatar
from tests.test_retarget import FRAME_NS, driver, mouth_gap, seen, shape_of, turned

CROP = Crop(0, 0, 320)
NO_JUMP = 0.012  # of the picture, from one frame to the next: the mean over the landmarks of an eased change
SHUT = set_lid_gaps(
    set_lid_gaps(driver(), RIGHT_LID_PAIRS, 0.25 * gaps(driver(), RIGHT_LID_PAIRS)),
    LEFT_LID_PAIRS,
    0.25 * gaps(driver(), LEFT_LID_PAIRS),
)
OPEN_MOUTH = set_mouth_gaps(driver(), np.full(9, 0.2, np.float32))


def started(**settings: object) -> Retargeter:
    """A retargeter after two calm seconds, at frame 50."""
    return deepcopy(calmed(tuple(settings.items())))


@cache
def calmed(settings: tuple[tuple[str, object], ...]) -> Retargeter:
    retargeter = Retargeter(astronaut_avatar(), frame_crop=CROP)
    for name, value in settings:
        setattr(retargeter, name, value)
    for i in range(50):
        retargeter.drive(seen(driver(), i))
    return retargeter


def settle(retargeter: Retargeter, shape: Array, start: int, frames: int = 25, **how: object) -> Driving:
    for i in range(start, start + frames):
        driving = retargeter.drive(seen(shape, i, **how))  # type: ignore[arg-type]
    return driving


def step(before: Driving, after: Driving) -> float:
    return float(np.linalg.norm((after.landmarks - before.landmarks)[:, :2], axis=1).mean())


@lru_cache(maxsize=1)
def rested() -> Driving:
    return started().drive(seen(driver(), 50))


def openness(driving: Driving) -> Array:
    now, at_rest = (
        np.array([gaps(shape_of(one), pairs).mean() for pairs in (RIGHT_LID_PAIRS, LEFT_LID_PAIRS)])
        for one in (driving, rested())
    )
    return np.asarray(now / at_rest, np.float32)


def blinking(shape: Array, index: int, right: float, left: float) -> FaceState:
    state = seen(shape, index)
    state.blendshapes[[BLENDSHAPE_INDEX["eyeBlinkRight"], BLENDSHAPE_INDEX["eyeBlinkLeft"]]] = right, left
    return state


def lids(right: float, left: float) -> Array:
    half = set_lid_gaps(driver(), RIGHT_LID_PAIRS, right * gaps(driver(), RIGHT_LID_PAIRS))
    return set_lid_gaps(half, LEFT_LID_PAIRS, left * gaps(driver(), LEFT_LID_PAIRS))


# Calibration


def test_one_second_of_calm_calibrates() -> None:
    retargeter = Retargeter(astronaut_avatar(), frame_crop=CROP)
    assert retargeter.calibrated == 0
    for i in range(26):
        retargeter.drive(seen(driver(), i))
    assert retargeter.calibrated == 1


def test_talking_and_turning_do_not_count_as_calm() -> None:
    """A driver who starts in the middle of a word, turned away, is not taken for neutral once he is calm."""
    retargeter = Retargeter(astronaut_avatar(), frame_crop=CROP)
    settle(retargeter, OPEN_MOUTH, 0, 25, rotation=turned(25))
    assert retargeter.calibrated < 0.5
    calm = settle(retargeter, driver(), 25, 75)
    own = head_pose(astronaut_avatar().landmarks[0], face_model().mean_shape)
    now = head_pose(calm.landmarks, face_model().mean_shape)
    assert np.allclose(now.rotation, own.rotation, atol=0.03)


def test_a_better_reference_takes_over_without_a_jump() -> None:
    retargeter = Retargeter(astronaut_avatar(), frame_crop=CROP)
    shown = [settle(retargeter, driver(), 0, 200, rotation=turned(14))]
    assert retargeter.calibrated == 1
    leaning = shown[0]
    shown += [
        retargeter.drive(seen(driver(), i, rotation=turned(14 * max(0, 1 - (i - 200) / 25)))) for i in range(200, 500)
    ]
    own = head_pose(astronaut_avatar().landmarks[0], face_model().mean_shape).rotation
    assert np.allclose(head_pose(shown[-1].landmarks, face_model().mean_shape).rotation, own, atol=0.03)
    assert step(leaning, shown[-1]) < 0.02  # it was shown straight before, too
    assert max(step(a, b) for a, b in pairwise(shown)) < NO_JUMP


def test_who_begins_with_a_smile_is_known_after_five_seconds_of_talk() -> None:
    """Scores explain half of this smile. The rest would be a pout for as long as its second passed for calm."""
    smile = [BLENDSHAPE_INDEX[f"mouthSmile{side}"] for side in ("Left", "Right")]
    smiling = driver() + face_model().expression_basis[smile].sum(0)
    calibration = Calibration()
    for i in range(25 * (1 + 5)):
        gap = 0.03 + 0.025 * np.sin(i)
        state = seen(smiling if i < 25 else set_mouth_gaps(driver(), np.full(9, gap, np.float32)), i)
        state.blendshapes[smile] = 0.5 if i < 25 else 0
        face = driver_face(state.landmarks, state.blendshapes, CROP)
        known = calibration.learn(face, state.blendshapes, FRAME_NS / 1e9).face.shape
    known = known - face.shape
    assert np.abs(known[[61, 291], :2]).max() * 90 < 0.3


def test_recalibrating_takes_the_present_pose_for_rest_without_a_jump() -> None:
    retargeter = started()
    away = settle(retargeter, driver(), 50, rotation=turned(20))
    retargeter.recalibrate()
    first = retargeter.drive(seen(driver(), 75, rotation=turned(20)))
    after = settle(retargeter, driver(), 76, rotation=turned(20))
    assert step(away, first) < NO_JUMP
    assert step(after, rested()) < 0.01


def test_somebody_else_is_calibrated_afresh() -> None:
    """Another face after an absence: the shape of the first one's must not leak into the second one's driving."""
    retargeter = started()
    other = np.asarray(driver(0.9) * np.array([1, 1.08, 1]), np.float32)
    for i in range(50, 150):
        retargeter.drive(no_face(i * FRAME_NS))
    driving = settle(retargeter, other, 150, 130)
    assert step(driving, rested()) < 0.01


def test_a_stare_at_the_camera_is_calm_and_a_yawn_is_not() -> None:
    still, yawn = Calibration(), Calibration()
    for calibration, shape in ((still, driver()), (yawn, OPEN_MOUTH)):
        for i in range(20):
            state = seen(shape, i)
            calibration.learn(driver_face(state.landmarks, state.blendshapes, CROP), state.blendshapes, 0.04)
    assert still.share > 5 * yawn.share


# Eyes


def test_a_half_seen_blink_shuts_both_eyes() -> None:
    """What MediaPipe makes of a blink: neither lid quite down, one much less than the other."""
    retargeter = started()
    driving = retargeter.drive(blinking(lids(0.25, 0.5), 50, 0.55, 0.3))
    assert np.all(openness(driving) < DRAWN_SHUT + 0.06)


def test_a_wink_shuts_one_eye() -> None:
    retargeter = started()
    for i, right in enumerate((0.8, 0.5, 0.25, 0.2), 50):
        driving = retargeter.drive(blinking(lids(right, 0.92), i, 0.7 * (1 - right), 0.05))
    right_open, left_open = openness(driving)
    assert right_open < DRAWN_SHUT + 0.06
    assert left_open > 0.8


@pytest.mark.parametrize(("narrow", "score"), [(0.6, 0.35), (0.45, 0.5)])
def test_laughing_eyes_narrow_and_stay_open(narrow: float, score: float) -> None:
    """They get there in some 0.3 s, with scores of which half is a blink's."""
    retargeter = started()
    for i, share in enumerate([*np.linspace(0.125, 1, 8), *np.ones(25)], 50):
        opening = 1 - share * (1 - narrow)
        driving = retargeter.drive(blinking(lids(opening, opening), i, share * score, share * score))
        assert np.all(openness(driving) > 0.8 * narrow)
    assert np.all(openness(driving) < narrow + 0.1)


def test_lids_that_fall_slowly_shut_in_the_end() -> None:
    retargeter = started()
    for i, opening in enumerate(np.linspace(1, 0.1, 20), 50):
        driving = retargeter.drive(blinking(lids(opening, opening), i, 0.75 * (1 - opening), 0.75 * (1 - opening)))
    assert np.all(openness(driving) < DRAWN_SHUT + 0.06)


def test_a_laughing_eye_blinks_too() -> None:
    retargeter = started()
    for i, opening in enumerate([*np.linspace(1, 0.6, 10), *[0.6] * 20, 0.3, 0.1], 50):
        driving = retargeter.drive(blinking(lids(opening, opening), i, 0.7 * (1 - opening), 0.7 * (1 - opening)))
    assert np.all(openness(driving) < DRAWN_SHUT + 0.06)


def test_lids_are_never_nearer_than_the_generator_can_draw() -> None:
    retargeter = started(gains=Gains(eyes=2.0))
    driving = retargeter.drive(blinking(lids(0.0, 0.0), 50, 0.8, 0.8))
    assert np.all(openness(driving) > 0.8 * DRAWN_SHUT)


def looking(right: float) -> Array:
    shape = driver()
    shape[468:478, 0] += right
    return shape


def test_the_gaze_goes_over_and_stays_in_the_eye() -> None:
    at_rest = gaze(shape_of(rested()))
    aside = gaze(shape_of(settle(started(), looking(0.04), 50)))
    assert np.all(aside[:, 0] - at_rest[:, 0] > 0.06)
    far = gaze(shape_of(settle(started(), looking(0.3), 50)))
    assert np.all(np.abs(far[:, 0]) < 0.33)


def test_who_looks_at_another_screen_from_the_start_is_seen_to() -> None:
    """It would be taken for the gaze at rest, and the avatar would look ahead for the rest of the call."""
    retargeter = Retargeter(astronaut_avatar(), frame_crop=CROP)
    portrait = gaze(
        head_pose(astronaut_avatar().landmarks[0], face_model().mean_shape).remove(astronaut_avatar().landmarks[0])
    )
    aside = gaze(shape_of(settle(retargeter, looking(0.05), 0, frames=50)))
    assert np.all(aside[:, 0] - portrait[:, 0] > 0.06)


@pytest.mark.parametrize("degrees", [-20, 20])
def test_a_gaze_at_rest_is_ahead_or_into_the_camera(degrees: int) -> None:
    ahead = np.array([[-0.04, -0.065], [0.04, -0.065]], np.float32)
    rotation = turned(degrees)
    at_camera = ahead - np.array([0.38 * rotation[2, 0], 0], np.float32)
    for gaze_learnt in (ahead, at_camera, np.asarray((ahead + at_camera) / 2, np.float32)):
        assert np.allclose(gaze_at_rest(gaze_learnt, rotation), gaze_learnt)
    beyond = at_camera + (at_camera - ahead)
    assert np.abs(gaze_at_rest(beyond, rotation) - at_camera).max() == pytest.approx(0.045, abs=1e-4)


def test_eyes_do_not_roll_behind_shut_lids() -> None:
    retargeter = started()
    before = gaze(shape_of(retargeter.drive(seen(driver(), 50))))
    rolled = SHUT.copy()
    rolled[468:478, :2] += 0.05
    shut = gaze(shape_of(retargeter.drive(blinking(rolled, 51, 0.7, 0.7))))
    assert np.abs(shut - before)[:, 0].max() < 0.02


# Brows and mouth


def test_brows_move_as_far_as_to_be_seen_where_the_drivers_are() -> None:
    """A picture whose brows were moved shows less of it than a face that makes folds."""
    brows, raised = list(RIGHT_BROW + LEFT_BROW), driver()
    raised[brows, 1] -= 0.05
    moves = {}
    for smoothing in (False, True):
        retargeter = Retargeter(astronaut_avatar(), frame_crop=CROP, smoothing=smoothing)
        retargeter.recalibrate(seen(driver()))
        at_rest = shape_of(retargeter.drive(seen(driver(), 0)))
        way = (shape_of(settle(retargeter, raised, 1)) - at_rest)[brows, 1]
        moves[smoothing] = -float(way.mean())
    assert moves[False] == pytest.approx(0.05, abs=0.005), "what was measured goes over as it is"
    assert 0.06 < moves[True] < 0.08


# Gains, mirror, modes


def test_gains_change_their_own_part_alone() -> None:
    plain = settle(started(), OPEN_MOUTH, 50)
    none = settle(started(gains=Gains(mouth=0.0)), OPEN_MOUTH, 50)
    twice = settle(started(gains=Gains(mouth=2.0)), OPEN_MOUTH, 50)
    assert mouth_gap(none) < 0.01
    assert mouth_gap(twice) == pytest.approx(2 * mouth_gap(plain), rel=0.15)
    assert np.abs(shape_of(twice) - shape_of(plain))[[70, 300, 33, 263, 468], :2].max() < 0.02


def test_a_head_without_gain_stays_where_the_portrait_has_it() -> None:
    still = settle(started(gains=Gains(head=0.0)), driver(), 50, rotation=turned(20), at=(200, 120))
    own = head_pose(astronaut_avatar().landmarks[0], face_model().mean_shape)
    now = head_pose(still.landmarks, face_model().mean_shape)
    assert np.allclose(now.rotation, own.rotation, atol=0.03)
    assert np.allclose(now.translation[:2], own.translation[:2], atol=0.01)


@pytest.mark.parametrize("bad", [-0.1, 2.1, float("nan")])
def test_impossible_gains_are_refused(bad: float) -> None:
    with pytest.raises(UsageError, match="mouth"):
        Gains(mouth=bad)


def test_a_mirror_turns_the_other_way_and_winks_the_other_eye() -> None:
    def yaw(driving: Driving) -> float:
        return float(head_pose(driving.landmarks, face_model().mean_shape).rotation[0, 2])

    at_rest = yaw(rested())
    plain = yaw(settle(started(), driver(), 50, rotation=turned(15))) - at_rest
    mirrored = yaw(settle(started(mirror=True), driver(), 50, rotation=turned(15))) - at_rest
    assert mirrored == pytest.approx(-plain, abs=0.04)
    retargeter = started(mirror=True)
    for i, right in enumerate((0.8, 0.5, 0.2), 50):
        driving = retargeter.drive(blinking(lids(right, 0.95), i, 0.7 * (1 - right), 0.05))
    right_open, left_open = openness(driving)
    assert left_open < 0.3 < 0.8 < right_open


@pytest.mark.parametrize(
    "change",
    [{"mirror": True}, {"mode": "absolute"}, {"gains": Gains(head=0.0, mouth=2.0)}, {"idle_only": True}],
    ids=str,
)
def test_a_switch_while_driving_eases_over(change: dict[str, object]) -> None:
    retargeter = started()
    shown = [settle(retargeter, OPEN_MOUTH, 50, rotation=turned(20))]
    for name, value in change.items():
        setattr(retargeter, name, value)
    shown += [retargeter.drive(seen(OPEN_MOUTH, i, rotation=turned(20))) for i in range(75, 110)]
    assert step(shown[0], shown[-1]) > 0.01
    assert max(step(a, b) for a, b in pairwise(shown)) < 2 * NO_JUMP
    assert step(shown[0], shown[1]) < NO_JUMP


def test_a_pause_idles_and_a_freeze_holds() -> None:
    retargeter = started()
    turned_away = settle(retargeter, driver(), 50, rotation=turned(20))
    retargeter.frozen = True
    held = settle(retargeter, driver(), 75)
    assert np.array_equal(held.landmarks, turned_away.landmarks)
    assert held.capture_ns == 99 * FRAME_NS
    retargeter.frozen, retargeter.idle_only = False, True
    idle = settle(retargeter, driver(), 100, 60, rotation=turned(20))
    assert not idle.live
    assert np.abs(idle.landmarks - astronaut_avatar().landmarks[0])[:, :2].max() < 0.03


# Steadiness


def test_size_follows_a_real_approach_and_not_a_tremble() -> None:
    def size(driving: Driving) -> float:
        return float(np.log(head_pose(driving.landmarks, face_model().mean_shape).scale))

    retargeter = started()
    rng = np.random.default_rng(0)
    trembling = [
        size(retargeter.drive(seen(driver(), i, scale=60 * float(np.exp(rng.normal(0, 0.01)))))) for i in range(50, 150)
    ]
    assert np.std(trembling) < 0.004
    near = settle(retargeter, driver(), 150, 75, scale=66)
    assert size(near) - trembling[0] == pytest.approx(np.log(1.1), abs=0.02)


# Faults


@pytest.mark.parametrize("wild", ["turn", "place", "size", "shape"])
def test_a_wild_frame_is_not_drawn(wild: str) -> None:
    """A hand before the face, or a flash: the tracker's mesh jumps for some frames."""
    retargeter = started()
    calm = retargeter.drive(seen(driver(), 50))
    rng = np.random.default_rng(1)
    shown = [calm]
    for i in range(51, 57):
        bent = driver() * np.array([1 - 0.3 * (i % 2), 1.3, 1], np.float32) if wild == "shape" else driver()
        state = seen(
            bent,
            i,
            rotation=turned(float(rng.uniform(30, 60))) if wild == "turn" else None,
            scale=60 * (1.3 + 0.4 * (i % 2)) if wild == "size" else 60.0,
            at=(60, 200) if wild == "place" and i % 2 else (160, 120),
        )
        shown.append(retargeter.drive(state))
    shown += [retargeter.drive(seen(driver(), i)) for i in range(57, 70)]
    assert max(step(calm, driving) for driving in shown) < NO_JUMP


def test_a_head_that_stays_elsewhere_is_believed() -> None:
    retargeter = started()
    shown = [retargeter.drive(seen(driver(), 50))]
    shown += [retargeter.drive(seen(driver(), i, at=(210, 150))) for i in range(51, 80)]
    assert max(step(a, b) for a, b in pairwise(shown)) < 0.04
    assert step(shown[0], shown[-1]) > 0.05
    assert shown[-1].live


def test_a_face_that_is_half_outside_of_the_picture_does_not_drive() -> None:
    retargeter = started()
    state = replace(seen(driver(), 50, rotation=turned(20)), confidence=0.3)
    assert not retargeter.drive(state).live


def test_a_face_lost_for_a_moment_is_held() -> None:
    retargeter = started()
    before = settle(retargeter, driver(), 50, rotation=turned(20))
    for i in range(75, 75 + int(HOLD_S / 0.04) - 1):
        driving = retargeter.drive(no_face(i * FRAME_NS))
        assert not driving.live
        assert np.allclose(driving.landmarks, before.landmarks, atol=1e-3)


@pytest.mark.parametrize("gap_ns", [3_000_000_000, 600_000_000_000, -1_000_000_000], ids=["3 s", "10 min", "back"])
def test_a_clock_that_jumps_does_not_show(gap_ns: int) -> None:
    retargeter = started()
    before = retargeter.drive(seen(driver(), 50))
    state = seen(OPEN_MOUTH, 51, rotation=turned(25))
    shown = [before]
    for i in range(20):
        late = replace(state, capture_ns=(51 + i) * FRAME_NS + gap_ns)
        shown.append(retargeter.drive(late))
    assert max(step(a, b) for a, b in pairwise(shown)) < 2 * NO_JUMP
    assert mouth_gap(shown[-1]) > 0.1


def test_the_same_time_again_gives_the_same_picture() -> None:
    retargeter = started()
    first = retargeter.drive(seen(driver(), 50, rotation=turned(5)))
    again = retargeter.drive(seen(driver(), 50, rotation=turned(5)))
    assert np.allclose(first.landmarks, again.landmarks, atol=1e-3)


# Idle


def idle(seed: int = 0) -> IdleMotion:
    landmarks = astronaut_avatar().landmarks[0]
    pose = head_pose(landmarks, face_model().mean_shape)
    return IdleMotion(pose.remove(landmarks), pose, seed)


def test_idle_breathes_blinks_and_looks_about() -> None:
    motion = idle()
    frames = [motion.at(t) for t in np.arange(0, 60, 0.04)]
    opening = np.array([gaps(shape, RIGHT_LID_PAIRS).mean() for shape, _ in frames])
    shut = opening < 0.4 * np.median(opening)
    blinks = int((shut[1:] & ~shut[:-1]).sum())
    assert 9 <= blinks <= 26  # a minute
    lengths = np.diff(np.flatnonzero(np.diff(shut.astype(int)) == 1)) * 0.04
    assert lengths.std() > 0.5  # not a metronome
    height = np.array([pose[5] for _, pose in frames])
    assert 0.003 < np.ptp(height) < 0.012
    assert np.ptp([gaze(shape)[0, 0] for shape, _ in frames]) > 0.04


def test_idle_is_the_same_again_and_another_with_another_seed() -> None:
    assert np.array_equal(idle().at(33.3)[1], idle().at(33.3)[1])
    assert not np.array_equal(idle(1).at(33.3)[1], idle(2).at(33.3)[1])


def test_idle_goes_round_without_a_seam() -> None:
    (before, pose_before), (after, pose_after) = idle().at(ROUND_S - 0.001), idle().at(ROUND_S + 0.001)
    assert np.abs(before - after).max() < 0.01
    assert np.abs(pose_before - pose_after).max() < 1e-3


# In between tracked frames


def test_frames_in_between_go_on_with_the_motion() -> None:
    """Nearer to the truth than the frame before, for a head that turns at 40 degrees a second."""
    retargeter, extrapolator = started(), MotionExtrapolator()
    with pytest.raises(ValueError, match="feed"):
        extrapolator.extrapolate(0)
    full = started()
    guessed, held = [], []
    for i in range(50, 70):
        state = seen(driver(), i, rotation=turned(1.6 * (i - 50)))
        truth = full.drive(state)
        if i % 2 == 0:
            last = retargeter.drive(state)
            extrapolator.feed(last)
        elif i > 54:
            guessed.append(step(truth, extrapolator.extrapolate(state.capture_ns)))
            held.append(step(truth, last))
    assert np.mean(guessed) < 0.7 * np.mean(held)


def test_nothing_is_carried_on_for_long() -> None:
    extrapolator = MotionExtrapolator()
    start = astronaut_avatar().landmarks[0]
    extrapolator.feed(Driving(start, 0))
    extrapolator.feed(Driving(start + np.float32(0.02), 80_000_000))
    late = extrapolator.extrapolate(10_000_000_000)
    assert late.capture_ns == 10_000_000_000
    assert np.abs(late.landmarks - start - 0.02).max() < 0.021
    assert np.array_equal(extrapolator.extrapolate(80_000_000).landmarks, start + np.float32(0.02))
    extrapolator.feed(Driving(start, 5_000_000_000))  # after a pause there is no speed
    assert np.array_equal(extrapolator.extrapolate(5_040_000_000).landmarks, start)


def test_a_blink_is_not_carried_on() -> None:
    extrapolator = MotionExtrapolator()
    landmarks = astronaut_avatar().landmarks[0]
    pose = head_pose(landmarks, face_model().mean_shape)
    shape = pose.remove(landmarks)
    half = set_lid_gaps(shape, RIGHT_LID_PAIRS, 0.3 * gaps(shape, RIGHT_LID_PAIRS))
    extrapolator.feed(Driving(landmarks, 0))
    extrapolator.feed(Driving(pose.apply(half), 80_000_000))
    opening = gaps(shape_of(extrapolator.extrapolate(120_000_000)), RIGHT_LID_PAIRS)
    assert np.allclose(opening, gaps(half, RIGHT_LID_PAIRS), atol=0.01)
