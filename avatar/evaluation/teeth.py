"""Do teeth keep their size? How high the upper row stands in a picture, and whether it is still the photo's.

Teeth are told by their own colour in the photo: bright for it, and less red than lips and tongue.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.core.arrays import Array, Picture
from avatar.evaluation.face_crops import MOUTH_PX, upright_mouth
from avatar.evaluation.face_masks import Mask
from avatar.face.face_model import face_model
from avatar.face.head_pose import head_pose
from avatar.face.regions import LIPS_INNER, LIPS_OUTER

ENLARGED = 3
DARKEST = 0.6  # of the photo's brightest teeth: what is darker is a gap, or the cavity
MIDDLE = 0.25  # of the mouth's width to each side of its middle: the front teeth
LEAST_SHARE = 0.45  # of the place between the lips that teeth fill in a photo which shows them
LEAST_OPENING = 0.06  # between the lips in such a photo, in widths of the mouth
SEARCH_PX = 3  # in pictures of 512: so far the head's place may be wrong
LEAST_OVERLAP_PX = 150
LESS_RED = 4  # of a* in bytes: teeth than lips


@dataclass(frozen=True)
class Teeth:
    """What the teeth of a photo look like, and where they are."""

    picture: Picture  # (S, S, 3)
    where: Mask  # (S, S)
    brightness: float  # CIE L* of the brightest, as OpenCV has it in bytes
    reddest: float  # a*, likewise: halfway to the lips

    @classmethod
    def of(cls, photo: Picture, landmarks: Array) -> Teeth | None:
        """(S, S, 3) photo, (478, 3) landmarks in pixels. None where it shows no row of teeth."""
        points = landmarks[:, :2]
        opening = np.linalg.norm(points[13] - points[14]) / np.linalg.norm(points[61] - points[291])
        between = _filled(points, LIPS_INNER, photo.shape[:2])
        lips = _filled(points, LIPS_OUTER, photo.shape[:2]) & ~between
        if opening < LEAST_OPENING or not between.any() or not lips.any():
            return None
        lab = cv2.cvtColor(photo, cv2.COLOR_RGB2LAB).astype(np.float32)
        brightness = float(np.quantile(lab[between, 0], 0.9))
        bright = between & (lab[..., 0] >= np.median(lab[between, 0]))
        reddest = float((np.median(lab[bright, 1]) + np.median(lab[lips, 1])) / 2)
        where = between & (lab[..., 0] > DARKEST * brightness) & (lab[..., 1] < reddest)
        light, red = (np.median(lab[bright, c]) - np.median(lab[lips, c]) for c in (0, 1))
        if where.sum() < LEAST_SHARE * between.sum() or light < 0 or red > -LESS_RED:
            return None
        return cls(photo, where, brightness, reddest)

    def height(self, picture: Picture, landmarks: Array) -> float:
        """Of the upper row in an (S, S, 3) picture of the same person, in distances of the outer eye corners.

        From the first tooth below the upper lip to where teeth end for the first time: the median over the mouth's
        middle. 0 where most columns show no tooth. landmarks: (478, 3) in pixels, where the lips are.
        """
        to_picture = upright_mouth(landmarks, ENLARGED)
        size = MOUTH_PX[0] * ENLARGED, MOUTH_PX[1] * ENLARGED
        crop = cv2.warpAffine(picture, to_picture, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        back = cv2.invertAffineTransform(to_picture)
        points = landmarks[:, :2] @ back[:, :2].T + back[:, 2]
        lab = cv2.cvtColor(crop, cv2.COLOR_RGB2LAB)
        teeth = (lab[..., 0] > DARKEST * self.brightness) & (lab[..., 1] < self.reddest)
        teeth &= _filled(points, LIPS_INNER, crop.shape[:2])
        middle, width = points[[13, 14], 0].mean(), points[291, 0] - points[61, 0]
        columns = np.arange(max(0, round(middle - MIDDLE * width)), min(size[0], round(middle + MIDDLE * width)))
        px = float(np.median([_first_run(teeth[:, column]) for column in columns]))
        pose = head_pose(landmarks, face_model().mean_shape)
        return px * float(np.linalg.norm(to_picture[:, 1])) / pose.scale

    def correlation(self, picture: Picture, landmarks: Array) -> float:
        """Pearson's r of the brightness of photo and picture, where the photo has teeth and the lips leave them free.

        The head must stand as in the photo: its upper teeth are then where they were. The best within SEARCH_PX. NaN
        where too little of them is free.
        """
        free = self.where & _filled(landmarks[:, :2], LIPS_INNER, picture.shape[:2])
        if free.sum() < LEAST_OVERLAP_PX:
            return float("nan")
        wanted, drawn = (cv2.cvtColor(p, cv2.COLOR_RGB2GRAY).astype(np.float64) for p in (self.picture, picture))
        reach = range(-SEARCH_PX, SEARCH_PX + 1)
        shifted = [np.roll(drawn, (down, across), (0, 1))[free] for down in reach for across in reach]
        return max(_correlation(wanted[free], one) for one in shifted)


def growth(closed: float, wide: float) -> float:
    """Of the teeth's height from a little open to wide open, as a share. NaN without teeth at first."""
    return wide / closed - 1 if closed > 0 else float("nan")


def _correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """0 where one of them is flat: a white slab shows no teeth."""
    a, b = a - a.mean(), b - b.mean()
    size = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / size if size else 0.0


def _filled(points: NDArray[np.floating], ring: tuple[int, ...], shape: tuple[int, ...]) -> Mask:
    filled = np.zeros(shape, np.uint8)
    cv2.fillPoly(filled, [np.rint(points[list(ring)] * 16).astype(np.int32)], 1, cv2.LINE_8, 4)
    return filled > 0


def _first_run(column: Mask) -> int:
    """The length of the first run of teeth; a pixel that is missing does not end it."""
    rows = np.flatnonzero(column)
    if not len(rows):
        return 0
    ends = np.flatnonzero(np.diff(rows) > 2)
    return int(rows[ends[0] if len(ends) else -1] - rows[0]) + 1
