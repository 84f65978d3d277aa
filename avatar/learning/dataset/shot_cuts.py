"""The faces of a clip, split where the shot changes and where the face was away."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from avatar.core.arrays import Array, Picture

# Set on 2,750 frames of 31 clips (GRID, VoxCeleb2, two webcams), 80 ms apart
CUT_LIKENESS = 0.55  # least correlation of a face with itself in the frame before (5 of 1,312 are below), and more than
# a face has with other faces, or with itself after a cut (96 % are below)
CUT_JUMP = 0.5  # sizes of the face that its centre moves (the farthest: 0.22)
CUT_ZOOM = 1.5
GAP_S = 0.4  # without a face, or without one that will do
_CHIP_PX = 24


@dataclass(frozen=True, slots=True)
class SeenFace:
    """One frame of a clip with a face that will do."""

    number: int
    time_s: float
    landmarks: Array  # (478, 3) in pixels
    blendshapes: Array
    chip: Array  # (24, 24) of mean 0 and norm 1
    picture_px: tuple[int, int]  # width, height
    content: tuple[int, int, int, int]  # left, top, right, bottom of what is not padding
    unfit: str | None


def stretches_of(seen: list[SeenFace]) -> list[list[SeenFace]]:
    """Split at shot cuts and where the face was away."""
    stretches: list[list[SeenFace]] = []
    for before, now in zip([None, *seen], seen, strict=False):
        if before is None or _is_cut(before, now):
            stretches.append([])
        stretches[-1].append(now)
    return stretches


def _is_cut(before: SeenFace, now: SeenFace) -> bool:
    if now.time_s - before.time_s > GAP_S or now.picture_px != before.picture_px:
        return True
    sizes = [float(np.ptp(face.landmarks[:, :2], axis=0).max()) for face in (before, now)]
    jump = float(np.linalg.norm(centre(now.landmarks) - centre(before.landmarks))) / max(sizes)
    return jump > CUT_JUMP or max(sizes) > CUT_ZOOM * min(sizes) or float((before.chip * now.chip).sum()) < CUT_LIKENESS


def centre(landmarks: Array) -> Array:
    """Of the box about the face, (2,)."""
    return np.asarray((landmarks[:, :2].min(axis=0) + landmarks[:, :2].max(axis=0)) / 2, np.float32)


def chip_of(rgb: Picture, landmarks: Array) -> Array:
    """(24, 24) luma about the face, of mean 0 and norm 1: the product of two is their correlation."""
    side = 1.5 * float(np.ptp(landmarks[:, :2], axis=0).max())
    scale, shift = _CHIP_PX / side, _CHIP_PX / 2 - _CHIP_PX / side * centre(landmarks)
    matrix = np.array([[scale, 0.0, shift[0]], [0.0, scale, shift[1]]])
    blur = max(1, int(1 / scale))
    luma = cv2.blur(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), (blur, blur))
    chip = cv2.warpAffine(luma, matrix, (_CHIP_PX, _CHIP_PX), borderMode=cv2.BORDER_REPLICATE).astype(np.float32)
    chip -= chip.mean()
    return np.asarray(chip / max(float(np.linalg.norm(chip)), 1e-6), np.float32)
