"""What lies between the lips: cavity, tongue and lower teeth, which go with the jaw, and upper teeth, with the skull.

Teeth are sheets behind the lips (`arch`), moved rigidly: however far the jaw falls, they keep their size. A portrait
that shows its upper row lends its own (`own_teeth`), another gets a drawn one (`drawn_teeth`) in its own light.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from avatar.core.arrays import Array, Picture
from avatar.face import regions as at
from avatar.face.face_model import face_model
from avatar.face.head_pose import HeadPose, head_pose
from avatar.render.arch import MILLIMETRE, Arch, Box, Sheet
from avatar.render.closed_lips import line_colour, without_teeth
from avatar.render.drawn_teeth import BEND, BEYOND_MM, GUM_MM, LEFT, TEXELS, TONGUE_UP_MM, drawn_row, drawn_tongue
from avatar.render.mouth_light import MouthLight, mouth_light
from avatar.render.own_teeth import own_teeth
from avatar.render.upper_row import UpperRow, lent_row, row_picture
from avatar.render.view import View

HINTS = ("inside", "upper teeth", "lower teeth", "tongue")

BEHIND_LIPS = 0.035  # upper teeth, in distances of the outer eye corners
OVERBITE, OVERJET = 2.5 * MILLIMETRE, 2.5 * MILLIMETRE  # the lower edge above the upper one, and behind it, when shut
EDGE_BELOW_NOSE = 0.29  # upper incisors below the nose's base (of 224 smiles: ± 0.026)
# Likewise below an upper lip at rest, which they are rarely seen to pass by more: what the nose says is taken as far as
EDGE_BELOW_LIP = 2 * MILLIMETRE, 3.5 * MILLIMETRE
LOWER_SHADE = 0.85  # of the upper row's brightness
TONGUE_BEHIND = 10 * MILLIMETRE
JAW_GAIN = 1.45  # of the lower incisors' drop against the chin's skin, as MediaPipe sees it
LOWER_SHOWN = 2 * MILLIMETRE  # of the lower incisors above the lip, which goes with them, at most
SMILE_GAP = 0.11  # between the lips of a smile
JAW_TILT = 0.9  # radians to a drop of one distance of the outer eye corners
CHIN = (152, 148, 377, 176, 400)
LINE_WIDTH = 0.01  # of the line between shut lips
NEAR_LIPS, SHADE_DOWN = 0.05, 0.03  # how far the lips' shade reaches, and how much further down
SHUT = 0.016  # an inner-lip gap that MediaPipe still gives for shut lips
OPEN = 0.05  # from here the whole gap is drawn

_SUBPIXEL_BITS = 4


class MouthLayers:
    """The inside of one portrait's mouth."""

    def __init__(self, portrait: Picture, landmarks: Array, lent: UpperRow | None = None) -> None:
        """`portrait` (S, S, 3) RGB, `landmarks` (478, 3) in [0, 1] of it. `lent`: what another portrait in the same
        light shows of the upper row, to be shown in place of this one's.

        `skin` is the portrait to draw skin and lips from: nothing shows between its lips.
        """
        self._mean = face_model().mean_shape
        pose = head_pose(landmarks, self._mean)
        shape = pose.remove(landmarks)
        self._chin = shape[list(CHIN)].mean(0)
        light = mouth_light(portrait, landmarks)
        row = lent or own_row(portrait, landmarks, light)
        if row is not None:
            arch, upper, edge = Arch(row.depth, BEND), row.picture, row.edge
            light = replace(light, teeth=row.teeth)
        else:
            arch = Arch(depth_of_teeth(shape), BEND)
            edge = float(np.clip(_usual_edge(shape), *(shape[13, 1] + way for way in EDGE_BELOW_LIP)))
            upper = _picture(row_picture(drawn_row(True), light))
        self.shows_teeth = row is not None
        shut = not parted_lips(shape)[1]
        unit = pose.scale * len(portrait)  # pixels
        self.skin = portrait if shut else without_teeth(portrait, landmarks, unit, light.lips)
        self._line = line_colour(portrait, landmarks, shut, light.lips)
        self._light = light
        # a smile parts the lips while the teeth stay together
        self._drop = max(float(shape[14, 1] - shape[13, 1]) - SMILE_GAP, 0.0)
        self._upper = Sheet(arch, upper, LEFT, edge - GUM_MM * MILLIMETRE, TEXELS)
        lower_edge = edge - OVERBITE
        self._incisors = np.array([0, lower_edge, arch.depth + OVERJET], np.float32)
        lower = _picture(row_picture(drawn_row(False), light, LOWER_SHADE)[::-1])
        self._lower = Sheet(Arch(arch.depth + OVERJET, BEND), lower, LEFT, lower_edge - BEYOND_MM * MILLIMETRE, TEXELS)
        shade, alpha = drawn_tongue()
        tongue = _picture(np.concatenate([light.tongue * shade[..., None], 255 * alpha[..., None]], axis=2))
        top = lower_edge - TONGUE_UP_MM * MILLIMETRE
        self._tongue = Sheet(Arch(arch.depth + TONGUE_BEHIND, 0.5 * BEND), tongue, LEFT, top, TEXELS)

    def draw(self, picture: Picture, view: View, driving: Array) -> Picture:
        """Draw into `picture` (h, w, 3), in place, what the driving (478, 3) lets see. Returns (4, h, w) HINTS."""
        hints = np.zeros((len(HINTS), view.height, view.width), np.uint8)
        pose = head_pose(driving, self._mean)
        shape = pose.remove(driving)
        lips = view.pixels(driving[list(at.LIPS_INNER)])
        box = Box.around(lips, 3.0, view) if np.isfinite(lips).all() else None
        if box is None:
            return hints
        unit = pose.scale * view.scale  # pixels
        rows, columns = box.slices
        part = picture[rows, columns]
        parted, openness = parted_lips(shape)
        # where lips touch, no crack may show between their sheets
        line = self._line + openness * (self._light.shadow - self._line)
        _lay(part, line, between_lips(lips, box, max(LINE_WIDTH * unit, 1.0)))
        if not openness:
            return hints
        inside = between_lips(view.pixels(pose.apply(parted)), box)
        hints[0, rows, columns] = inside
        near = _blurred(inside, NEAR_LIPS * unit)
        deep = np.clip(2 * near - 1, 0, 1)[..., None]
        colour = self._light.cavity + deep * (self._light.throat - self._light.cavity)
        jaw = self._jaw(pose, shape)
        for number, sheet, moved in ((3, self._tongue, jaw), (2, self._lower, jaw), (1, self._upper, pose)):
            drawn = sheet.draw(view, moved, box)
            if drawn is not None:
                alpha = np.ascontiguousarray(drawn[..., 3])
                _lay(colour, drawn[..., :3], alpha)
                hints[number, rows, columns] = cv2.multiply(alpha, inside, scale=1 / 255)
        # the upper lip's shade falls deeper than the lower one's
        above = max(int(SHADE_DOWN * unit), 1)
        shade = np.concatenate([near[:1].repeat(min(above, len(near)), 0), near[:-above]])
        lit = np.clip(1.6 * shade - 0.25, 0, 1)[..., None]
        colour = self._light.shadow + lit * (colour - self._light.shadow)
        _lay(part, colour, inside)
        return hints

    def _jaw(self, pose: HeadPose, shape: Array) -> HeadPose:
        """The pose of what goes with the jaw: dropped and moved aside with the chin, and tilted as it drops."""
        aside, drop, _ = shape[list(CHIN)].mean(0) - self._chin
        drop = self._drop + JAW_GAIN * float(drop)
        drop = float(np.clip(max(drop, float(shape[14, 1] - self._incisors[1]) - LOWER_SHOWN), -0.05, 0.6))
        cos, sin = np.cos(JAW_TILT * drop), np.sin(JAW_TILT * drop)
        # z points away from the viewer, y down: the chin goes back, what lies behind the incisors rises against them
        turn = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]], np.float32)
        shift = self._incisors - turn @ self._incisors + np.array([aside, drop, 0], np.float32)
        return HeadPose(pose.rotation @ turn, pose.scale, pose.translation + pose.scale * pose.rotation @ shift)


