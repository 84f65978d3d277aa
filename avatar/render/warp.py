"""The correspondence that landmarks already hold: a thin-plate-spline flow from the driving pose back to the source.

Source: F. L. Bookstein, "Principal Warps: Thin-Plate Splines and the Decomposition of Deformations", PAMI 1989.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.core.arrays import Array
from avatar.face.body import BodyMove
from avatar.face.face_model import face_model
from avatar.face.head_pose import head_pose
from avatar.face.regions import (
    FACE_OVAL,
    LEFT_EYE,
    LEFT_IRIS_CENTRE,
    LIPS_INNER,
    LIPS_OUTER,
    RIGHT_EYE,
    RIGHT_IRIS_CENTRE,
    RIGID,
    WARP_CONTROL,
)

# Regularisation per control point: little where lids and lips must meet, more where landmarks mostly jitter
SMOOTHING_FINE, SMOOTHING_COARSE = 2e-5, 1e-3
BORDER_POINTS_PER_SIDE = 5  # the frame's edge stays where it is, and with it the background, except at hair and body
ABOVE = 0.02  # of the source picture's height: so much of what is not there hair may bring in at the upper edge
BODY_FROM, BODY = 0.2, 0.8  # heights in [-1, 1] at which the edge begins to go with the body, and does
RING = 1.3  # how far outside of the face's outline hair, ears and neck are held, in sizes of the outline
HAIR_RING, HAIR_TO = (1.5, 2.3), 0.1  # a second ring (across, up), down to this pose-free height: hair, hats
NECK_SHARE = 0.3  # of the head's turn that the lower half of the ring follows
NECK_FROM = 0.3  # pose-free height from which the ring is neck: below the ears
# Neck's base and shoulders, from the neck's joint, in distances of the outer eye corners
TORSO = np.array([[-0.8, 1.45], [0.8, 1.45], [-1.4, 1.6], [1.4, 1.6], [0.0, 1.65]], np.float32)
TORSO_INSIDE = 0.97  # of a portrait's half side: a torso that lies below its edge is held there

FLOW_GRID = 128  # of `landmark_warp`

_BLOCK = 1024  # places at a time: what is worked on stays in the processor's cache


class LandmarkWarp:
    """Backward warp: for a place in the driving picture, where to look in the source picture.

    `sources` is one face or several (T faces share the work), `driving` is one; each is (478, 2+) landmarks in [0, 1]
    of its crop. Places and results are (x, y) in [-1, 1], the convention of grid_sample with align_corners=False.
    """

    def __init__(self, sources: Array | Sequence[Array], driving: Array) -> None:
        faces = [sources] if isinstance(sources, np.ndarray) else sources
        control, targets = control_points(faces, driving)
        n = len(control)
        from_origin = (control * control).sum(1)
        squared = from_origin[:, None] + from_origin - 2 * (control @ control.T)
        system = np.zeros((n + 3, n + 3))
        system[:n, :n] = _kernel(squared)
        system[np.arange(n), np.arange(n)] = smoothing()
        system[:n, n] = system[n, :n] = 1.0
        system[:n, n + 1 :] = control
        system[n + 1 :, :n] = control.T
        right = np.zeros((n + 3, 2 * len(targets)))
        # displacement, so that smoothing pulls towards standing still
        right[:n] = np.concatenate([target - control for target in targets], axis=1)
        weights = np.linalg.solve(system, right).astype(np.float32)
        self._weights = np.split(weights, len(targets), axis=1)
        self._control = control.astype(np.float32)

    def at(self, places: Array, source: int = 0) -> Array:
        """(..., 2) places in the driving picture to (..., 2) places in the picture of the `source`-th source."""
        weights = self._weights[source]
        flat = places.reshape(-1, 2).astype(np.float32)
        moved = flat + weights[-3] + flat @ weights[-2:]
        from_origin = (self._control * self._control).sum(1)
        for start in range(0, len(flat), _BLOCK):
            part = flat[start : start + _BLOCK]
            # |a-b|² by one matrix product: faster than broadcasting
            squared = part @ (-2.0 * self._control.T)
            squared += from_origin
            squared += (part * part).sum(1)[:, None]
            moved[start : start + _BLOCK] += _kernel(squared) @ weights[:-3]
        return np.asarray(moved.reshape(places.shape), np.float32)


def control_points(sources: Sequence[Array], driving: Array) -> tuple[NDArray[np.float64], list[NDArray[np.float64]]]:
    """The spline's (n, 2) points in the driving picture, and for each source where they lie there, all in [-1, 1]."""
    around = [_Surroundings.of(source, driving) for source in sources]
    # neck and body, which alone depend on the source, are the first one's
    control = np.concatenate([driving[WARP_CONTROL, :2] * 2 - 1, around[0].after]).astype(np.float64)
    targets = [
        np.concatenate([source[WARP_CONTROL, :2] * 2 - 1, own.before]).astype(np.float64)
        for source, own in zip(sources, around, strict=True)
    ]
    return control, targets


