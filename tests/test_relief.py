"""The relief: at rest the portrait itself, turned a head that hides its far side, and a neck that keeps its length."""

from functools import cache

import cv2
import numpy as np
import pytest

from avatar.core.arrays import Array
from avatar.face.face_model import face_model
from avatar.face.head_pose import HeadPose, head_pose, turned_by
from avatar.face.regions import INNER_LIP_PAIRS, LIPS_INNER
from avatar.face.state import BLENDSHAPE_INDEX
from avatar.render.rasteriser import Drawn
from avatar.render.relief import Relief
from avatar.render.relief_mesh import FACE_POINTS, FaceMesh, face_triangles
from avatar.render.view import View
from avatar.retarget.head_limits import moved
from tests.clips import astronaut_avatar

SIZE_PX = 256


@cache
def portrait() -> Array:
    pose = HeadPose(turned_by(np.zeros(3, np.float32)), 0.25, np.array([0.5, 0.45, 0.0], np.float32))
    return pose.apply(face_model().mean_shape)


def turned(pitch: float = 0, yaw: float = 0, roll: float = 0, grown: float = 0, shift: float = 0) -> Array:
    """The portrait's face after a turn in degrees, a change of size (logarithm) and a shift to the right."""
    shape = face_model().mean_shape
    change = np.array([*np.radians([pitch, yaw, roll]), grown, shift, 0, 0], np.float32)
    return moved(head_pose(portrait(), shape), change).apply(shape)


def uv(drawn: Drawn) -> Array:
    return np.stack([drawn.across, drawn.down], axis=-1)


def test_at_rest_every_pixel_stays() -> None:
    relief = Relief(portrait())
    drawn = relief.draw(relief.place(portrait()), View.whole(SIZE_PX))
    assert drawn.covered.mean() > 0.99
    across, down = np.meshgrid(*[(np.arange(SIZE_PX) + 0.5) / SIZE_PX] * 2)
    away_px = np.abs(uv(drawn) - np.stack([across, down], -1)).max(2) * SIZE_PX
    away_px = away_px[drawn.covered]
    assert np.quantile(away_px, 0.999) < 0.6  # the body lies deeper, and the eye sees all but in parallel
    assert away_px.max() < 2.1  # a crack that is closed


@pytest.mark.parametrize("yaw", [-35, -20, 20, 35])
def test_nothing_is_seen_from_behind(yaw: float) -> None:
    relief = Relief(portrait())
    drawn = relief.draw(relief.place(turned(yaw=yaw)), View.whole(SIZE_PX))
    both = drawn.covered[1:, 1:] & drawn.covered[:-1, 1:] & drawn.covered[1:, :-1]
    across, down = uv(drawn)[1:, 1:] - uv(drawn)[1:, :-1], uv(drawn)[1:, 1:] - uv(drawn)[:-1, 1:]
    folded = (across[..., 0] * down[..., 1] - across[..., 1] * down[..., 0] < 0) & both
    assert folded.mean() < 0.01  # only where an edge hides what is behind it


def test_a_view_of_a_part_shows_what_the_whole_shows_there() -> None:
    relief = Relief(portrait())
    placed = relief.place(turned(yaw=20))
    whole = relief.draw(placed, View.whole(SIZE_PX))
    half = View(np.array([[SIZE_PX, 0, -64], [0, SIZE_PX, -96]], np.float32), 128, 64)
    part = relief.draw(placed, half)
    away_px = np.abs(uv(part) - uv(whole)[96:160, 64:192]).max(2) * SIZE_PX
    assert np.quantile(away_px, 0.9) < 0.1  # large views are drawn at half the size, which shows at the nose's edge


@pytest.mark.parametrize("how", [{"pitch": 20}, {"pitch": -20}, {"yaw": 35}, {"grown": 0.2}, {"shift": 0.1}])
def test_the_neck_keeps_its_length(how: dict[str, float]) -> None:
    """From the neck's joint to the shoulders, in the size of the head."""
    relief = Relief(portrait())
    low = np.abs(relief.vertices[:, :2] - np.array([0.5, 0.99])).sum(1).argmin()
    driving = turned(**how)
    placed, pose = relief.place(driving), head_pose(driving, face_model().mean_shape)
    joint = pose.apply(np.array([[0.0, 0.6, 0.8]], np.float32))[0]
    before = np.linalg.norm(
        relief.vertices[low, :2] - relief.pose.apply(np.array([[0.0, 0.6, 0.8]], np.float32))[0, :2]
    )
    after = np.linalg.norm(placed[low, :2] - joint[:2])
    assert after / pose.scale == pytest.approx(before / relief.pose.scale, rel=0.01)


@pytest.mark.parametrize("roll", [-25, 25])
def test_shoulders_stay_where_they_are_while_the_head_tilts(roll: float) -> None:
    """Beside the chin, 1.8 distances of the eyes' corners from the middle."""
    relief = Relief(portrait())
    placed = relief.place(turned(roll=roll))
    moved_by = np.linalg.norm(placed[:, :2] - relief.vertices[:, :2], axis=1)
    level = portrait()[152, 1]
    beside = (np.abs(relief.vertices[:, 0] - 0.5) > 0.45) & (np.abs(relief.vertices[:, 1] - level) < 0.03)
    beside[:FACE_POINTS] = False
    assert beside.any()
    assert moved_by[beside].max() < 0.005


