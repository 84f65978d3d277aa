"""The head as a relief: a mesh over one portrait, with depth, that turns in three dimensions and hides what is behind.

The face's vertices are its landmarks; hair, neck and shoulders are a grid around them, with a depth that grows outwards
from the face's outline. The head turns as a rigid body; what lies below the chin passes into the body, which only moves
and scales with the neck's joint, so that a neck keeps its length. Expression moves the landmarks, and what is near.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from avatar.core.arrays import Array, Picture
from avatar.face.body import AS_IT_IS, BodyFit, BodyMove, neck_joint
from avatar.face.face_model import face_model
from avatar.face.head_pose import head_pose
from avatar.render.rasteriser import Drawn, rasterised
from avatar.render.relief_mesh import FACE_POINTS, FaceMesh, grid_around, triangles_around
from avatar.render.view import View

CHIN = 152

# In distances of the outer eye corners
SLOPE = 1.4  # how steeply the head begins to recede beyond the face's outline
LEAST_DEPTH = 0.35  # by which it does: ears and hair lie behind their outline
NECK_FROM, NECK_TO = -0.15, 0.75  # below the chin: from where to where the head passes into the body
NECK_RELIEF = 0.3  # how much deeper than the chin the body lies
HAIR = 1.0  # half width of head and hair: what is further aside belongs to the body sooner,
SHOULDERS = 3.0  # by so much, in distances below the chin
REACH = 0.35  # outside of the outline, over which an expression fades
OUTLINE_SOFT = 0.15  # over which depths along the outline pass into each other
BETWEEN = 6  # places along each edge of the outline
NEAREST = 6  # landmarks whose expression moves a vertex of the grid


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
        mesh = FaceMesh.of(face, self.pose.remove(face))
        self._outline = mesh.outline
        around = grid_around(face[self._outline, :2], alpha, margin_px)
        self.vertices = np.concatenate([face, self._with_depth(around)]).astype(np.float32)  # (V, 3)
        self.triangles = np.concatenate([mesh.triangles, triangles_around(face, self._outline, around)])  # (T, 3)
        self._shown = np.concatenate([mesh.places, around]).astype(np.float32)  # (V, 2) what vertices show
        self._head = self.pose.remove(self.vertices)  # pose-free
        self._body_share = self._shares(around)
        self._near, self._weights = self._expression_weights(around)

    def place(self, driving: Array, body_fit: BodyFit = AS_IT_IS) -> Array:
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
        body[:, :2] = body_fit.apply(move.apply(body[:, :2]), move.after, pose.scale)
        body[:, 2] = pose.translation[2] + move.scale * (body[:, 2] - self.pose.translation[2])
        placed[FACE_POINTS:] += share * (body - placed[FACE_POINTS:])
        return placed

    def draw(self, placed: Array, view: View) -> Drawn:
        """What the view shows of the mesh once its vertices are `placed`."""
        return rasterised(placed, self._shown, self.triangles, view)

    def _with_depth(self, places: Array) -> Array:
        """(v, 3): behind the face's outline the head recedes to where its silhouette lies, beside its middle."""
        outline = _dense(self._landmarks[self._outline])
        distance = np.linalg.norm(places[:, None] - outline[:, :2], axis=2)
        weight = (distance + OUTLINE_SOFT * self.pose.scale) ** -3
        depth_there = (weight @ outline[:, 2]) / weight.sum(1)  # a nearest point alone would jump, and hair wave
        away = distance.min(1) / self.pose.scale
        most = np.maximum((neck_joint(self.pose)[2] - depth_there) / self.pose.scale, LEAST_DEPTH)
        depth = most * (1 - np.exp(-SLOPE / most * away)) + NECK_RELIEF * _passed(self._below_chin(places))
        z = depth_there + self.pose.scale * depth
        return np.concatenate([places, z[:, None]], axis=1).astype(np.float32)

    def _below_chin(self, places: Array) -> Array:
        """How far places lie below the chin, along the head, in eye distances; shoulders beside it count as below."""
        down = self.pose.rotation[:2, 1] / max(float(np.linalg.norm(self.pose.rotation[:2, 1])), 1e-6)
        from_chin = (places - self._landmarks[CHIN, :2]) / self.pose.scale
        aside = np.abs((places - neck_joint(self.pose)[:2]) / self.pose.scale @ (down[1], -down[0]))
        return np.asarray(from_chin @ down + SHOULDERS * np.maximum(aside - HAIR, 0), np.float32)

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


def _dense(outline: Array) -> Array:
    """(BETWEEN·n, 3) of an outline's n landmarks: distances to the landmarks alone would wave."""
    share = np.linspace(0, 1, BETWEEN, endpoint=False, dtype=np.float32)[:, None]
    following = np.roll(outline, -1, axis=0)
    return np.asarray(outline[:, None] + share * (following - outline)[:, None], np.float32).reshape(-1, 3)


def _passed(below: Array) -> Array:
    """0 in the head to 1 in the body."""
    share = np.clip((below - NECK_FROM) / (NECK_TO - NECK_FROM), 0, 1)
    return np.asarray(share * share * (3 - 2 * share), np.float32)
