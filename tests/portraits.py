"""A real face for the tests: Eileen Collins, NASA, public domain, as scikit-image ships it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage.data import astronaut as _astronaut

Picture = NDArray[np.uint8]

FACE_PX = 106  # longer side of the face in the (512, 512, 3) picture


def astronaut() -> Picture:
    """(512, 512, 3): a frontal face of 106 px, smiling with the teeth in sight, near the top."""
    return np.asarray(_astronaut(), np.uint8)  # type: ignore[no-untyped-call]


def enlarged(factor: float = 2.0) -> Picture:
    """The face at `factor` times 106 px."""
    return resized(astronaut(), factor)


def resized(picture: Picture, factor: float) -> Picture:
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, None, fx=factor, fy=factor, interpolation=how), np.uint8)


def blurred(picture: Picture, sigma_px: float) -> Picture:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma_px), np.uint8)


def darkened(picture: Picture, factor: float) -> Picture:
    return (picture * factor).astype(np.uint8)


def head() -> Picture:
    """(200, 200, 3): the head alone."""
    return np.ascontiguousarray(astronaut()[20:220, 120:320])


def save(picture: Picture, path: Path) -> Path:
    Image.fromarray(picture).save(path)
    return path
