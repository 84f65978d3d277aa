"""No picture lies about its sitter: necks keep their length, what is covered is not invented, strangers are known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise

import cv2
import numpy as np
import pytest

from avatar.core.arrays import Array, Picture
from avatar.face.crop import Crop
from avatar.face.driving import Driving
from avatar.face.face_model import face_model
from avatar.face.head_pose import head_pose
from avatar.face.state import FaceState, no_face
from avatar.render.relief import Relief
from avatar.retarget.head_limits import MAX_GROWTH, MAX_RISE, MAX_SHIFT, MAX_SHRINKAGE, MAX_SINK
from avatar.retarget.retargeter import Retargeter
from avatar.tracking.caged_tracker import CagedTracker
from avatar.tracking.child.face_cover import FaceCover
from avatar.tracking.model_asset import tracker_model
from tests.clips import astronaut_avatar
from tests.portraits import head, resized
from tests.test_retarget import FRAME_NS, driver, seen, turned

WARM = 30  # frames of calm, after which a driver is calibrated
OTHER = np.asarray(driver(0.9) * np.array([1, 1.08, 1]), np.float32)


def drive(states: Sequence[FaceState]) -> list[Driving]:
    """After a calm second; `states` begin at frame WARM."""
    retargeter = Retargeter(astronaut_avatar(), frame_crop=Crop(0, 0, 320))
    calm = [seen(driver(), i) for i in range(WARM)]
    return [retargeter.drive(state) for state in [*calm, *states]][WARM - 1 :]


def ramp(i: int, length: int = 20) -> float:
    return min(1.0, i / length)


def neck(driving: Driving) -> tuple[float, float]:
    """Length in the portrait's, and slant in degrees, of the line from between the ears to the neck's base, found where
    the relief shows the portrait's. In sizes of the head."""
    own = astronaut_avatar().landmarks[0]
    poses = [head_pose(landmarks, face_model().mean_shape) for landmarks in (own, driving.landmarks)]
    ears = [pose.apply(np.array([0, 0.6, 0.8], np.float32))[:2] for pose in poses]
    relief = Relief(own)
    wanted = ears[0] + poses[0].scale * np.array([0, 1.4], np.float32)
    vertex = int(np.linalg.norm(relief.vertices[:, :2] - wanted, axis=1).argmin())
    bases = [vertices[vertex, :2] for vertices in (relief.vertices, relief.place(driving.landmarks))]
    lines = [(base - ear) / pose.scale for base, ear, pose in zip(bases, ears, poses, strict=True)]
    slants = [np.degrees(np.arctan2(x, y)) for x, y in lines]
    return float(np.linalg.norm(lines[1]) / np.linalg.norm(lines[0])), float(slants[1] - slants[0])


def change(driving: Driving) -> Array:
    """(4,) logarithm of the size, and shift of the place between the ears, since the portrait's pose."""
    own, now = (
        head_pose(landmarks, face_model().mean_shape)
        for landmarks in (astronaut_avatar().landmarks[0], driving.landmarks)
    )
    ears = [pose.apply(np.array([0, 0.6, 0.8], np.float32)) for pose in (own, now)]
    return np.array([np.log(now.scale / own.scale), *(ears[1] - ears[0])], np.float32)


WAYS: dict[str, Callable[[float], dict[str, object]]] = {
    "leans back": lambda t: {"scale": 60 * (1 - 0.4 * t)},
    "comes near": lambda t: {"scale": 60 * (1 + 0.6 * t)},
    "moves aside": lambda t: {"at": (160 + 120 * t, 120)},
    "goes far and up": lambda t: {"scale": 60 * (1 - 0.6 * t), "at": (160, 120 - 70 * t)},
    "stands up": lambda t: {"at": (160, 120 - 100 * t)},
    "turns and leans": lambda t: {"rotation": turned(25 * t) @ turned(12 * t, "z"), "at": (160 + 40 * t, 120)},
}


