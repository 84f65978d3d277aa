"""Draws a mesh: for each pixel of a view the place of the portrait that it shows, the nearest front side winning."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.core.arrays import Array, Picture
from avatar.render.view import View

LARGE_PX = 256  # of a view's smaller side
TORN = 0.015  # places of neighbours that are further apart than this lie on two sides of an edge
EDGE_PX = 5, 5  # over which such an edge is smoothed, since half the size gives it steps
LEAST_SHARE = 1e-6  # of a place; where there is none, 0 / 0 would be no number, which cv2.remap is slow with
BESIDE = ((0, -1), (0, 1), (-1, 0), (1, 0), (-1, -1), (-1, 1), (1, -1), (1, 1))  # neighbours, the nearest first

_FAR = 60.0  # viewing distance, in eye distances: all but parallel


@dataclass(frozen=True, slots=True)
class Drawn:
    """Which place of the portrait a view shows, (x, y) in [0, 1], and where it shows any: (h, w) each."""

    across: Array
    down: Array
    cover: Picture  # 255 where it does, soft at the edges of a large view
    edges: Picture | None = None  # 255 in a large view where the mesh hides a part of itself

    @property
    def covered(self) -> NDArray[np.bool_]:
        return self.cover > 127

    def sample(self, sheet: Picture, margin_px: int = 0) -> Picture:
        """(h, w[, C]) of a layer of the portrait as the view shows it; of no meaning where nothing covers.

        The layer reaches `margin_px` of its pixels beyond the portrait on each side.
        """
        size, shift = float(len(sheet) - 2 * margin_px), margin_px - 0.5
        columns, rows = (cv2.addWeighted(part, size, part, 0.0, shift) for part in (self.across, self.down))
        shown = cv2.remap(sheet, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        if self.edges is not None:
            x, y, width, height = cv2.boundingRect(self.edges)
            box = np.s_[y : y + height, x : x + width]
            if width:
                cv2.copyTo(cv2.blur(shown[box], EDGE_PX), self.edges[box], shown[box])
        return np.asarray(shown, np.uint8)


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
    drawn = _without_cracks(drawn[:height, :width])
    edges = None
    if step == 1:
        across, down, share = (np.asarray(part, np.float32) for part in cv2.split(drawn))
    else:
        across, down, share, hides = _enlarged(drawn, step)
        edges = hides[: view.height, : view.width]
    inside = np.s_[: view.height, : view.width]
    cover = cv2.addWeighted(share, 510, share, 0, -127.5, dtype=cv2.CV_8U)  # a ramp of one pixel about the edge
    return Drawn(np.asarray(across[inside]), np.asarray(down[inside]), np.asarray(cover[inside], np.uint8), edges)


def _without_cracks(drawn: Array) -> Array:
    """(h, w, 3) whose single pixels that fell between two triangles show what is beside them, in place."""
    there = (drawn[..., 2] > 0.5).astype(np.uint8)
    rows, columns = np.nonzero(cv2.morphologyEx(there, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8)) > there)
    if len(rows):
        padded = cv2.copyMakeBorder(drawn, 1, 1, 1, 1, cv2.BORDER_CONSTANT)
        beside = np.stack([padded[rows + 1 + y, columns + 1 + x] for y, x in BESIDE])  # (8, n, 3)
        nearest = beside[(beside[..., 2] > 0.5).argmax(0), np.arange(len(rows))]
        alike = np.abs(beside - nearest).max(2, keepdims=True) < TORN  # on the same side of an edge
        drawn[rows, columns] = (beside * alike).sum(0) / alike.sum(0)
    return drawn


def _enlarged(drawn: Array, step: int) -> tuple[Array, Array, Array, Picture]:
    """Places and cover of (h, w, 3), each `step` times as large, and 255 where the mesh hides a part of itself.

    Nothing has weight 0, so that an outline keeps its own places; where the mesh hides itself, the nearest pixel's are
    taken, since between nose and cheek there is no third place.
    """
    small = [np.ascontiguousarray(part, np.float32) for part in cv2.split(drawn)]
    size = (step * drawn.shape[1], step * drawn.shape[0])
    across, down, share = (np.asarray(cv2.resize(part, size), np.float32) for part in small)
    some = cv2.max(share, np.array(LEAST_SHARE))
    cv2.divide(across, some, dst=across)
    cv2.divide(down, some, dst=down)
    hides = np.zeros(share.shape, np.uint8)
    x, y, width, height = cv2.boundingRect(_apart(small))
    if width:
        box = np.s_[step * y : step * (y + height), step * x : step * (x + width)]
        near = [part[y : y + height, x : x + width].repeat(step, 0).repeat(step, 1) for part in small]
        parts = across[box], down[box]
        apart = cv2.max(*(cv2.absdiff(part, there) for part, there in zip(parts, near[:2], strict=True)))
        torn = cv2.compare(cv2.multiply(apart, near[2]), np.array(TORN), cv2.CMP_GT)
        for part, there in zip(parts, near[:2], strict=True):
            cv2.copyTo(there, torn, part)
        hides[box] = torn
        hides = np.asarray(cv2.dilate(hides, np.ones(EDGE_PX, np.uint8)), np.uint8)
    return across, down, share, hides


def _apart(small: list[Array]) -> Picture:
    """(h, w) 1 about neighbours whose places are so far apart that what lies between them may be torn."""
    there = small[2] > 0.5
    found = np.zeros(there.shape, np.uint8)
    for first, second in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        apart = cv2.max(*(cv2.absdiff(part[first], part[second]) for part in small[:2]))
        # a corner is reached by two such steps
        found[first] |= (apart > TORN / 2) & there[first] & there[second]
    return np.asarray(cv2.dilate(found, np.ones((5, 5), np.uint8)), np.uint8)


@lru_cache(maxsize=2)
def _settings(mirrored: bool) -> cv2.TriangleRasterizeSettings:
    settings = cv2.TriangleRasterizeSettings()
    settings.setShadingType(cv2.RASTERIZE_SHADING_SHADED)
    settings.setCullingMode(cv2.RASTERIZE_CULLING_CW if mirrored else cv2.RASTERIZE_CULLING_CCW)
    settings.setGlCompatibleMode(cv2.RASTERIZE_COMPAT_DISABLED)
    return settings
