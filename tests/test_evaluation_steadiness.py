"""Evaluation: teeth that must keep their size and necks that must keep their length, on made-up pictures."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from avatar.cli.evaluate import find_clips, find_groups, find_stills
from avatar.core.avatar import Avatar
from avatar.core.errors import UsageError
from avatar.evaluation.neck import Lengths, farthest, mark, measure, spread
from avatar.evaluation.neck_sweep import Sweep, driver, summary
from avatar.evaluation.photo_group import read_group
from avatar.evaluation.steadiness import Steadiness
from avatar.evaluation.teeth import Teeth, growth
from avatar.evaluation.tooth_stills import ToothScores
from avatar.face.body import neck_joint
from avatar.face.face_model import face_model
from avatar.face.head_pose import head_pose
from avatar.face.regions import INNER_LIP_PAIRS, LIPS_INNER, LIPS_OUTER
from avatar.face.state import BLENDSHAPE_INDEX, FaceState, no_face
from avatar.retarget.retargeter import Retargeter
from avatar.sources.photo import PhotoReader

SIZE = 512
SCALE = 0.22  # distance of the outer eye corners
SKIN, LIP, CAVITY, TOOTH = (205, 165, 145), (170, 80, 80), (60, 25, 25), (225, 218, 205)
Array = NDArray[np.float32]
Picture = NDArray[np.uint8]
RNG = np.random.default_rng(5)


def a_face(**blendshapes: float) -> Array:
    """(478, 3) in [0, 1]."""
    scores = np.zeros(52, np.float32)
    for name, score in blendshapes.items():
        scores[BLENDSHAPE_INDEX[name]] = score
    model = face_model()
    shape = model.mean_shape + model.expression(scores)
    return np.asarray(SCALE * shape + np.array([0.5, 0.35, 0]), np.float32)


def smile(jaw_open: float) -> Array:
    """In pixels."""
    return SIZE * a_face(
        jawOpen=jaw_open, mouthSmileLeft=0.7, mouthSmileRight=0.7, mouthUpperUpLeft=0.8, mouthUpperUpRight=0.8,
        mouthLowerDownLeft=0.8, mouthLowerDownRight=0.8,
    )  # fmt: skip


def shut_mouth() -> Array:
    points = SIZE * a_face()
    points[INNER_LIP_PAIRS[:, 1]] = points[INNER_LIP_PAIRS[:, 0]]
    return points


def fill(picture: Picture, points: Array, ring: tuple[int, ...], colour: tuple[int, int, int]) -> Picture:
    cv2.fillPoly(picture, [np.rint(points[list(ring), :2] * 16).astype(np.int32)], colour, cv2.LINE_AA, 4)
    return picture


def a_row(points: Array, height: float) -> Picture:
    """(S, S, 3): teeth, each of its own brightness, `height` pixels down from the upper lip's middle."""
    picture = np.full((SIZE, SIZE, 3), CAVITY, np.uint8)
    top = points[13, 1]
    for k, left in enumerate(range(int(points[61, 0]), int(points[291, 0]), 9)):
        shade = np.array(TOOTH) - (k * 37 % 29)
        cv2.rectangle(picture, (left, int(top) - 30), (left + 7, round(top + height)), shade.tolist(), -1)
    return picture


def mouth(points: Array, inside: Picture) -> Picture:
    picture = np.full((SIZE, SIZE, 3), SKIN, np.uint8)
    fill(picture, points, LIPS_OUTER, LIP)
    between = fill(np.zeros((SIZE, SIZE, 3), np.uint8), points, LIPS_INNER, (255, 255, 255)) > 127
    return np.where(between, inside, picture)


PHOTO_LIPS = smile(0.0)
OPENING = float(PHOTO_LIPS[14, 1] - PHOTO_LIPS[13, 1])
ROW = a_row(PHOTO_LIPS, OPENING)


def photo_teeth() -> Teeth:
    found = Teeth.of(mouth(PHOTO_LIPS, ROW), PHOTO_LIPS)
    assert found is not None
    return found


# Teeth


def test_a_photo_without_teeth_is_none() -> None:
    shut = shut_mouth()
    assert Teeth.of(mouth(shut, ROW), shut) is None
    dark = np.full_like(ROW, CAVITY)
    assert Teeth.of(mouth(PHOTO_LIPS, dark), PHOTO_LIPS) is None
    tongue = np.full_like(ROW, (190, 90, 95))
    assert Teeth.of(mouth(PHOTO_LIPS, tongue), PHOTO_LIPS) is None