@pytest.mark.parametrize("way", WAYS)
def test_the_neck_keeps_its_length_whatever_the_driver_does(way: str) -> None:
    shown = drive([seen(driver(), WARM + i, **WAYS[way](ramp(i))) for i in range(40)])  # type: ignore[arg-type]
    lengths, slants = zip(*(neck(driving) for driving in shown[::6]), strict=True)
    assert max(abs(length - 1) for length in lengths) < 0.05
    assert max(abs(slant) for slant in slants) < 6
    sizes, across, down = np.array([change(driving)[:3] for driving in shown]).T
    assert sizes.min() > -MAX_SHRINKAGE - 1e-4 and sizes.max() < MAX_GROWTH
    assert np.abs(across).max() < MAX_SHIFT + 1e-4
    assert down.min() > -MAX_RISE - 1e-4 and down.max() < MAX_SINK  # the body hardly leaves the picture's lower edge


def test_what_exceeds_the_limits_moves_the_rest_place_within_two_seconds() -> None:
    """As a camera operator would: from the new place, the driver is followed as before."""
    there = [seen(driver(), WARM + i, at=(160 + 150 * ramp(i), 120)) for i in range(70)]
    back = [seen(driver(), WARM + 70 + i, at=(310 - 15 * ramp(i, 10), 120)) for i in range(15)]
    shown = drive([*there, *back])
    moved = change(shown[70])[1] - change(shown[-1])[1]
    own = head_pose(astronaut_avatar().landmarks[0], face_model().mean_shape)
    assert moved == pytest.approx(15 / 60 * own.scale, rel=0.35)
    assert change(shown[70])[1] < MAX_SHIFT


def test_a_driver_who_comes_home_is_soon_shown_as_before() -> None:
    far = [seen(driver(), WARM + i, scale=60 * (1 - 0.5 * ramp(i))) for i in range(60)]
    home = [seen(driver(), WARM + 60 + i, scale=30 + 30 * ramp(i)) for i in range(90)]
    shown = drive([*far, *home])
    assert abs(change(shown[-1])[0]) < 0.03
    assert max(abs(change(driving)[0]) for driving in shown) <= MAX_GROWTH


def test_a_camera_that_changes_its_size_changes_nothing() -> None:
    """WebRTC senders scale their picture down while they run."""
    large = [replace(seen(driver(), WARM + i, rotation=turned(10)), frame_px=640) for i in range(20)]
    small = [
        replace(one, landmarks=one.landmarks / np.float32(2), frame_px=320, capture_ns=one.capture_ns + 20 * FRAME_NS)
        for one in large
    ]
    shown = drive([*large, *small])
    assert all(driving.live for driving in shown)
    assert np.abs(shown[-1].landmarks - shown[20].landmarks).max() < 1e-3


# Covered, half outside, somebody else


@pytest.mark.parametrize("hidden", [{"covered": 0.25}, {"confidence": 0.7}], ids=str)
def test_nothing_invented_is_shown_of_a_face_that_is_hidden_in_part(hidden: dict[str, float]) -> None:
    """It holds, and then idles."""
    states = [seen(driver(), WARM + i, rotation=turned(30), at=(200, 150)) for i in range(40)]
    shown = drive([replace(state, **hidden) for state in states])  # type: ignore[arg-type]
    assert not any(driving.live for driving in shown[1:])
    assert np.allclose(shown[5].landmarks, shown[0].landmarks, atol=1e-3)
    assert np.abs(shown[-1].landmarks - astronaut_avatar().landmarks[0]).max() < 0.03


@pytest.mark.parametrize("at", [(160.0, 120.0), (250.0, 150.0)], ids=["same seat", "elsewhere"])
def test_another_person_is_known_at_once_and_calm(at: tuple[float, float]) -> None:
    away = [no_face((WARM + i) * FRAME_NS) for i in range(5)]
    shown = drive([*away, *(seen(OTHER, WARM + 5 + i, at=at) for i in range(30))])
    mine = drive([seen(driver(), WARM)])[0]
    soon = shown[30]  # one second later: calibrated anew, nothing of the first one's shape in it
    assert np.linalg.norm((soon.landmarks - mine.landmarks)[:, :2], axis=1).mean() < 0.01
    assert max(np.abs(neck(driving)[0] - 1) for driving in shown[::5]) < 0.05
    assert max(np.linalg.norm((b.landmarks - a.landmarks)[:, :2], axis=1).mean() for a, b in pairwise(shown)) < 0.03