@dataclass(frozen=True, slots=True)
class _Surroundings:
    """What holds the picture around the face: hair, neck, torso and the picture's edge, in both pictures in [-1, 1].

    The ring follows the head as a rigid body, so that a falling jaw does not drag the collar along. Neck and torso go
    with the body, and so does the edge below them, without bringing in what lies below the source picture. The middle
    of the upper edge goes with the head: hair that is held at the edge would become a cone.
    """

    before: Array  # (K, 2) in the source picture
    after: Array  # (K, 2) in the driving picture

    @classmethod
    def of(cls, source: Array, driving: Array) -> _Surroundings:
        shape, lower = _ring_shape()
        mean = face_model().mean_shape
        poses = [head_pose(face, mean) for face in (source, driving)]
        body = BodyMove.between(*poses)
        ring_before, ring_after = (pose.apply(shape)[:, :2] for pose in poses)
        neck = body.apply(ring_before)
        ring_after = np.where(lower, neck + NECK_SHARE * (ring_after - neck), ring_after)
        inside = 0.5 + 0.5 * np.array([-TORSO_INSIDE, TORSO_INSIDE], np.float32)
        torso = np.clip(body.before + poses[0].scale * TORSO, *inside)
        border = _border()
        below = np.clip((border[:, 1:] - BODY_FROM) / (BODY - BODY_FROM), 0, 1)
        share = below + (border[:, 1:] == -1) * (1 - border[:, :1] ** 2)
        carried = np.clip(body.undo(np.asarray((border + 1) / 2, np.float32)), (0, -ABOVE), 1) * 2 - 1
        return cls(
            np.concatenate([ring_before * 2 - 1, torso * 2 - 1, border + share * (carried - border)]),
            np.concatenate([ring_after * 2 - 1, body.apply(torso) * 2 - 1, border]),
        )


@lru_cache(maxsize=1)
def _ring_shape() -> tuple[Array, NDArray[np.bool_]]:
    """(K, 3) pose-free rings outside of the mean face's outline, and (K, 1): which of it belongs to the neck."""
    mean = face_model().mean_shape
    centre = mean[list(RIGID)].mean(0) * np.array([1, 1, 0]) + np.array([0, -0.2, 0])
    outline = mean[list(FACE_OVAL[::2])]
    hair = (outline - centre)[outline[:, 1] < HAIR_TO] * np.array([*HAIR_RING, 1.0]) + centre
    lower = np.concatenate([outline[:, 1:2] > NECK_FROM, np.zeros((len(hair), 1), bool)])
    return np.concatenate([(outline - centre) * RING + centre, hair]).astype(np.float32), lower


@lru_cache(maxsize=1)
def smoothing() -> Array:
    """(n,) regularisation of each control point."""
    fine = {*LIPS_OUTER, *LIPS_INNER, *RIGHT_EYE, *LEFT_EYE, RIGHT_IRIS_CENTRE, LEFT_IRIS_CENTRE}
    points = [SMOOTHING_FINE if int(i) in fine else SMOOTHING_COARSE for i in WARP_CONTROL]
    others = len(_ring_shape()[0]) + len(TORSO) + len(_border())
    return np.array(points + [SMOOTHING_COARSE] * others, np.float32)


def _kernel(squared: NDArray[Any]) -> NDArray[Any]:
    """r² log r², in place of what is given where that spares memory traffic."""
    np.maximum(squared, 1e-9, out=squared)
    result: NDArray[Any] = np.log(squared)
    result *= squared
    return result


@lru_cache(maxsize=8)
def pixel_grid(height: int, width: int) -> Array:
    """(height, width, 2) centres of the pixels as (x, y) in [-1, 1], align_corners=False."""
    xs = (np.arange(width, dtype=np.float32) + 0.5) * 2 / width - 1
    ys = (np.arange(height, dtype=np.float32) + 0.5) * 2 / height - 1
    grid = np.stack(np.meshgrid(xs, ys), axis=-1).astype(np.float32)
    grid.setflags(write=False)
    return grid


@lru_cache(maxsize=1)
def _border() -> Array:
    side = np.linspace(-1, 1, BORDER_POINTS_PER_SIDE, dtype=np.float32)
    edge = np.ones_like(side)
    points = [np.stack(pair, -1) for pair in ((side, -edge), (side, edge), (-edge, side), (edge, side))]
    return np.unique(np.concatenate(points), axis=0).astype(np.float32)


def landmark_flow(source: Array, driving: Array, size: int) -> Array:
    """(size, size, 2) backward flow from a driving pose to the source picture, in [-1, 1]."""
    return LandmarkWarp(source, driving).at(pixel_grid(size, size))


def landmark_warp(portrait: NDArray[np.uint8], source: Array, driving: Array) -> NDArray[np.uint8]:
    """The (S, S, 3) portrait pulled from its landmarks onto the driver's, both (478, 3) in [0, 1] of the crop."""
    size = len(portrait)
    # the spline is smooth: a finer grid gives the same picture, slower
    displacement = landmark_flow(source, driving, FLOW_GRID) - pixel_grid(FLOW_GRID, FLOW_GRID)
    flow = cv2.resize(displacement, (size, size), interpolation=cv2.INTER_LINEAR) + pixel_grid(size, size)
    places = ((flow + 1) * size / 2 - 0.5).astype(np.float32)  # pixel centres: align_corners=False
    warped = cv2.remap(portrait, places[..., 0], places[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(warped, np.uint8)