def test_the_landmarks_lie_where_they_are_driven() -> None:
    driving = turned(yaw=15, pitch=5)
    np.testing.assert_array_equal(Relief(portrait()).place(driving)[:FACE_POINTS], driving[:FACE_POINTS])


@pytest.mark.parametrize("yaw", [-0.35, 0.35])
def test_a_cheek_that_comes_into_sight_is_seen_once(yaw: float) -> None:
    relief = Relief(turned(yaw=yaw))
    drawn = relief.draw(relief.place(portrait()), View.whole(256))
    cheeks = slice(round(256 * portrait()[6, 1]), round(256 * portrait()[0, 1]))
    assert np.diff(drawn.across[cheeks], axis=1).min() > -1 / 256
    assert drawn.covered[cheeks, 32:-32].all()


def test_lips_that_are_shut_in_the_portrait_open_without_a_hole_between_them() -> None:
    model = face_model()
    shut = portrait()
    for number, (upper, lower) in enumerate(INNER_LIP_PAIRS):  # where lips meet, a tracker's cross here and there
        middle, apart = (shut[upper, 1] + shut[lower, 1]) / 2, 1e-3 * (-1) ** number
        shut[upper, 1], shut[lower, 1] = middle + apart, middle - apart
    scores = np.zeros(len(model.expression_basis), np.float32)
    scores[BLENDSHAPE_INDEX["jawOpen"]] = 0.8
    pose = head_pose(shut, model.mean_shape)
    wide = pose.apply(pose.remove(shut) + model.expression(scores))
    relief = Relief(shut)
    drawn = relief.draw(relief.place(wide), View.whole(SIZE_PX))
    lips = np.rint(wide[list(LIPS_INNER), :2] * SIZE_PX).astype(np.int32)
    between = cv2.fillPoly(np.zeros((SIZE_PX, SIZE_PX), np.uint8), [lips], 255) > 0
    assert between.sum() > 200
    assert drawn.covered[between].all()


@pytest.mark.parametrize("yaw", [-0.6, -0.1, 0.0, 0.6, 1.4])
def test_what_the_portrait_shows_of_the_face_is_one_piece_without_holes(yaw: float) -> None:
    """Euler: corners - edges + triangles = 1. The mean face, rougher than it is, has pinches and folds."""
    rough = np.random.default_rng(0).normal(0, 0.01, (FACE_POINTS, 3)).astype(np.float32)
    face, head = turned(yaw=np.rad2deg(yaw))[:FACE_POINTS] + 0.25 * rough, face_model().mean_shape[:FACE_POINTS] + rough
    mesh = FaceMesh.of(face, head)
    edges = {tuple(sorted(edge)) for a, b, c in mesh.triangles.tolist() for edge in ((a, b), (b, c), (c, a))}
    assert len(np.unique(mesh.triangles)) - len(edges) + len(mesh.triangles) == 1
    assert len(set(mesh.outline.tolist())) == len(mesh.outline) > 10


@pytest.mark.parametrize("back", [10, 20, 35, -20])
def test_a_face_in_three_quarter_view_turned_back_has_no_holes(back: float) -> None:
    """What its nose hid takes the nearest colours."""
    relief = Relief(turned(yaw=36))
    placed = relief.place(turned(yaw=36 - back))
    drawn = relief.draw(placed, View.whole(SIZE_PX))
    face = cv2.convexHull(np.rint(placed[:FACE_POINTS, :2] * SIZE_PX).astype(np.int32))
    inside = cv2.erode(cv2.fillConvexPoly(np.zeros((SIZE_PX, SIZE_PX), np.uint8), face, 1), np.ones((5, 5), np.uint8))
    assert drawn.covered[inside > 0].all()


def test_no_triangle_joins_the_lips_sideways() -> None:
    """Between the lips there are triangles of inner lip points alone; all else keeps to its own lip."""
    upper, lower = set(LIPS_INNER[1:10]), set(LIPS_INNER[11:])
    for triangle in face_triangles():
        corners = set(triangle.tolist())
        if corners & upper and corners & lower:
            assert corners <= set(LIPS_INNER)


def test_the_mesh_covers_the_sheet_where_the_person_is() -> None:
    alpha = np.zeros((384, 384), np.uint8)
    alpha[100:, 128:256] = 255
    vertices = Relief(portrait(), alpha, margin_px=64).vertices
    assert vertices[:, 1].max() == pytest.approx(1.25)
    assert vertices[FACE_POINTS:, 0].min() == pytest.approx(0.25, abs=0.07)
    assert Relief(portrait()).vertices[FACE_POINTS:].max(0)[:2].tolist() == [1, 1]


@pytest.mark.parametrize("size_px", [256, 512])
@pytest.mark.parametrize("yaw", [0, 20])
def test_no_pixel_falls_between_two_triangles(yaw: float, size_px: int) -> None:
    landmarks, mean = astronaut_avatar().landmarks[0], face_model().mean_shape
    pose = head_pose(landmarks, mean)
    goal = moved(pose, np.array([0, *np.radians([yaw, 0]), 0, 0, 0, 0], np.float32)).apply(pose.remove(landmarks))
    relief = Relief(landmarks)
    cover = relief.draw(relief.place(goal), View.whole(size_px)).cover
    edged = cv2.copyMakeBorder(cover, 1, 1, 1, 1, cv2.BORDER_CONSTANT)
    background = cv2.connectedComponents((edged < 200).astype(np.uint8), connectivity=4)[0] - 1
    assert background == 1  # all of it hangs together with the border
