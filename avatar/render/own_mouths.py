"""What the portraits show between parted lips, shown again wherever a driver opens the mouth about as far.

The upper teeth stay where they are in the skull, what is below goes with the lower lip. Between two openings that were
seen, both mouths are shown through each other; where none was seen near by, the layers stay (`mouth_layers`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from avatar.core.arrays import Array, Picture
from avatar.face import regions as at
from avatar.face.face_model import face_model
from avatar.face.head_pose import HeadPose, head_pose
from avatar.render.arch import MILLIMETRE, Arch, Box
from avatar.render.drawn_teeth import BEND
from avatar.render.mouth_layers import LINE_WIDTH, between_lips, depth_of_teeth, parted_lips
from avatar.render.view import View

MOST_MOUTHS = 24
PARTED = 0.04  # lips, in distances of the outer eye corners, between which there is something to see
LEAST_FACING = 0.8  # cosine of a portrait's turn
LEAST_CONTRAST = 0.8  # between teeth and the dark, of the lips' brightness: what is flatter moved, or is lip

# How far another mouth may be, to be shown at all
UPPER_LIP = 0.04  # which hides the teeth or bares them, in distances of the outer eye corners
LOWER_LIP, MORE_OPENING = 0.04, 0.12  # likewise, and a share of the opening
WIDTH = 0.12  # between the corners of the mouth, likewise
TURN = 0.35  # of the head, about radians
FULL = 0.7  # of that distance, from which it is shown in full
LEAST = 0.01  # of a weight, to be drawn
LEAD = 3  # power of the nearness: mouths shown through each other are blurred

UPPER = 0.65  # of the way from lip to lip, above which all goes with the skull
LOWER = 0.95  # below which all goes with the lower lip
INSET = 0.7 * MILLIMETRE  # of the lips' edge: what is nearer may be lip
RIM = LINE_WIDTH  # of the lips, shown with what is between them: the layers have drawn their line there
FEATHER = 1.5 * MILLIMETRE  # beyond the lips' edge, over which a mouth ends
_LEVELS = 3  # the picture at full size, a half, a quarter: reading one that is too fine flickers


@dataclass(frozen=True, slots=True)
class OwnMouth:
    """Of one portrait."""

    pose: HeadPose
    ring: Array  # (20, 2) inner lips, on the arch of the teeth
    code: Array  # (3,) as of `_code`
    levels: tuple[Picture, ...]  # (h, w, 3) the portrait about the lips
    corner: Array  # (2,) pixels of the portrait where they begin
    size_px: int  # of the portrait

    def read(self, x: Array, y: Array, lips: tuple[Array, Array], arch: Arch, unit_px: float) -> tuple[Array, Array]:
        """(h, w, 3) and alpha (h, w) in [0, 1] at (h, w) places on the arch, between the driver's lips there.

        `unit_px`: pixels to the distance of the outer eye corners, as it will be shown.
        """
        upper, lower = lips
        own_upper, own_lower = (_height(line, x) for line in _lines(self.ring))
        way = (y - upper) / np.maximum(lower - upper, 1e-4)
        down = y + np.clip((way - UPPER) / (LOWER - UPPER), 0, 1) * (own_lower - lower)
        top = own_upper - RIM + np.clip(own_upper - upper, 0, RIM + INSET)
        bottom = own_lower + RIM
        aside = np.maximum(self.ring[0, 0] - x, x - self.ring[10, 0])
        beyond = np.maximum(np.maximum(top - down, down - bottom), aside)
        alpha = np.clip(1 - beyond / FEATHER, 0, 1)
        down = np.minimum(np.maximum(down, top), bottom)
        fineness = self.pose.scale * self.size_px / max(unit_px, 1e-6)
        level = int(np.clip(round(float(np.log2(max(fineness, 1e-6)))), 0, _LEVELS - 1))
        to_pixels = self.pose.scale * self.size_px * self.pose.rotation[:2]
        start = self.pose.translation[:2] * self.size_px - self.corner
        deep = arch.depth + arch.bend * x * x
        across, along = (
            ((row[0] * x + row[1] * down + row[2] * deep + offset) / 2**level - 0.5).astype(np.float32)
            for row, offset in zip(to_pixels, start, strict=True)
        )
        seen = cv2.remap(self.levels[level], across, along, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(seen, np.float32), alpha


@dataclass(frozen=True, slots=True)
class ShownMouths:
    """What is near one frame's driving."""

    near: list[tuple[OwnMouth, float]]  # and the weight of each, at most 1 together
    arch: Arch
    pose: HeadPose
    lips: Array  # (20, 3) inner lips in the crop

    def draw(self, picture: Picture, view: View) -> Picture:
        """Draw them into `picture` (h, w, 3), in place. Returns (h, w) in [0, 255]: how much of it they are."""
        share = np.zeros((view.height, view.width), np.uint8)
        pixels = view.pixels(self.lips)
        box = Box.around(pixels, 3.0, view)
        places = None if box is None else self.arch.places(view, self.pose, box)
        if box is None or places is None:
            return share
        x, y = places
        upper, lower = (_height(line, x) for line in _lines(self.arch.hit(self.pose, self.lips[:, :2])))
        unit_px = self.pose.scale * view.scale
        colour, total = np.zeros((*x.shape, 3), np.float32), np.zeros(x.shape, np.float32)
        for mouth, weight in self.near:
            seen, alpha = mouth.read(x, y, (upper, lower), self.arch, unit_px)
            alpha *= weight
            colour += alpha[..., None] * seen
            total += alpha
        inside = between_lips(pixels, box, max(RIM * unit_px, 1.0)) * np.float32(1 / 255)
        part = picture[box.slices]
        over = inside[..., None] * (colour - total[..., None] * part)
        part[:] = np.clip(part + over + 0.5, 0, 255).astype(np.uint8)
        # along the edge, where lips and mouth meet, the network still smooths
        kept = cv2.erode(between_lips(pixels, box), np.ones((3, 3), np.uint8))
        share[box.slices] = cv2.GaussianBlur(kept, (3, 3), 0) * total + 0.5
        return share


