"""The head as a relief: a mesh over one portrait, with depth, that turns in three dimensions and hides what is behind.

The face's vertices are its landmarks; hair, neck and shoulders are a grid around them, with a depth that grows outwards
from the face's outline. The head turns as a rigid body; what lies below the chin passes into the body, which only moves
and scales with the neck's joint, so that a neck keeps its length. Expression moves the landmarks, and what is near.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import Delaunay, cKDTree

from avatar.core.arrays import Array, Picture
from avatar.face.body import BodyMove
from avatar.face.face_model import face_model
from avatar.face.head_pose import head_pose
from avatar.face.regions import FACE_OVAL, LIPS_INNER
from avatar.face.state import BLENDSHAPE_INDEX
from avatar.render.view import View

FACE_POINTS = 468  # landmarks but the irises
GRID = 0.024  # distance of the grid's vertices around the face, of the crop's side
SPARE = 1.5  # of GRID: the mesh reaches so far beyond the person
LONGEST = 4.0  # of GRID: no edge of a triangle around the face is longer
OFF_OVAL = 0.5  # of GRID: no grid vertex is nearer to the oval
CHIN = 152

# In distances of the outer eye corners
DEPTH, DEPTH_SLOPE = 0.6, 0.9  # how deep the head grows beyond the face's outline, and how steeply it begins to
NECK_FROM, NECK_TO = -0.15, 0.75  # below the chin: from where to where the head passes into the body
NECK_RELIEF = 0.3  # how much deeper than the chin the body lies
REACH = 0.35  # outside of the outline, over which an expression fades
OUTLINE_SOFT = 0.15  # over which depths along the outline pass into each other
NEAREST = 6  # landmarks whose expression moves a vertex of the grid

LARGE_PX = 256  # of a view's smaller side
TORN = 0.04  # places of neighbours that are further apart than this lie on two sides of an edge; lids that meet are not

_FAR = 60.0  # viewing distance of the rasteriser, in eye distances: all but parallel
_LIPS_APART = 0.7  # jawOpen at which the face is triangulated, so that no triangle of the lips' skin crosses the mouth


@dataclass(frozen=True, slots=True)
class Drawn:
    """Which place of the portrait a view shows, (x, y) in [0, 1], and where it shows any: (h, w) each."""

    across: Array
    down: Array
    cover: Picture  # 255 where it does, soft at the edges of a large view

    @property
    def covered(self) -> NDArray[np.bool_]:
        return self.cover > 127

    def sample(self, sheet: Picture, margin_px: int = 0) -> Picture:
        """(h, w[, C]) of a layer of the portrait as the view shows it; of no meaning where nothing covers.

        The layer reaches `margin_px` of its pixels beyond the portrait on each side.
        """
        size, shift = float(len(sheet) - 2 * margin_px), margin_px - 0.5
        columns, rows = (cv2.addWeighted(part, size, part, 0.0, shift) for part in (self.across, self.down))
        return np.asarray(
            cv2.remap(sheet, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE),
            np.uint8,
        )


class Relief:
    """One portrait's mesh."""

    def __init__(self, landmarks: Array, alpha: Picture | None = None, margin_px: int = 0) -> None:
        """`landmarks`: (478, 3) in [0, 1] of the crop. `alpha`: where the person is, on a sheet that reaches
        `margin_px` of its pixels beyond the crop on each side; the mesh covers no more. None: the crop alone, all of
        it."""
        model = face_model()
        self.pose = head_pose(landmarks, model.mean_shape)
        self._landmarks = landmarks
        face = landmarks[:FACE_POINTS]
        mesh = _seen_triangles(face)
        self._outline = _outline(face, mesh)
        around = _grid_around(face[self._outline, :2], alpha, margin_px)
        self.vertices = np.concatenate([face, self._with_depth(around)]).astype(np.float32)  # (V, 3)
        self.triangles = np.concatenate([mesh, _triangles_around(face, self._outline, around)])  # (T, 3)
        self._head = self.pose.remove(self.vertices)  # pose-free
        self._body_share = self._shares(around)
        self._near, self._weights = self._expression_weights(around)

    def place(self, driving: Array) -> Array:
        """(V, 3) vertices for (478, 3) driving landmarks, in [0, 1] of the crop."""
        pose = head_pose(driving, face_model().mean_shape)
        change = pose.remove(driving[:FACE_POINTS]) - self._head[:FACE_POINTS]
        around = self._head[FACE_POINTS:] + np.einsum("vk,vkc->vc", self._weights, change[self._near])
        placed = np.empty_like(self.vertices)
        placed[:FACE_POINTS] = driving[:FACE_POINTS]
        placed[FACE_POINTS:] = pose.apply(around)
        share = self._body_share
        body = self.vertices[FACE_POINTS:].copy()
        move = BodyMove.between(self.pose, pose)
        body[:, :2] = move.apply(body[:, :2])
        body[:, 2] = pose.translation[2] + move.scale * (body[:, 2] - self.pose.translation[2])
        placed[FACE_POINTS:] += share * (body - placed[FACE_POINTS:])
        return placed

    def draw(self, placed: Array, view: View) -> Drawn:
        """What the view shows of the mesh once its vertices are `placed`."""
        return rasterised(placed, self.vertices[:, :2], self.triangles, view)

    def _with_depth(self, places: Array) -> Array:
        outline = self._landmarks[self._outline]
        distance = np.linalg.norm(places[:, None] - outline[:, :2], axis=2)
        weight = (distance + OUTLINE_SOFT * self.pose.scale) ** -3
        depth_there = (weight @ outline[:, 2]) / weight.sum(1)  # a nearest point alone would jump, and hair wave
        away = distance.min(1) / self.pose.scale
        depth = DEPTH * (1 - np.exp(-DEPTH_SLOPE / DEPTH * away)) + NECK_RELIEF * _passed(self._below_chin(places))
        z = depth_there + self.pose.scale * depth
        return np.concatenate([places, z[:, None]], axis=1).astype(np.float32)

    def _below_chin(self, places: Array) -> Array:
        """How far places lie below the chin, along the head, in eye distances."""
        down = self.pose.rotation[:2, 1] / max(float(np.linalg.norm(self.pose.rotation[:2, 1])), 1e-6)
        return np.asarray((places - self._landmarks[CHIN, :2]) @ down / self.pose.scale, np.float32)

    def _shares(self, around: Array) -> Array:
        """(v, 1) how much a vertex of the grid belongs to the body."""
        return _passed(self._below_chin(around))[:, None]

    def _expression_weights(self, around: Array) -> tuple[NDArray[np.int_], Array]:
        """(v, k) landmarks that move a vertex of the grid, and by which share."""
        face = self._landmarks[:FACE_POINTS, :2]
        distance, near = cKDTree(face).query(around, k=NEAREST)
        weight = 1 / (distance + 1e-3) ** 2
        fade = np.exp(-distance[:, :1] / self.pose.scale / REACH)
        return near, (fade * weight / weight.sum(1, keepdims=True)).astype(np.float32)


