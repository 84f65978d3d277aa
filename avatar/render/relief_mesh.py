"""The triangles of a relief: the face's landmarks, and a grid over the person around what the portrait shows of it.

The outline is where the portrait stops seeing the face: its oval, or the edge of a cheek that is turned away. What lies
behind that edge is left out; what a nose or a brow hides inside of it stays, and takes the nearest that is seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import Delaunay, cKDTree

from avatar.core.arrays import Array, Picture
from avatar.face.face_model import face_model
from avatar.face.regions import FACE_OVAL
from avatar.face.state import BLENDSHAPE_INDEX
from avatar.render.rasteriser import rasterised
from avatar.render.view import View

FACE_POINTS = 468  # landmarks but the irises
GRID = 0.024  # distance of the grid's vertices around the face, of the crop's side
SPARE = 1.5  # of GRID: the mesh reaches so far beyond the person
LONGEST = 4.0  # of GRID: no edge of a triangle around the face is longer
RINGS = 0.4, 1.0, 1.8, 2.8  # of GRID: vertices run along the outline at these distances, that depth may not wave
OFF_RINGS = 0.6  # of GRID: no grid vertex is nearer to the last of them
AWAY_PX = 512  # for one side of the crop, at which distances from the outline are measured
CHEEK = 0.4  # in distances of the outer eye corners: cheeks and temples begin so far from the middle
LEAST_FACING = 0.15  # share of a triangle's area that is seen; along the outline, others of a cheek are left out
PEELED = 2  # landmarks on both sides of such a triangle, along the outline, that go with it
HIDDEN = 0.1  # in distances of the outer eye corners: what is seen so far from a landmark, at its place, hides it

_LIPS_APART = 0.7  # jawOpen at which the face is triangulated, so that no triangle of the skin joins the lips
_SEEN_PX = 192  # of the picture in which it is looked up what hides what


@dataclass(frozen=True, slots=True)
class FaceMesh:
    """What a portrait shows of the face."""

    triangles: NDArray[np.int32]  # (t, 3) of landmarks, clockwise where seen from the front
    outline: NDArray[np.int_]  # landmarks around it, in order
    places: Array  # (FACE_POINTS, 2) where in the portrait each landmark's colours are found

    @classmethod
    def of(cls, face: Array, head: Array) -> FaceMesh:
        """`face`: (FACE_POINTS, 3) landmarks in [0, 1]; `head`: the same without pose."""
        triangles, outline = _within_outline(face, head)
        return cls(triangles, outline, _seen_places(face, head, triangles))


def _within_outline(face: Array, head: Array) -> tuple[NDArray[np.int32], NDArray[np.int_]]:
    """(t, 3) triangles, without those beyond the edge of what the portrait shows; landmarks along that edge.

    A cheek that is turned away hides its own edge, which would show the photo's cheek a second time once it comes into
    sight. The mesh is peeled from its oval inwards; a landmark alone would leave a tooth in the edge's depth.
    """
    kept = face_triangles()
    while True:
        outline = _outline(kept)
        least = np.where((np.abs(head[kept, 0]) > CHEEK).all(1), LEAST_FACING, 0)
        hidden = kept[_facing(face[kept]) < least]
        bad = np.isin(outline, hidden)
        if not bad.any():
            return np.ascontiguousarray(kept), outline
        near = np.any([np.roll(bad, step) for step in range(-PEELED, PEELED + 1)], axis=0)
        left = kept[~np.isin(kept, outline[near]).any(1)]
        if not len(left):  # nothing is seen from the front
            return np.ascontiguousarray(kept), outline
        kept = _disc(left)


def _facing(corners: Array) -> Array:
    """(t,) share of each of (t, 3, 3) triangles' area that the portrait sees, negative from behind."""
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return np.asarray(normal[:, 2] / np.maximum(np.linalg.norm(normal, axis=1), 1e-12))


def _disc(triangles: NDArray[np.int32]) -> NDArray[np.int32]:
    """(t, 3): the largest piece, which nowhere hangs together by one landmark alone."""
    while True:
        number = _pieces(triangles)
        triangles = triangles[number == np.bincount(number).argmax()]
        pinched = [landmark for landmark, following in _rim(triangles).items() if len(following) > 1]
        if not pinched:
            return triangles
        triangles = triangles[~_lesser_fans(triangles, pinched)]


def _outline(triangles: NDArray[np.int32]) -> NDArray[np.int_]:
    """Landmarks around a disc of triangles, in order: the longest of its rims."""
    after = _rim(triangles)
    lines = []
    while after:
        start = next(iter(after))
        line = [start]
        while (step := after.pop(line[-1])[0]) != start:
            line.append(step)
        lines.append(line)
    return np.array(max(lines, key=len))


def _rim(triangles: NDArray[np.int32]) -> dict[int, list[int]]:
    """Landmarks along edges that only one triangle has, and those that follow them."""
    edges = {(int(a), int(b)) for corners in triangles for a, b in zip(corners, np.roll(corners, -1), strict=True)}
    after: dict[int, list[int]] = {}
    for a, b in sorted(edges):
        if (b, a) not in edges:
            after.setdefault(a, []).append(b)
    return after