class OwnMouths:
    """Of one avatar."""

    def __init__(self, portraits: Sequence[Picture], landmarks: Array) -> None:
        """`portraits` (S, S, 3) in one light, `landmarks` (T, 478, 3) in [0, 1] of them."""
        self._mean = face_model().mean_shape
        poses = [head_pose(face, self._mean) for face in landmarks]
        shapes = [pose.remove(face) for pose, face in zip(poses, landmarks, strict=True)]
        depths = [depth_of_teeth(shape) for shape in shapes]
        self._arch = Arch(float(np.median(depths)), BEND)
        self._mouths = [
            _own_mouth(portrait, face, pose, self._arch)
            for portrait, face, pose, shape in zip(portraits, landmarks, poses, shapes, strict=True)
            if _opening(_code(shape)) > PARTED and pose.rotation[2, 2] > LEAST_FACING
            if _contrast(portrait, face) > LEAST_CONTRAST
        ][:MOST_MOUTHS]
        self._facing = np.array([mouth.pose.rotation[:, 2] for mouth in self._mouths], np.float32)
        self._codes = np.array([mouth.code for mouth in self._mouths], np.float32).reshape(-1, 3)

    def shown(self, driving: Array) -> ShownMouths | None:
        """The mouths that are near the driving (478, 3). None where none is.

        A mouth weighs nothing where a third one comes as near, so that nothing jumps when they change places.
        """
        if not self._mouths or not np.isfinite(driving[list(at.LIPS_INNER)]).all():
            return None
        pose = head_pose(driving, self._mean)
        shape = pose.remove(driving)
        code = _code(shape)
        scale = np.array([UPPER_LIP, LOWER_LIP + MORE_OPENING * _opening(code), WIDTH], np.float32)
        apart = ((self._codes - code) / scale) ** 2
        turned = ((self._facing - pose.rotation[:, 2]) / TURN) ** 2
        distances = np.sqrt(apart.sum(1) + turned.sum(1))
        order = distances.argsort()[:3]
        nearness = np.clip((1 - distances[order]) / (1 - FULL), 0, None)
        lips, openness = parted_lips(shape)
        if not nearness[0] or not openness:
            return None
        share = min(float(nearness[0]), 1.0)
        share *= share * (3 - 2 * share) * openness
        lead = np.maximum(nearness[:2] - (nearness[2] if len(order) > 2 else 0.0), 1e-6) ** LEAD
        weights = share * lead / lead.sum()
        near = [(self._mouths[n], float(weight)) for n, weight in zip(order, weights, strict=False) if weight > LEAST]
        return ShownMouths(near, self._arch, pose, pose.apply(lips))


def _own_mouth(portrait: Picture, landmarks: Array, pose: HeadPose, arch: Arch) -> OwnMouth:
    size = len(portrait)
    rim = landmarks[list(at.LIPS_INNER), :2]
    margin = 6 * MILLIMETRE * pose.scale
    low, high = (
        np.clip(np.rint(edge * size), 0, size).astype(int) for edge in (rim.min(0) - margin, rim.max(0) + margin)
    )
    levels = [np.ascontiguousarray(portrait[low[1] : high[1], low[0] : high[0]])]
    for _ in range(_LEVELS - 1):
        height, width = levels[-1].shape[:2]
        box = (max(width // 2, 1), max(height // 2, 1))
        levels.append(np.asarray(cv2.resize(levels[-1], box, interpolation=cv2.INTER_AREA), np.uint8))
    code = _code(pose.remove(landmarks))
    return OwnMouth(pose, arch.hit(pose, rim), code, tuple(levels), low.astype(np.float32), size)


def _contrast(portrait: Picture, landmarks: Array) -> float:
    """Of what a portrait (S, S, 3) shows between its lips, against their brightness."""
    luma = cv2.cvtColor(portrait, cv2.COLOR_RGB2GRAY)
    rings = []
    for line in (at.LIPS_INNER, at.LIPS_OUTER):
        points = np.clip(landmarks[list(line), :2], -1, 2) * len(portrait)
        ring = cv2.fillPoly(np.zeros_like(luma), [np.rint(points).astype(np.int32)], 1)
        rings.append(ring > 0)
    inside, lips = rings[0], rings[1] & ~rings[0]
    if not inside.any() or not lips.any():
        return 0.0
    dark, bright = np.percentile(luma[inside], (5, 95))
    return float((bright - dark) / max(np.median(luma[lips]), 1))


def _code(shape: Array) -> Array:
    """(3,) heights of a pose-free face's upper and lower lip in the middle, and its mouth's width."""
    upper, lower = (float(shape[line, 1].mean()) for line in at.INNER_LIP_PAIRS[3:6].T)
    return np.array([upper, lower, np.linalg.norm(shape[at.LIPS_INNER[10]] - shape[at.LIPS_INNER[0]])], np.float32)


def _opening(code: Array) -> float:
    return float(code[1] - code[0])


def _lines(ring: Array) -> tuple[Array, Array]:
    """The (11, 2) upper and lower line of (20, 2) inner lips, from corner to corner."""
    return ring[:11], np.concatenate([ring[:1], ring[:9:-1]])


def _height(line: Array, x: Array) -> Array:
    """(h, w) y of a line at x."""
    return np.interp(x, np.maximum.accumulate(line[:, 0]), line[:, 1]).astype(np.float32)