def rasterised(placed: Array, uv: Array, triangles: NDArray[np.int32], view: View) -> Drawn:
    """Triangles of vertices `placed` (V, 3), which show the places `uv` (V, 2): the nearest front side wins."""
    # places change slowly: in large views every second pixel will do, which takes a third of the time
    step = 2 if min(view.width, view.height) >= LARGE_PX else 1
    width, height = -(-view.width // step), -(-view.height // step)
    pixels = view.pixels(placed) * np.float32(1 / step)
    side = max(width, height)
    # OpenCV's camera: a square picture that [-1, 1] fills at any depth once it is multiplied by it
    unit = pixels * np.float32(2 / side) - 1
    depth = _FAR + (placed[:, 2] - placed[:, 2].mean()) * np.float32(4.0)
    vertices = np.stack([unit[:, 0] * depth, -unit[:, 1] * depth, -depth], axis=1).astype(np.float32)
    colours = np.concatenate([uv, np.ones((len(uv), 1), np.float32)], axis=1).astype(np.float32)
    drawn = np.zeros((side, side, 3), np.float32)
    cv2.triangleRasterize(
        vertices, triangles, colours, drawn, np.full((side, side), 2 * _FAR, np.float32), np.eye(4, dtype=np.float32),
        float(np.pi / 2), 1.0, 2 * _FAR, _settings(view.mirrored),
    )  # fmt: skip
    drawn = drawn[:height, :width]
    if step == 1:
        across, down, share = (np.asarray(part, np.float32) for part in cv2.split(drawn))
    else:
        across, down, share = _enlarged(drawn, step)
    inside = np.s_[: view.height, : view.width]
    cover = cv2.addWeighted(share, 510, share, 0, -127.5, dtype=cv2.CV_8U)  # a ramp of one pixel about the edge
    return Drawn(np.asarray(across[inside]), np.asarray(down[inside]), np.asarray(cover[inside], np.uint8))


def _enlarged(drawn: Array, step: int) -> tuple[Array, Array, Array]:
    """Places and cover of (h, w, 3), each `step` times as large.

    Nothing has weight 0, so that an outline keeps its own places; where the mesh hides itself, the nearest pixel's are
    taken, since between nose and cheek there is no third place.
    """
    size = (step * drawn.shape[1], step * drawn.shape[0])
    smooth, near = (
        [np.asarray(part, np.float32) for part in cv2.split(cv2.resize(drawn, size, interpolation=method))]
        for method in (cv2.INTER_LINEAR, cv2.INTER_NEAREST)
    )
    across, down, share = smooth
    cv2.divide(across, share, dst=across)
    cv2.divide(down, share, dst=down)
    torn = (np.abs(across - near[0]) > TORN) | (np.abs(down - near[1]) > TORN)
    torn &= near[2] > 0.5
    np.copyto(across, near[0], where=torn)
    np.copyto(down, near[1], where=torn)
    return across, down, share


@lru_cache(maxsize=2)
def _settings(mirrored: bool) -> cv2.TriangleRasterizeSettings:
    settings = cv2.TriangleRasterizeSettings()
    settings.setShadingType(cv2.RASTERIZE_SHADING_SHADED)
    settings.setCullingMode(cv2.RASTERIZE_CULLING_CW if mirrored else cv2.RASTERIZE_CULLING_CCW)
    settings.setGlCompatibleMode(cv2.RASTERIZE_COMPAT_DISABLED)
    return settings


def _passed(below: Array) -> Array:
    """0 in the head to 1 in the body."""
    share = np.clip((below - NECK_FROM) / (NECK_TO - NECK_FROM), 0, 1)
    return np.asarray(share * share * (3 - 2 * share), np.float32)


def _grid_around(outline: Array, alpha: Picture | None, margin_px: int) -> Array:
    """(v, 2) vertices over the sheet, outside of the face's outline, where a person is near."""
    margin = 0.0 if alpha is None else margin_px / (len(alpha) - 2 * margin_px)
    along = np.linspace(-margin, 1 + margin, round((1 + 2 * margin) / GRID) + 1, dtype=np.float32)
    grid = np.stack(np.meshgrid(along, along), axis=-1).reshape(-1, 2)
    if alpha is not None:
        size = len(alpha) - 2 * margin_px
        reach = round(SPARE * GRID * size)
        near = cv2.dilate(alpha, np.ones((2 * reach + 1,) * 2, np.uint8))
        column, row = np.clip(np.rint(grid * size + margin_px - 0.5).astype(int), 0, len(alpha) - 1).T
        grid = grid[near[row, column] > 0]
    hull = outline.astype(np.float32).reshape(-1, 1, 2)
    inside = np.array([cv2.pointPolygonTest(hull, (float(x), float(y)), True) for x, y in grid])
    return np.asarray(grid[inside < -OFF_OVAL * GRID], np.float32)


def _seen_triangles(face: Array) -> NDArray[np.int32]:
    """(t, 3) of the face's triangles, those that the portrait shows from the front: a cheek that is turned away hides
    its own edge, which would show the photo's cheek a second time once it comes into sight.

    Between the lips all of them: closed ones show none, and a hole there would be one in the person.
    """
    triangles = face_triangles()
    between = np.isin(triangles, LIPS_INNER).all(1)
    return np.ascontiguousarray(triangles[_clockwise(face[triangles, :2]) | between])


def _outline(face: Array, triangles: NDArray[np.int32]) -> NDArray[np.int_]:
    """Landmarks around what the portrait shows of the face, in order: the longest edge of its triangles."""
    edges = {(int(a), int(b)) for corners in triangles for a, b in zip(corners, np.roll(corners, -1), strict=True)}
    after = {a: b for a, b in edges if (b, a) not in edges}
    longest: list[int] = []
    while after:
        start = next(iter(after))
        line = [start]
        while (step := after.pop(line[-1], start)) != start:
            line.append(step)
        if _area(face[line, :2]) > _area(face[longest, :2]):
            longest = line
    return np.array(longest)


def _area(polygon: Array) -> float:
    return float(cv2.contourArea(polygon.astype(np.float32))) if len(polygon) > 2 else 0.0


def _triangles_around(face: Array, oval: NDArray[np.int_], around: Array) -> NDArray[np.int32]:
    """(T, 3) triangles between the face's outline, landmarks `oval`, and the grid around."""
    points = np.concatenate([face[oval, :2], around])
    found = Delaunay(points).simplices
    number = np.concatenate([oval, FACE_POINTS + np.arange(len(around))])
    outside = ~(found < len(oval)).all(1)
    ring = found[~outside]  # between points of the outline alone: outside of it where the outline is hollow
    outline = face[oval, :2].astype(np.float32).reshape(-1, 1, 2)
    middles = points[ring].mean(1)
    hollow = [cv2.pointPolygonTest(outline, (float(x), float(y)), False) < 0 for x, y in middles]
    around_face = number[
        np.concatenate([found[outside], ring[np.array(hollow, bool)], _seams(found, points, len(oval))])
    ]
    at = np.concatenate([face[:, :2], around])[around_face]
    longest = np.linalg.norm(at - np.roll(at, 1, axis=1), axis=2).max(1)
    short = longest < LONGEST * GRID  # others bridge what the mesh leaves out
    at, around_face = at[short], around_face[short]
    return np.ascontiguousarray(np.where(_clockwise(at)[:, None], around_face, around_face[:, ::-1]), np.int32)


def _seams(found: NDArray[np.int32], points: Array, outline: int) -> NDArray[np.int32]:
    """(t, 3) triangles along edges of the outline, the first `outline` points, that no triangle found has: there the
    face and what is around it would part when they move."""
    edges = {
        frozenset(edge) for corners in found.tolist() for edge in zip(corners, corners[1:] + corners[:1], strict=True)
    }
    missing = [(a, (a + 1) % outline) for a in range(outline) if frozenset((a, (a + 1) % outline)) not in edges]
    ends = np.array(missing, np.int32).reshape(-1, 2)
    _, nearest = cKDTree(points[outline:]).query(points[ends].mean(1))
    return np.column_stack([ends, nearest + outline]).astype(np.int32)


@lru_cache(maxsize=1)
def face_triangles() -> NDArray[np.int32]:
    """(t, 3) triangles between the face's landmarks, as they lie in a mean face whose mouth is open."""
    model = face_model()
    scores = np.zeros(len(model.expression_basis), np.float32)
    scores[BLENDSHAPE_INDEX["jawOpen"]] = _LIPS_APART
    face = (model.mean_shape + model.expression(scores))[:FACE_POINTS, :2]
    found = Delaunay(face).simplices
    outline = face[list(FACE_OVAL)].astype(np.float32).reshape(-1, 1, 2)
    inside = [cv2.pointPolygonTest(outline, (float(x), float(y)), False) > 0 for x, y in face[found].mean(1)]
    mesh = found[np.array(inside, bool)]
    return np.ascontiguousarray(np.where(_clockwise(face[mesh])[:, None], mesh, mesh[:, ::-1]), np.int32)


def _clockwise(corners: Array) -> NDArray[np.bool_]:
    """Of (T, 3, 2) corners, y down."""
    a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    return np.asarray(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0] > 0)