def test_rigid_teeth_do_not_grow_and_are_the_photo_s() -> None:
    teeth = photo_teeth()
    little, wide = smile(0.2), smile(0.9)
    assert wide[14, 1] - wide[13, 1] > 1.9 * OPENING
    heights = [teeth.height(mouth(points, ROW), points) for points in (little, wide)]
    assert growth(*heights) == pytest.approx(0, abs=0.12)
    assert teeth.correlation(mouth(wide, ROW), wide) > 0.98


def test_teeth_pulled_like_rubber_grow_by_as_much() -> None:
    teeth = photo_teeth()
    little, wide = smile(0.2), smile(0.9)
    before = teeth.height(mouth(little, a_row(little, OPENING)), little)
    for times in (1.3, 1.6, 1.9):
        after = teeth.height(mouth(wide, a_row(wide, times * OPENING)), wide)
        assert growth(before, after) == pytest.approx(times - 1, abs=0.25), times


def test_a_white_slab_grows_and_is_not_the_photo_s() -> None:
    teeth, little, wide = photo_teeth(), smile(0.2), smile(0.9)
    slab = np.full_like(ROW, TOOTH)
    assert growth(teeth.height(mouth(little, ROW), little), teeth.height(mouth(wide, slab), wide)) > 0.8
    assert abs(teeth.correlation(mouth(wide, slab), wide)) < 0.3


def test_teeth_that_vanish_shrink_to_nothing() -> None:
    teeth, wide = photo_teeth(), smile(0.9)
    assert growth(1.0, teeth.height(mouth(wide, np.full_like(ROW, CAVITY)), wide)) == -1
    assert np.isnan(growth(0.0, 1.0))
    shut = shut_mouth()
    assert np.isnan(teeth.correlation(mouth(shut, ROW), shut))


# Necks


def portrait() -> Picture:
    noise = cv2.GaussianBlur(RNG.uniform(0, 1, (SIZE, SIZE)).astype(np.float32), (0, 0), 3)
    return np.asarray(np.clip(130 + 900 * (noise - 0.5), 0, 255), np.uint8)[..., None].repeat(3, 2)


def moved(picture: Picture, scale: float, shift: tuple[float, float]) -> tuple[Picture, Array]:
    """The whole picture, and where the face then is."""
    matrix = np.array([[scale, 0, SIZE * shift[0]], [0, scale, SIZE * shift[1]]], float)
    return np.asarray(cv2.warpAffine(picture, matrix, (SIZE, SIZE)), np.uint8), np.asarray(
        a_face() * scale + np.array([*shift, 0]), np.float32
    )


def marked() -> tuple[Picture, tuple[int, int, int]]:
    found = mark(portrait(), a_face())
    assert found is not None
    return found.picture, found.colour


def test_a_person_moved_as_a_whole_keeps_neck_and_width() -> None:
    picture, colour = marked()
    found = [measure(*_with(colour, moved(picture, *how))) for how in
             ((1, (0, 0)), (0.8, (0.1, 0.1)), (0.6, (0.25, 0.1)), (1, (0.05, -0.08)))]  # fmt: skip
    necks, widths = ([getattr(one, part) for one in found] for part in ("neck", "width"))
    assert spread(necks) < 0.01
    assert spread(widths) < 0.02
    assert necks[0] == pytest.approx(1.4, abs=0.02)


def test_a_neck_that_grows_is_measured() -> None:
    """Everything below the chin stays behind while the head rises by a tenth of the picture."""
    picture, colour = marked()
    up = round(0.1 * SIZE)
    goal = a_face() - np.array([0, up / SIZE, 0], np.float32)
    chin = round((a_face()[152, 1]) * SIZE)
    pulled = picture.copy()
    pulled[: chin - up] = picture[up:chin]
    pulled[chin - up : chin] = picture[chin]
    at_rest, stretched = measure(picture, colour, a_face()), measure(pulled, colour, goal)
    assert at_rest is not None
    assert stretched is not None
    assert stretched.neck - at_rest.neck == pytest.approx(0.1 / SCALE, abs=0.03)
    assert stretched.width == pytest.approx(at_rest.width, rel=0.01)
    assert farthest([at_rest.neck, stretched.neck], at_rest.neck) == pytest.approx(0.1 / SCALE / 1.4, abs=0.03)


def test_a_head_that_was_drawn_elsewhere_than_sent_is_measured_where_it_is() -> None:
    picture, colour = marked()
    there, _ = moved(picture, 0.95, (0.02, 0.03))
    found = measure(there, colour, a_face())
    assert found is not None
    assert found.neck == pytest.approx(1.4, abs=0.02)


