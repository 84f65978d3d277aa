"""Mouths that the portraits show: lips, what is between them and the folds beside them, drawn over the shown sheet's.

Each frame takes them from the portraits whose lips are nearest to the driver's, two through each other; where no
portrait has them near by, sheet, layers and network stay. Lengths are distances of the outer eye corners.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.core.arrays import Array, Picture
from avatar.face import regions as at
from avatar.face.face_model import face_model
from avatar.face.head_pose import HeadPose, head_pose
from avatar.render.arch import Box
from avatar.render.mipmap import MULTIPLE_PX, Mipmap
from avatar.render.rasteriser import rasterised
from avatar.render.relief_mesh import FACE_POINTS, face_triangles
from avatar.render.view import View

LEAST_FACING = 0.8  # cosine of a portrait's turn
TURN = 0.006  # as far as lips, for one radian that a portrait is turned otherwise
NEAR, FAR = 0.02, 0.08  # mean distance of the lips: up to it a mouth is shown in full, from it on not at all
OPENING = 0.03  # likewise, for lips that are e times as far apart: teeth must not be squeezed
SHUT = 0.03  # which is added to both gaps
LEAST = 0.01  # of a weight, to be drawn
FULL, GONE = 0.1, 0.4  # distances from the lips over which a mouth passes into the sheet's face
SKIN = 0.12  # over which the skin's light is averaged
MARGIN = 0.05  # of the triangles and of the pictures, beyond what is shown
COARSE = 4  # pixels to one with which that is done
TRUSTED = 0.125  # share of such a place that must be skin
_LIPS = np.array([*at.LIPS_OUTER, *at.LIPS_INNER])
_UPPER, _LOWER = (np.array([len(at.LIPS_OUTER) + at.LIPS_INNER.index(point) for point in line])
                  for line in at.INNER_LIP_PAIRS[3:6].T.tolist())  # fmt: skip


@dataclass(frozen=True, slots=True)
class OwnMouth:
    """Of one portrait."""

    picture: Mipmap  # of the portrait about the lips
    places: Array  # (FACE_POINTS, 2) of the landmarks, in pixels of it
    unit_px: float

    @classmethod
    def cut(cls, portrait: Picture, landmarks: Array, pose: HeadPose) -> OwnMouth:
        """From a portrait (S, S, 3) with (478, 3) landmarks in [0, 1]."""
        size, unit_px = len(portrait), pose.scale * len(portrait)
        lips, margin_px = landmarks[_LIPS, :2] * size, (GONE + MARGIN) * unit_px
        low = np.clip(np.floor(lips.min(0) - margin_px), 0, size - MULTIPLE_PX).astype(int)
        high = np.clip(np.ceil(lips.max(0) + margin_px), low + MULTIPLE_PX, size).astype(int)
        width, height = (high - low) // MULTIPLE_PX * MULTIPLE_PX
        picture = portrait[low[1] : low[1] + height, low[0] : low[0] + width]
        places = np.asarray(landmarks[:FACE_POINTS, :2] * size - low, np.float32)
        return cls(Mipmap(np.ascontiguousarray(picture)), places, unit_px)

    def draw(self, driving: Array, view: View, unit_px: float) -> tuple[Picture, Picture]:
        """(h, w, 3) as the driving (478, 3) moves it, and (h, w) in [0, 255]: where it is."""
        drawn = rasterised(driving[:FACE_POINTS], self.places, _triangles(), view)
        seen = self.picture.read(drawn.across, drawn.down, self.unit_px / max(unit_px, 1e-6), cv2.BORDER_REPLICATE)
        return seen, drawn.cover


@dataclass(frozen=True, slots=True)
class ShownMouths:
    """What is near one frame's driving."""

    near: list[tuple[OwnMouth, float]]  # and the weight of each, at most 1 together
    driving: Array  # (478, 3)
    unit: float  # the distance of the outer eye corners, in sides of the crop

    def draw(self, picture: Picture, view: View) -> None:
        """Draw them into `picture` (h, w, 3), in place, in the light of the skin about them."""
        unit_px = self.unit * view.scale
        box = Box.around(view.pixels(self.driving[_LIPS]), GONE * unit_px, view)
        if box is None:
            return
        shift = np.array([[0, 0, box.left], [0, 0, box.top]], np.float32)
        inner = View(view.matrix - shift, box.right - box.left, box.bottom - box.top)
        part = picture[box.slices]
        away = _away(inner, self.driving)
        share = np.clip((GONE * unit_px - away) / ((GONE - FULL) * unit_px), 0, 1)
        share *= share * (3 - 2 * share)
        about = np.asarray((away > 0) & (share > 0), np.uint8)
        rest, colour = np.ones(away.shape, np.float32), np.zeros(part.shape, np.float32)
        for mouth, weight in self.near:
            seen, cover = mouth.draw(self.driving, inner, unit_px)
            change = cv2.subtract(part, seen, dtype=cv2.CV_32F)
            light = _light(np.asarray(change, np.float32), np.minimum(about, cover), SKIN * unit_px)
            alpha = cv2.multiply(share, cover, scale=weight / 255, dtype=cv2.CV_32F)
            colour += cv2.multiply(cv2.add(light, seen, dtype=cv2.CV_32F), cv2.merge([alpha] * 3))
            rest -= alpha
        kept = cv2.multiply(part, cv2.merge([rest] * 3), dtype=cv2.CV_32F)
        part[:] = cv2.add(kept, colour, dtype=cv2.CV_8U)


