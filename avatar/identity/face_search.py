"""Finding the person in a photo that may lie on its side, be large, or show more than one."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from avatar.core.arrays import Array, Picture
from avatar.face.face_model import face_model
from avatar.face.regions import LEFT_EYE, RIGHT_EYE
from avatar.face.state import FaceState, Tracker

Views = tuple[tuple[float, float, bool], ...]

_MIN_PART_PX = 48
_MIN_FACE_PX = 16.0  # below this, patterns are found
_MIN_INSIDE = 0.97  # share of the landmarks that must lie inside a part: the next part shows the whole face
_SAME_FACE = 0.2  # overlap of two boxes from which on they are the same face
_UPRIGHT_DEG = 50
_VIEW_PX = 320  # at most: the tracker itself looks at 256
# side of the view in sizes of the face, tilt in degrees, mirrored
_FIRST_VIEWS = ((1.5, 0.0, False), (1.9, 0.0, False))
_MORE_VIEWS = ((2.5, 0.0, True), (1.9, -20.0, False), (1.9, 20.0, True), (1.5, 0.0, True))
_STEADY = 0.004  # shake of the first views below which nothing else is tried
# A face is human when no more than this shake is seen in so many of the views. As `scripts/false_faces.py` counts, on
# pictures of up to 1024 pixels: of 478 portraits and frames of films 2 are refused, of 152 made into drawings and
# statues 1. Of 511 animals, plants, toys and things a young monkey's whole face is taken, and larger, a cartoon's; of
# 661 crops and tilted copies of these the monkey again; of 200 of `tests/portraits.py`'s planets 1, before 9 in 10.
_HUMAN, _HUMAN_VIEWS = 0.016, 4
_SOFTENING = (0.006, 0.012)  # blur, in longer sides of the picture
_MAX_PARTS = 200  # a narrow strip would give thousands


def find_faces(rgb: Picture, tracker: Tracker) -> tuple[int, Picture, list[FaceState]]:
    """(clockwise turn in degrees, turned picture, faces from large to small).

    The whole picture first, then its parts, then the picture softened, in which line drawings become faces.
    """
    best: tuple[list[float], int, Picture, FaceState] | None = None
    for quarter in (0, 2, 1, 3):
        picture = np.ascontiguousarray(np.rot90(rgb, -quarter))
        face = tracker.track(picture, 0)
        if not face.found or abs(roll_deg(face)) > _UPRIGHT_DEG:
            continue
        shakes = _shakes(picture, face, _FIRST_VIEWS, tracker)
        if best is None or max(shakes) < max(best[0]):
            best = shakes, quarter, picture, face
        if max(shakes) < _STEADY:
            break
    if best is not None:
        shakes, quarter, picture, face = best
        if _agree(shakes + _shakes(picture, face, _MORE_VIEWS, tracker)):
            return quarter * 90, picture, [face, *_second_face(picture, face, tracker)]
    return 0, rgb, _search_parts(rgb, tracker) or _search_softened(rgb, tracker)


def is_human(rgb: Picture, face: FaceState, tracker: Tracker) -> bool:
    """Whether the landmarks stay where they are when it is looked at again, nearer, tilted and in the mirror.

    The tracker sees faces in animals, plates and planets, and each time other ones.
    """
    return _agree(_shakes(rgb, face, _FIRST_VIEWS + _MORE_VIEWS, tracker))


def _agree(shakes: list[float]) -> bool:
    return sum(shake < _HUMAN for shake in shakes) >= _HUMAN_VIEWS


def _shakes(rgb: Picture, face: FaceState, views: Views, tracker: Tracker) -> list[float]:
    """By view, how far the landmarks move, in sizes of the face; 1 where none is seen.

    Hardly, for a face that is there: the tracker reads two of three upside-down faces as upright ones, and then they
    shake.
    """
    return [_shake(rgb, face, *view, tracker) for view in views]


def _shake(rgb: Picture, face: FaceState, zoom: float, tilt_deg: float, mirrored: bool, tracker: Tracker) -> float:
    low, high = box(face)
    side = int(zoom * size_px(face))
    x, y = (max(0, int(corner)) for corner in (low + high) / 2 - side / 2)
    view = rgb[y : y + side, x : x + side]
    scale = min(1.0, _VIEW_PX / max(view.shape))
    if min(view.shape[:2]) * scale < 1:
        return 1.0
    view = np.asarray(cv2.resize(view, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    height, width = view.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), tilt_deg, 1.0)
    view = np.asarray(cv2.warpAffine(view, turn, (width, height), borderValue=(128, 128, 128)), np.uint8)
    again = tracker.track(np.ascontiguousarray(view[:, ::-1]) if mirrored else view, 0)
    if not again.found:
        return 1.0
    points = again.landmarks[:, :2]
    if mirrored:
        points = (points * (-1, 1) + (width, 0))[face_model().mirror]
    back = cv2.invertAffineTransform(turn)
    points = (points @ back[:, :2].T + back[:, 2]) / scale + (x, y)
    return float(np.abs(points - face.landmarks[:, :2]).mean()) / size_px(face)


def _second_face(picture: Picture, face: FaceState, tracker: Tracker) -> list[FaceState]:
    if face.faces < 2:
        return []
    rest = picture.copy()
    low, high = box(face)
    rest[max(int(low[1]), 0) : int(high[1]), max(int(low[0]), 0) : int(high[0])] = 128
    second = tracker.track(rest, 0)
    return [second] if second.found else []


def _search_parts(rgb: Picture, tracker: Tracker) -> list[FaceState]:
    """The detector sees the whole picture at 128 px and misses faces below a tenth of it: look at parts of it.

    Overlapping squares, first as large as fit, then of half and of a quarter of that side.
    """
    height, width = rgb.shape[:2]
    for side in (min(height, width), min(height, width) // 2, min(height, width) // 4):
        if side < _MIN_PART_PX:
            break
        corners = [(x, y) for y in _starts(height, side) for x in _starts(width, side)]
        if len(corners) > _MAX_PARTS:
            break
        found = (_face_in_part(rgb, x, y, side, tracker) for x, y in corners)
        faces = sorted((face for face in found if face is not None), key=size_px, reverse=True)
        confirmed = [face for face in faces if abs(roll_deg(face)) < _UPRIGHT_DEG and is_human(rgb, face, tracker)]
        if confirmed:
            return [confirmed[0], *(f for f in confirmed[1:] if _overlap(confirmed[0], f) < _SAME_FACE)]
    return []


def _search_softened(rgb: Picture, tracker: Tracker) -> list[FaceState]:
    """The tracker knows shading, not lines: of 41 portraits as line drawings it sees none, softened all."""
    for share in _SOFTENING:
        soft = np.asarray(cv2.GaussianBlur(rgb, (0, 0), max(share * max(rgb.shape[:2]), 0.5)), np.uint8)
        face = tracker.track(soft, 0)
        if not face.found or size_px(face) < _MIN_FACE_PX or abs(roll_deg(face)) > _UPRIGHT_DEG:
            continue
        if is_human(soft, face, tracker):
            return [face]
    return []


def _face_in_part(rgb: Picture, x: int, y: int, side: int, tracker: Tracker) -> FaceState | None:
    part = rgb[y : y + side, x : x + side]
    face = tracker.track(part, 0)
    if not face.found or face.confidence < _MIN_INSIDE or size_px(face) < _MIN_FACE_PX:
        return None
    landmarks = face.landmarks + np.array([x, y, 0], np.float32)
    points, size = landmarks[:, :2], np.array(rgb.shape[1::-1])
    inside = float(np.mean(np.all((points >= 0) & (points < size), axis=1)))
    return replace(face, landmarks=landmarks, confidence=inside)  # the pose stays that of the part's camera


def _starts(length: int, side: int) -> list[int]:
    steps = max(1, -(-2 * (length - side) // side))  # at least half of each square overlaps the next
    return sorted({round(i * (length - side) / steps) for i in range(steps + 1)})


def box(face: FaceState) -> tuple[Array, Array]:
    return face.landmarks[:, :2].min(axis=0), face.landmarks[:, :2].max(axis=0)


def size_px(face: FaceState) -> float:
    low, high = box(face)
    return float((high - low).max())


def _overlap(first: FaceState, second: FaceState) -> float:
    """Share of the smaller box that lies in the other one."""
    (low_a, high_a), (low_b, high_b) = box(first), box(second)
    common = np.clip(np.minimum(high_a, high_b) - np.maximum(low_a, low_b), 0, None)
    return float(np.prod(common) / max(min(np.prod(high_a - low_a), np.prod(high_b - low_b)), 1e-6))


def roll_deg(face: FaceState) -> float:
    """Clockwise tilt of the line through the eyes: it stays true where the pose's angles are ambiguous."""
    right, left = (face.landmarks[list(eye), :2].mean(axis=0) for eye in (RIGHT_EYE, LEFT_EYE))
    return float(np.degrees(np.arctan2(left[1] - right[1], left[0] - right[0])))