def _pieces(triangles: NDArray[np.int32]) -> NDArray[np.int_]:
    """(t,) number of the piece that each triangle belongs to; pieces hang together by edges."""
    edges = np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), axis=1)
    owners = np.tile(np.arange(len(triangles)), 3)
    order = np.lexsort(edges.T)
    same = (edges[order][1:] == edges[order][:-1]).all(1)
    pairs = owners[order][:-1][same], owners[order][1:][same]
    links = coo_array((np.ones(len(pairs[0])), pairs), shape=(len(triangles),) * 2)
    return np.asarray(connected_components(links, directed=False)[1])


def _lesser_fans(triangles: NDArray[np.int32], pinched: list[int]) -> NDArray[np.bool_]:
    """(t,) triangles about a `pinched` landmark, through which the outline passes twice, on its smaller side."""
    lesser = np.zeros(len(triangles), bool)
    for landmark in pinched:
        about = np.nonzero((triangles == landmark).any(1))[0]
        number = _pieces(triangles[about])
        lesser[about[number != np.bincount(number).argmax()]] = True
    return lesser


def _seen_places(face: Array, head: Array, triangles: NDArray[np.int32]) -> Array:
    """(FACE_POINTS, 2): where the portrait hides a landmark, the place of the nearest one that it shows."""
    low, high = face[:, :2].min(0), face[:, :2].max(0)
    scale = (_SEEN_PX - 2) / float((high - low).max())
    view = View(np.column_stack([np.eye(2) * scale, 1 - low * scale]).astype(np.float32), _SEEN_PX, _SEEN_PX)
    front = _clockwise(face[triangles, :2])
    drawn = rasterised(face, head[:, :2], triangles[front], view)
    column, row = np.clip(view.pixels(face).astype(int), 0, _SEEN_PX - 1).T
    apart = np.hypot(drawn.across[row, column] - head[:, 0], drawn.down[row, column] - head[:, 1])
    shown = np.asarray((apart < HIDDEN) | ~drawn.covered[row, column])
    shown &= np.isin(np.arange(len(face)), triangles[front])
    if not shown.any():
        return face[:, :2]
    _, nearest = cKDTree(head[shown]).query(head)
    return np.asarray(np.where(shown[:, None], face[:, :2], face[shown][nearest, :2]), np.float32)


def grid_around(outline: Array, alpha: Picture | None, margin_px: int) -> Array:
    """(v, 2) vertices outside of the face's outline, where a person is near: rings along it, then a grid over the
    sheet."""
    margin = 0.0 if alpha is None else margin_px / (len(alpha) - 2 * margin_px)
    away = _away(outline, margin)
    rings = [_ring(away, distance * GRID, margin) for distance in RINGS]
    along = np.linspace(-margin, 1 + margin, round((1 + 2 * margin) / GRID) + 1, dtype=np.float32)
    grid = np.stack(np.meshgrid(along, along), axis=-1).reshape(-1, 2)
    column, row = np.clip(((grid + margin) * AWAY_PX).astype(int), 0, len(away) - 1).T
    grid = np.concatenate([*rings, grid[away[row, column] > (RINGS[-1] + OFF_RINGS) * GRID]])
    if alpha is not None:
        size = len(alpha) - 2 * margin_px
        reach = round(SPARE * GRID * size)
        near = cv2.dilate(alpha, np.ones((2 * reach + 1,) * 2, np.uint8))
        column, row = np.clip(np.rint(grid * size + margin_px - 0.5).astype(int), 0, len(alpha) - 1).T
        grid = grid[near[row, column] > 0]
    return np.asarray(grid, np.float32)


def _away(outline: Array, margin: float) -> Array:
    """(h, h) distance of each place of the sheet from the outline, 0 inside of it."""
    side = round((1 + 2 * margin) * AWAY_PX)
    inside = np.zeros((side, side), np.uint8)
    cv2.fillPoly(inside, [np.rint((outline + margin) * AWAY_PX * 16 - 8).astype(np.int32)], 255, shift=4)
    return np.asarray(cv2.distanceTransform(255 - inside, cv2.DIST_L2, 5) / AWAY_PX, np.float32)


def _ring(away: Array, distance: float, margin: float) -> Array:
    """(n, 2) places so far away from the outline, GRID apart, inside the sheet."""
    lines, _ = cv2.findContours((away < distance).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    line = max(lines, key=len)[:, 0].astype(np.float32)
    edge = np.asarray(((line <= 0) | (line >= len(away) - 1)).any(1), bool)
    closed = np.concatenate([line, line[:1]])
    length = np.concatenate([[0], np.linalg.norm(np.diff(closed, axis=0), axis=1).cumsum()])
    at = np.linspace(0, length[-1], max(3, round(float(length[-1]) / (GRID * AWAY_PX))), endpoint=False)
    places = np.stack([np.interp(at, length, closed[:, axis]) for axis in (0, 1)], axis=1)
    inner = ~edge[np.clip(np.searchsorted(length, at), 0, len(line) - 1)]
    return np.asarray((places[inner] + 0.5) / AWAY_PX - margin, np.float32)


def triangles_around(face: Array, oval: NDArray[np.int_], around: Array) -> NDArray[np.int32]:
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
    """(t, 3) triangles between the face's landmarks; between the lips too, where the mouth's layers lie over them."""
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