def test_the_same_person_who_comes_back_is_not_calibrated_anew() -> None:
    """Turned away as he left: still turned as he returns."""
    before = [seen(driver(), WARM + i, rotation=turned(15)) for i in range(20)]
    away = [no_face((WARM + 20 + i) * FRAME_NS) for i in range(20)]
    back = [seen(driver(), WARM + 40 + i, rotation=turned(15)) for i in range(40)]
    shown = drive([*before, *away, *back])
    assert np.abs(shown[-1].landmarks - shown[20].landmarks)[:, :2].max() < 0.01


# What the tracker sees of a cover


@lru_cache(maxsize=8)
def scene(cover: Callable[[Picture], None] | None = None, light: float = 1.0) -> Picture:
    """(360, 480, 3): a head of 340 px on grey."""
    picture = np.full((360, 480, 3), 120, np.uint8)
    picture[10:350, 70:410] = np.clip(resized(head(), 1.7).astype(np.float32) * light, 0, 255)
    if cover is not None:
        cover(picture)
    return picture


def hand(picture: Picture) -> None:
    cv2.ellipse(picture, (240, 290), (75, 85), 0, 0, 360, (196, 150, 125), -1)
    for finger in range(4):
        x = 190 + 32 * finger
        cv2.line(picture, (x, 250), (x, 190), (190, 144, 120), 26)


def cup(picture: Picture) -> None:
    cv2.rectangle(picture, (190, 215), (295, 350), (225, 225, 230), -1)


def microphone(picture: Picture) -> None:
    cv2.circle(picture, (240, 245), 36, (55, 55, 58), -1)
    cv2.line(picture, (240, 250), (260, 359), (30, 30, 30), 24)


def chin_touched(picture: Picture) -> None:
    cv2.ellipse(picture, (240, 345), (45, 35), 0, 0, 360, (196, 150, 125), -1)


@pytest.fixture(scope="module")
def landmarks() -> Array:
    with CagedTracker(tracker_model(), "image", patient=True) as tracker:
        return tracker.track(scene(), 0).landmarks


@pytest.mark.parametrize(
    ("cover", "hidden"),
    [(hand, True), (cup, True), (microphone, True), (chin_touched, False), (None, False)],
    ids=["hand", "cup", "microphone", "a hand at the chin", "nothing"],
)
def test_a_cover_is_seen(landmarks: Array, cover: Callable[[Picture], None] | None, hidden: bool) -> None:
    watch = FaceCover()
    for i in range(25):
        assert watch.share(scene(light=1 + 0.1 * (i % 3)), landmarks, i * FRAME_NS) == 0
    covered = [watch.share(scene(cover), landmarks, i * FRAME_NS) for i in range(25, 35)]
    assert all(share > 0 for share in covered) if hidden else not any(covered)
    assert watch.share(scene(), landmarks, 35 * FRAME_NS) == 0  # and its end


def test_what_stays_on_a_face_is_a_part_of_it(landmarks: Array) -> None:
    """A mask: after ten seconds it is how the face looks, and so is the face without it."""
    watch = FaceCover()
    for i in range(25):
        watch.share(scene(), landmarks, i * FRAME_NS)
    masked = [watch.share(scene(cup), landmarks, i * FRAME_NS) for i in range(25, 300, 10)]
    assert masked[0] > 0 and masked[20] > 0 and masked[-1] == 0
    assert watch.share(scene(), landmarks, 300 * FRAME_NS) == 0


def test_a_caged_tracker_says_what_is_covered_and_the_frames_size() -> None:
    from avatar.tracking.caged_tracker import CagedTracker

    with CagedTracker(tracker_model(), "video", patient=True) as tracker:
        for i in range(12):
            free = tracker.track(scene(), (1 + i) * FRAME_NS)
        covered = tracker.track(scene(cup), 13 * FRAME_NS)
    assert free.covered == 0 and free.frame_px == 480
    assert not covered.found or covered.covered > 0


def middle(states: Sequence[FaceState], follow: bool) -> list[Array]:
    """`change` of each frame after a calm second."""
    retargeter = Retargeter(astronaut_avatar(), frame_crop=Crop(0, 0, 320))
    retargeter.follow = follow
    calm = [seen(driver(), i) for i in range(WARM)]
    return [change(retargeter.drive(state)) for state in [*calm, *states]][WARM - 1 :]