class OwnMouths:
    """Of one avatar."""

    def __init__(self, portraits: Iterable[Picture], landmarks: Array) -> None:
        """`portraits` (S, S, 3) in one light, `landmarks` (T, 478, 3) in [0, 1] of them."""
        self._mean = face_model().mean_shape
        self._mouths: list[OwnMouth] = []
        facing, shapes = [], []
        for portrait, face in zip(portraits, landmarks, strict=True):
            pose = head_pose(face, self._mean)
            if pose.rotation[2, 2] > LEAST_FACING:
                self._mouths.append(OwnMouth.cut(portrait, face, pose))
                facing.append(pose.rotation[:, 2])
                shapes.append(pose.remove(face)[_LIPS, :2])
        self._facing = np.array(facing, np.float32).reshape(-1, 3)
        self._shapes = np.array(shapes, np.float32).reshape(-1, len(_LIPS), 2)
        self._openings = _opening(self._shapes)

    def shown(self, driving: Array) -> ShownMouths | None:
        """The mouths that are near the driving (478, 3). None where none is.

        A mouth weighs nothing where a third one comes as near, so that nothing jumps when they change places.
        """
        if not self._mouths or not np.isfinite(driving).all():
            return None
        pose = head_pose(driving, self._mean)
        shape = pose.remove(driving)[_LIPS, :2]
        apart = np.linalg.norm(self._shapes - shape, axis=2).mean(1)
        opened = OPENING * (self._openings - _opening(shape))
        turned = TURN * np.linalg.norm(self._facing - pose.rotation[:, 2], axis=1)
        distances = np.sqrt(apart**2 + opened**2 + turned**2)
        order = distances.argsort()[:3]
        nearest = np.maximum(distances[order], 1e-4)
        share = float(np.clip((FAR - nearest[0]) / (FAR - NEAR), 0, 1))
        if not share:
            return None
        share *= share * (3 - 2 * share)
        beyond = nearest[2] if len(order) > 2 else FAR
        lead = np.maximum(1 / nearest[:2] - 1 / beyond, 1e-6)
        weights = share * lead / lead.sum()
        near = [(self._mouths[n], float(weight)) for n, weight in zip(order, weights, strict=False) if weight > LEAST]
        return ShownMouths(near, driving, pose.scale)


def _opening(lips: Array) -> Array:
    """(...,) logarithm of how far (..., 40, 2) lips are apart in the middle."""
    upper, lower = lips[..., _UPPER, 1].mean(-1), lips[..., _LOWER, 1].mean(-1)
    return np.asarray(np.log(np.maximum(lower - upper, 0) + SHUT))


def _away(view: View, driving: Array) -> Array:
    """(h, w) pixels to the lips, 0 between and on them."""
    outside = np.full((view.height, view.width), 255, np.uint8)
    ring = cv2.convexHull(np.rint(view.pixels(driving[list(at.LIPS_OUTER)])).astype(np.int32))
    cv2.fillPoly(outside, [ring], 0)
    return np.asarray(cv2.distanceTransform(outside, cv2.DIST_L2, 3), np.float32)


def _light(change: Array, skin: Picture, reach_px: float) -> Array:
    """(h, w, 3): what is slow in the (h, w, 3) change of the skin (h, w), not 0 there, and goes on over lips and teeth.

    It is blurred widely: a part of the pixels will do.
    """
    height, width = skin.shape
    weighted = cv2.merge([*cv2.split(cv2.copyTo(change, skin)), np.asarray(skin > 0, np.float32)])
    small = cv2.resize(weighted, (-(-width // COARSE), -(-height // COARSE)), interpolation=cv2.INTER_AREA)
    side = 2 * int(reach_px / COARSE) + 1
    near = np.asarray(cv2.blur(small, (side, side)), np.float32)
    whole = small.sum((0, 1))
    mean = whole[:3] / max(float(whole[3]), 1 / COARSE**2)
    trust = np.clip(near[..., 3:] / TRUSTED, 0, 1)
    local = near[..., :3] / np.maximum(near[..., 3:], 1e-3)
    return np.asarray(cv2.resize(mean + trust * (local - mean), (width, height)), np.float32)


@lru_cache(maxsize=1)
def _triangles() -> NDArray[np.int32]:
    """(t, 3) of the face about the mouth, and between the lips."""
    mean = face_model().mean_shape[:FACE_POINTS, :2]
    away = np.linalg.norm(mean[:, None] - mean[None, _LIPS], axis=2).min(1)
    mesh = face_triangles()
    return np.ascontiguousarray(mesh[(away[mesh] < GONE + MARGIN).all(1)])