def own_row(portrait: Picture, landmarks: Array, light: MouthLight) -> UpperRow | None:
    """The upper row of a portrait (S, S, 3) with (478, 3) landmarks and of its `light`, where it shows one."""
    pose = head_pose(landmarks, face_model().mean_shape)
    shape = pose.remove(landmarks)
    depth = depth_of_teeth(shape)
    own = own_teeth(portrait, landmarks, pose, Arch(depth, BEND), light.lips)
    return lent_row(own, light, depth, _usual_edge(shape)) if own.enough else None


def depth_of_teeth(shape: Array) -> float:
    """Of the upper teeth, in a pose-free face."""
    return float(shape[[13, 14], 2].mean()) + BEHIND_LIPS


def _usual_edge(shape: Array) -> float:
    """Height of the upper incisors' edge in a pose-free face, where it is not seen."""
    return float(shape[2, 1]) + EDGE_BELOW_NOSE


def parted_lips(shape: Array) -> tuple[Array, float]:
    """(20, 3) inner lips of a pose-free face, drawn together where they all but touch, and how far they are apart at
    most: from 0, where they touch, to 1."""
    lips = shape[list(at.LIPS_INNER)].copy()
    upper, lower = lips[1:10], lips[:10:-1]  # views
    gap = lower[:, 1] - upper[:, 1]
    share = np.clip((gap - SHUT) / (OPEN - SHUT), 0, 1)
    half = 0.5 * (1 - share[:, None]) * (lower - upper)
    upper += half
    lower -= half
    return lips, float(share.max())