def test_a_camera_operator_keeps_the_head_in_the_middle_gently() -> None:
    """He leans a little to the side, within the limits, and stays there."""
    aside = [seen(driver(), WARM + i, at=(160 + 16 * ramp(i), 120)) for i in range(150)]
    fixed, followed = (np.array(middle(aside, follow))[:, 1] for follow in (False, True))
    assert fixed[-1] > 0.75 * fixed.max() > 0.03
    assert abs(followed[-1]) < 0.4 * fixed[-1]
    assert followed[:12].max() > 0.5 * fixed[:12].max()  # the lean itself is seen
    assert np.abs(np.diff(followed)).max() <= np.abs(np.diff(fixed)).max() * 1.05


def test_the_switch_eases_over() -> None:
    aside = [seen(driver(), WARM + i, at=(160 + 16 * ramp(i), 120)) for i in range(100)]
    retargeter = Retargeter(astronaut_avatar(), frame_crop=Crop(0, 0, 320))
    shown = []
    for index, state in enumerate([*[seen(driver(), i) for i in range(WARM)], *aside]):
        retargeter.follow = index > WARM + 50
        shown.append(change(retargeter.drive(state))[1])
    steps = np.abs(np.diff(shown[WARM + 30 :]))
    assert steps.max() < 0.004 and shown[-1] < 0.6 * shown[WARM + 50]


# Another camera, another seat


@pytest.mark.parametrize(
    ("scale", "at"),
    [(30.0, (80, 60)), (60.0, (230, 150)), (120.0, (320, 240))],
    ids=["half the camera's size", "another place", "twice the camera's size"],
)
def test_the_same_driver_before_another_camera_gives_the_same_driving(scale: float, at: tuple[float, float]) -> None:
    """A laptop lid, a standing desk, a larger picture: places are of the head and of the frame, never pixels."""

    def run(scale: float, at: tuple[float, float]) -> list[Array]:
        retargeter = Retargeter(astronaut_avatar())
        x, y = at
        calm = [seen(driver(), i, scale=scale, at=at) for i in range(WARM)]
        moves = [
            seen(
                driver(1.15 + 0.05 * np.sin(i / 3)), WARM + i, turned(12 * np.sin(i / 7)), scale * (1 + 0.05 * ramp(i)),
                (x + 0.2 * scale * ramp(i), y - 0.1 * scale * ramp(i)),
            )
            for i in range(40)
        ]  # fmt: skip
        return [retargeter.drive(state).landmarks for state in [*calm, *moves]][WARM:]

    differences = [np.abs(a - b)[:, :2].max() for a, b in zip(run(60.0, (160, 120)), run(scale, at), strict=True)]
    assert max(differences) < 2e-3


@pytest.mark.parametrize("pitch", [-15.0, 15.0], ids=["lid up", "lid down"])
def test_a_laptops_lid_changes_nothing_but_where_the_body_stands(pitch: float) -> None:
    """The camera sees the same head from above or below; its turns since rest are the same."""
    lid = turned(pitch, "x")

    def run(seen_from: Array, y: float) -> list[Array]:
        retargeter = Retargeter(astronaut_avatar())
        calm = [seen(driver(), i, seen_from, at=(160, y)) for i in range(WARM)]
        moves = [seen(driver(), WARM + i, turned(15 * ramp(i)) @ seen_from, at=(160, y)) for i in range(30)]
        return [retargeter.drive(state).landmarks for state in [*calm, *moves]]

    model = face_model().mean_shape
    straight, tilted = (run(turned(0), 120)[-1], run(lid, 150)[-1])
    angle = head_pose(tilted, model).rotation @ head_pose(straight, model).rotation.T
    assert np.degrees(np.arccos(np.clip((np.trace(angle) - 1) / 2, -1, 1))) < 2
    shapes = [head_pose(landmarks, model).remove(landmarks) for landmarks in (straight, tilted)]
    assert np.abs(shapes[0] - shapes[1])[:, :2].max() < 0.03