def test_a_squeezed_head_is_narrower() -> None:
    picture, colour = marked()
    squeezed = cv2.resize(picture, (round(0.9 * SIZE), SIZE))
    canvas = picture.copy()
    canvas[:, : squeezed.shape[1]] = squeezed
    canvas[:, squeezed.shape[1] :] = 90
    found = measure(canvas, colour, np.asarray(a_face() * np.array([0.9, 1, 1]), np.float32))
    whole = measure(canvas, colour, np.asarray(a_face() - np.array([0.05, 0, 0]), np.float32))
    assert found is not None
    assert whole is not None
    assert found.width == pytest.approx(1, rel=0.02)  # it was sent there
    assert whole.width == pytest.approx(0.9, rel=0.02)


def test_marks_that_are_painted_over_are_lost_and_portraits_that_end_too_high_have_none() -> None:
    picture, colour = marked()
    pose = head_pose(a_face(), face_model().mean_shape)
    base = (neck_joint(pose)[:2] + pose.scale * np.array([0, 1.4])) * SIZE
    without = picture.copy()
    cv2.circle(without, np.rint(base).astype(int).tolist(), 20, (90, 90, 90), -1)
    assert measure(without, colour, a_face()) is None
    assert mark(portrait(), a_face() + np.array([0, 0.35, 0], np.float32)) is None


def test_what_a_network_has_left_of_a_mark_on_the_chin_is_no_place() -> None:
    """Its middle lies elsewhere, and the neck would seem longer or shorter."""
    picture, colour = marked()
    scale = head_pose(a_face(), face_model().mean_shape).scale
    chin, radius_px = a_face()[199, :2] * SIZE, 0.06 * scale * SIZE
    painted = picture.copy()
    middle = np.rint(chin - (0, 0.35 * radius_px)).astype(int).tolist()
    cv2.circle(painted, middle, round(radius_px), (90, 90, 90), -1)
    assert measure(painted, colour, a_face()) is None


def test_whoever_is_marked_is_measured_at_rest() -> None:
    """A mark that touches the picture's edge would be taken for one that it cuts, and all pictures for lost."""
    marked = 0
    for down in np.arange(0.0, 0.35, 0.004):
        face = a_face() + np.array([0, down, 0], np.float32)
        found = mark(portrait(), face)
        if found is not None:
            marked += 1
            assert measure(found.picture, found.colour, face) is not None
    assert marked > 3


def test_the_marks_colour_is_one_that_the_portrait_has_not() -> None:
    lawn = np.full((SIZE, SIZE, 3), (40, 200, 30), np.uint8)
    found = mark(lawn, a_face())
    assert found is not None
    assert found.colour != (0, 255, 0)


def _with(colour: tuple[int, int, int], one: tuple[Picture, Array]) -> tuple[Picture, tuple[int, int, int], Array]:
    return one[0], colour, one[1]


def test_the_driver_moves_comes_near_and_changes_its_camera() -> None:
    picture = portrait()
    avatar = Avatar(
        "anna", "fast-3", picture[None], a_face()[None], np.zeros((1, 52), np.float32), np.zeros(512, np.float32),
        np.zeros(0, np.float32),
    )  # fmt: skip
    states, wanted = driver(avatar)
    poses = [head_pose(np.asarray(s.landmarks / s.frame_px, np.float32), face_model().mean_shape) for s in states]
    scales = np.array([pose.scale for pose in poses])
    assert scales.max() / scales.min() == pytest.approx(1.4 / 0.65, rel=0.02)
    assert {s.frame_px for s in states} == {320, 640, 1280}
    assert len(wanted) == 23
    retargeter = Retargeter(avatar)
    drivings = [retargeter.drive(state) for state in states]
    assert all(driving.live for driving in drivings[10:])
    centres = np.array([drivings[i].landmarks.mean(0) for i in wanted])
    assert np.ptp(centres[:, 0]) > 0.03  # it is followed


def test_the_sweep_is_summed_up() -> None:
    found = [Lengths(1.0, 1.0), None, Lengths(1.1, 1.0), Lengths(0.8, 0.9)]
    swept = summary(found)
    assert (swept.lost, swept.frames) == (1, 4)
    assert swept.neck_farthest == pytest.approx(0.2)
    assert swept.neck_spread == pytest.approx(float(np.std([1, 1.1, 0.8]) / np.mean([1, 1.1, 0.8])))
    assert summary([None, *found]).neck_spread is None