def between_lips(lips: Array, box: Box, line_px: float = 0.0) -> Picture:
    """(h, w) in [0, 255]: inside of (20, 2) inner lips in pixels, with a soft edge, and a line along them."""
    mask = np.zeros((box.bottom - box.top, box.right - box.left), np.uint8)
    points = (np.clip(lips, -2000, 4000) - (box.left + 0.5, box.top + 0.5)) * (1 << _SUBPIXEL_BITS)
    fixed = [np.rint(points).astype(np.int32)]
    cv2.fillPoly(mask, fixed, 255, cv2.LINE_AA, _SUBPIXEL_BITS)
    if line_px:
        short = points.copy()
        short[[0, 10]] += 0.5 * (points[[1, 9]] - points[[0, 10]])  # at its ends it would run over skin
        line = np.rint(short).astype(np.int32)
        cv2.polylines(mask, [line], True, 255, round(line_px), cv2.LINE_AA, _SUBPIXEL_BITS)
    return np.asarray(cv2.GaussianBlur(mask, (3, 3), 0), np.uint8)


def _blurred(mask: Picture, reach_px: float) -> Array:
    """(h, w) in [0, 1]: how much of what is around lies inside too."""
    side = 2 * int(reach_px) + 1
    blurred = cv2.blur(mask, (side, side), borderType=cv2.BORDER_CONSTANT)
    return np.asarray(blurred, np.float32) / np.float32(255)


def _lay(under: Array | Picture, over: Array | Picture, alpha: Picture) -> None:
    """Lay a colour or a picture (h, w, 3) over another, in place, by alpha (h, w) in [0, 255]."""
    share = alpha[..., None].astype(np.float32) * np.float32(1 / 255)
    mixed = under + share * (over - under.astype(np.float32))
    under[:] = mixed if under.dtype == np.float32 else mixed + np.float32(0.5)


def _picture(rgba: Array) -> Picture:
    return np.ascontiguousarray(np.clip(rgba, 0, 255).astype(np.uint8))
