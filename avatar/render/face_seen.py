"""What the face's network sees of a drawn picture, and its answer in the picture.

It mends what the relief cannot know: what is stretched, torn open or cut off by the mesh's own edge. Everything else is
the photo's own and better left alone, so the network is shown where it may change anything.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.core.arrays import Array, Picture
from avatar.face.regions import LEFT_EYE, LIPS_OUTER, RIGHT_EYE
from avatar.render.conditioning import FACE_SIZE
from avatar.render.drawn_person import DrawnPerson
from avatar.render.rasteriser import Drawn

HINTS = 6  # lack of trust; where anything may change; the person; the plate's three colours

STRETCHED, WORTHLESS = 1.35, 2.1  # times that the portrait's pixels are enlarged: from where on, and where trust ends
CRUSHED = 3.0  # pixels of the portrait in one: the mesh is folded or torn there
SOME_LACK = 0.3  # from which on there is something to mend
AROUND, FADE = 4, 2.0  # cells around it that may change, and over which that fades
ONE_CELL = np.ones((3, 3), np.uint8)

_NO_MAP: Any = None  # the places are pairs: there is no second map, which the stubs of OpenCV do not know


def small_plate(plate: Picture) -> Picture:
    """An (S, S, 3) plate as `seen_face` wants it."""
    return _area(plate)


def seen_face(person: DrawnPerson, plate: Picture, driving: Array) -> tuple[Picture, Picture]:
    """(128, 128, 3) and (HINTS, 128, 128) bytes: a picture drawn by (478, 3) landmarks, and its hints.

    plate: of `small_plate`.
    """
    alpha = _area(person.alpha)
    lack = _lack(person.seen, alpha)
    hints = [lack, _reach(lack, alpha, driving), alpha, *cv2.split(plate)]
    return _area(person.picture), np.stack([np.asarray(hint, np.uint8) for hint in hints])


def mend(picture: Picture, reach: Array, offset: Array, keep: Array, added: Array) -> None:
    """Apply a network's changes (2, 64, 64), (1, 128, 128) and (3, 128, 128) to the (S, S, 3) picture, in place.

    reach: (128, 128) of the hints; where it is 0 nothing changes.
    """
    size, cells = len(picture), len(reach)
    box = _box(reach > 0, cells // offset.shape[1])
    if box is None:
        return
    top, left, bottom, right = (side * size // cells for side in box)
    wide = (right - left, bottom - top)
    coarse = np.s_[box[0] // 2 : box[2] // 2, box[1] // 2 : box[3] // 2]
    fine = np.s_[box[0] : box[2], box[1] : box[3]]
    moved = np.ascontiguousarray(offset.transpose(1, 2, 0)[coarse]) * np.float32(size / 2)
    here = np.dstack(np.meshgrid(np.arange(left, right), np.arange(top, bottom))).astype(np.float32)
    places = np.asarray(here + cv2.resize(moved, wide, interpolation=cv2.INTER_LINEAR), np.float32)
    warped = cv2.remap(picture, places, _NO_MAP, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    share = cv2.resize(np.repeat(keep[0][fine][..., None], 3, axis=2), wide, interpolation=cv2.INTER_LINEAR)
    bright = np.ascontiguousarray(added.transpose(1, 2, 0)[fine]) * np.float32(255)
    paint = cv2.resize(bright, wide, interpolation=cv2.INTER_LINEAR)
    picture[top:bottom, left:right] = cv2.add(cv2.multiply(warped, share, dtype=cv2.CV_32F), paint, dtype=cv2.CV_8U)


def _lack(drawn: Drawn, alpha: Picture) -> Picture:
    """(128, 128): how little the portrait tells, where the person is."""
    cells = len(alpha)
    step = len(drawn.across) // cells
    every = np.s_[step // 2 :: step, step // 2 :: step]
    shown = np.asarray(drawn.cover[every] > 127, np.uint8)
    covered = cv2.morphologyEx(shown, cv2.MORPH_CLOSE, ONE_CELL)  # cracks between triangles are no edges
    cell = np.where(drawn.cover[every] > 0, np.float32(cells), np.float32(np.nan))
    (xy, xx), (yy, yx) = (np.gradient(part[every] * cell) for part in (drawn.across, drawn.down))
    squares = xx * xx + xy * xy + yx * yx + yy * yy
    det = xx * yy - xy * yx
    root = np.sqrt(np.maximum(squares * squares - 4 * det * det, 0))
    least, most = np.sqrt(np.maximum(squares - root, 0) / 2), np.sqrt((squares + root) / 2)
    stretch = 1 / np.maximum(least, 1e-3)
    lack = np.nan_to_num(np.clip((stretch - STRETCHED) / (WORTHLESS - STRETCHED), 0, 1))  # a crack shows no place
    lack[most > CRUSHED] = 1
    lack[cv2.erode(covered, ONE_CELL) == 0] = 1
    near = cv2.dilate(alpha, ONE_CELL) > 25
    return np.asarray(np.rint(255 * lack * near), np.uint8)


def _reach(lack: Picture, alpha: Picture, driving: Array) -> Picture:
    """(128, 128): where anything may change: around what lacks trust, of the background a rim alone, and neither in
    eyes nor mouth, which have networks of their own."""
    some = np.asarray(lack > 255 * SOME_LACK, np.uint8) * np.uint8(255)
    wide = cv2.dilate(some, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * AROUND + 1,) * 2))
    for ring in (LIPS_OUTER, RIGHT_EYE, LEFT_EYE):
        points = np.rint(np.clip(driving[list(ring), :2], -1, 2) * len(alpha) - 0.5).astype(np.int32)
        cv2.fillPoly(wide, [points], 0)
        cv2.polylines(wide, [points], True, 0, 3)
    soft = cv2.GaussianBlur(wide, (0, 0), FADE)
    return np.asarray(soft * np.asarray(alpha > 12, np.uint8), np.uint8)  # enlarged, it reaches a cell beyond


def _box(change: NDArray[np.bool_], even: int) -> tuple[int, int, int, int] | None:
    """Top, left, bottom and right of what changes, with a rim that does not, in multiples of `even` cells."""
    rows, columns = np.nonzero(change.any(1))[0], np.nonzero(change.any(0))[0]
    if not len(rows):
        return None
    top, left = (max(0, int(found[0]) - 1) // even * even for found in (rows, columns))
    bottom, right = (min(len(change), -(-(int(found[-1]) + 2) // even) * even) for found in (rows, columns))
    return top, left, bottom, right


def _area(picture: Picture) -> Picture:
    return np.asarray(cv2.resize(picture, FACE_SIZE[::-1], interpolation=cv2.INTER_AREA), np.uint8)