def test_all_people_together() -> None:
    calm, wild = Sweep(0.01, 0.02, 0.0, 0, 23), Sweep(0.03, 0.9, 0.1, 2, 23)
    found = Steadiness(sweeps={"a": {"ff": calm, "ff@x": calm}, "b": {"ff": wild, "ff@x": calm}})
    values = found.values()
    assert values["ff"]["neck_spread"] == pytest.approx(0.02)
    assert (values["ff"]["neck_farthest"], values["ff"]["marks_lost"]) == (0.9, 2)
    assert values["ff@x"]["neck_farthest"] == 0.02
    assert values["ff"]["tooth_change"] is None
    assert Steadiness().values() == {}
    assert ToothScores(-0.5, None).growth == -0.5


# Manifest


def test_of_a_pack_only_val_is_evaluated_and_its_photos_come_first(tmp_path: Path) -> None:
    rows = [("clips/a.mp4", "train"), ("clips/b.mp4", "val"), ("stills/c.jpg", "train"), ("stills/d.jpg", "val"),
            ("frames/e.jpg", "val"), ("stills/f.jpg", "train")]  # fmt: skip
    lines = ["file,identity,split", *(f"{name},x,{split}" for name, split in rows)]
    (tmp_path / "manifest.csv").write_text("\n".join(lines))
    assert find_clips([tmp_path]) == [tmp_path / "clips" / "b.mp4"]
    photos = [path.name for path in find_stills([], [tmp_path])]
    assert photos[0] == "d.jpg"
    assert sorted(photos[1:]) == ["c.jpg", "f.jpg"]
    assert find_stills([tmp_path / "manifest.csv"], [tmp_path]) == [tmp_path / "manifest.csv"]
    with pytest.raises(UsageError, match="--stills"):
        find_stills([tmp_path / "none"], [])
    (tmp_path / "manifest.csv").write_text("name,size\na,1\n")
    with pytest.raises(UsageError, match="split"):
        find_clips([tmp_path])


# Turned heads


class Turned:
    """A tracker that finds the next of these turns in each picture, None for no face."""

    def __init__(self, *degrees: float | None) -> None:
        self.degrees = list(degrees)

    def track(self, rgb: Picture, capture_ns: int) -> FaceState:
        turn = self.degrees.pop(0)
        if turn is None:
            return no_face(capture_ns)
        pose = np.eye(4, dtype=np.float32)
        pose[:3, :3] = Rotation.from_euler("y", turn, degrees=True).as_matrix()
        middle = np.array([0.5, 0.35, 0], np.float32)
        points = np.asarray((a_face() - middle) @ pose[:3, :3].T + middle, np.float32) * np.float32(len(rgb))
        return FaceState(points, np.zeros(52, np.float32), pose, 1.0, capture_ns, len(rgb))


def test_from_the_photo_that_is_turned_least_the_turned_ones_are_predicted(tmp_path: Path) -> None:
    photos = [tmp_path / f"{number}.png" for number in range(5)]
    for number, path in enumerate(photos):
        cv2.imwrite(str(path), np.full((200 + number, 200 + number, 3), 40 * number, np.uint8))
    with PhotoReader() as reader:
        clip = read_group(photos, reader, Turned(30.0, None, 4.0, -13.0, -9.0), 0)
        assert read_group(photos[:3], reader, Turned(4.0, -9.0, None), 0) is None
        assert read_group(photos[:1], reader, Turned(None), 0) is None
    assert clip is not None and clip.sources == {1: (1,)} and clip.target_frames == (0, 2)
    assert [int(picture.mean()) for picture in clip.targets] == [0, 120] and clip.portraits[1].mean() == 80
    assert clip.landmarks(0)[:, :2].min() > 0 and clip.landmarks(0)[:, :2].max() < 1


def test_a_pack_names_the_photos_of_a_person(tmp_path: Path) -> None:
    rows = [("clips/a.mp4", "ann", "val"), ("frames/b.jpg", "ann", "val"), ("frames/c.jpg", "bob", "val"),
            ("stills/d.jpg", "ann", "val"), ("frames/e.jpg", "eve", "train"),
            ("frames/f.jpg", "eve", "train")]  # fmt: skip
    (tmp_path / "manifest.csv").write_text("\n".join(["file,identity,split", *map(",".join, rows)]))
    assert find_groups([tmp_path]) == [[tmp_path / "frames" / "b.jpg", tmp_path / "stills" / "d.jpg"]]
    with pytest.raises(UsageError, match="--turned"):
        find_groups([tmp_path / "clips"])
