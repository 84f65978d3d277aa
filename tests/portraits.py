"""A real face for the tests: Eileen Collins, NASA, public domain, as scikit-image ships it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage.data import astronaut as _astronaut

from avatar.core.arrays import Picture
from avatar.face.regions import LEFT_EYE, RIGHT_EYE
from avatar.tracking.caged_tracker import CagedTracker
from avatar.tracking.model_asset import tracker_model

FACE_PX = 106  # longer side of the face in the (512, 512, 3) picture


def astronaut() -> Picture:
    """(512, 512, 3): a frontal face of 106 px, smiling with the teeth in sight, near the top."""
    return np.asarray(_astronaut(), np.uint8)


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


def landmarks_px(picture: Picture) -> NDArray[np.float32]:
    """(478, 2) of the face in it."""
    with CagedTracker(tracker_model(), "image", patient=True) as tracker:
        return tracker.track(picture, 0).landmarks[:, :2]


def in_dark_glasses(picture: Picture) -> Picture:
    """Black lenses over both eyes, with a bar between them."""
    result, points = picture.copy(), landmarks_px(picture)
    centres = [points[list(ring)].mean(0) for ring in (RIGHT_EYE, LEFT_EYE)]
    radius = 0.36 * float(np.linalg.norm(centres[0] - centres[1]))
    for centre in centres:
        cv2.ellipse(
            result, np.rint(centre).astype(int).tolist(), (int(radius * 1.2), int(radius)), 0, 0, 360, (12, 12, 14), -1
        )
    left, right = (np.rint(centre).astype(int).tolist() for centre in centres)
    cv2.line(result, left, right, (12, 12, 14), max(2, int(radius / 5)))
    return result


def masked(picture: Picture) -> Picture:
    """A plain blue cloth from below the eyes to the chin."""
    result, points = picture.copy(), landmarks_px(picture)
    outline = points[[6, 118, 50, 187, 58, 136, 176, 152, 400, 365, 288, 411, 280, 347]]
    cv2.fillPoly(result, [np.rint(outline).astype(np.int32)], (120, 160, 200))
    return result


def with_shut_eyes(picture: Picture) -> Picture:
    """The eyes filled with the skin about them, and a line of lashes along each lower lid."""
    points = landmarks_px(picture)
    width = float(np.linalg.norm(points[33] - points[133]))
    hole = np.zeros(picture.shape[:2], np.uint8)
    for ring in (RIGHT_EYE, LEFT_EYE):
        centre = points[list(ring)].mean(0)
        cv2.fillPoly(hole, [np.rint(centre + 1.5 * (points[list(ring)] - centre)).astype(np.int32)], 255)
    result = np.asarray(cv2.inpaint(picture, hole, width / 4, cv2.INPAINT_TELEA), np.uint8)
    for lower in ((33, 7, 163, 144, 145, 153, 154, 155, 133), (362, 382, 381, 380, 374, 373, 390, 249, 263)):
        line = np.rint(points[list(lower)]).astype(np.int32)
        cv2.polylines(result, [line], False, (70, 45, 40), max(1, round(width / 14)), cv2.LINE_AA)
    return result


def half_in_shadow(picture: Picture, light: float = 0.25) -> Picture:
    """The face's right half, on the picture's left, at `light` of its brightness."""
    nose = float(landmarks_px(picture)[1, 0])
    across = np.clip((np.arange(picture.shape[1]) - nose) / 10 + 0.5, 0, 1)
    return (picture * (light + (1 - light) * across)[None, :, None]).astype(np.uint8)


def somebody_else(picture: Picture) -> Picture:
    """The face with a larger middle, and broader: 0.80 from the one given, by the network that compares faces."""
    points = landmarks_px(picture)
    size = float(np.ptp(points[:, 1]))
    centre = points.mean(0) + np.array([0, 0.05 * size])
    y, x = np.mgrid[: picture.shape[0], : picture.shape[1]].astype(np.float32)
    from_x, from_y = x - centre[0], y - centre[1]
    shrink = 1 - 0.6 * np.exp(-(from_x**2 + from_y**2) / (0.3 * size) ** 2)
    map_x, map_y = ((c + d * shrink).astype(np.float32) for c, d in zip(centre, (from_x, from_y), strict=True))
    bulged = cv2.remap(picture, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    height, width = picture.shape[:2]
    return np.asarray(cv2.resize(bulged, (round(1.37 * width), round(0.88 * height))), np.uint8)


def as_pencil_drawing(picture: Picture) -> Picture:
    """Grey, by dodging with its own blurred negative."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    negative = cv2.GaussianBlur(255 - grey, (0, 0), max(picture.shape) / 80)
    drawn = np.clip(grey * 255.0 / np.maximum(256.0 - negative, 1), 0, 255).astype(np.uint8)
    return np.repeat(drawn[..., None], 3, axis=2)


def as_statue(picture: Picture) -> Picture:
    """Smooth, and of one colour."""
    grey = cv2.bilateralFilter(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), 9, 60, 9)
    return np.asarray(grey[..., None] * np.array([0.95, 0.93, 0.88]), np.uint8)


def planet(seed: int) -> Picture:
    """(400, 400, 3): an orange disc with clouds, on black. The tracker sees a face in nearly every one."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:400, :400]
    noise = (rng.standard_normal((400, 400)).astype(np.float32) for _ in range(3))
    clouds = sum(
        cv2.GaussianBlur(layer, (0, 0), sigma) * sigma for layer, sigma in zip(noise, (6, 14, 30), strict=True)
    )
    shade = np.clip(1.2 - ((x - 170) ** 2 + (y - 180) ** 2) / (2 * 150**2), 0.2, 1.1)
    light = np.clip(0.62 + 0.16 * clouds / np.std(clouds), 0, 1) * shade
    disc = (x - 200) ** 2 + (y - 200) ** 2 < 150**2
    return np.clip(np.where(disc[..., None], light[..., None] * (225, 150, 100), 10), 0, 255).astype(np.uint8)


def childs_drawing() -> Picture:
    """(400, 400, 3): a stick figure beside a house, its head a circle."""
    paper = np.full((400, 400, 3), 255, np.uint8)
    ink = (20, 20, 20)
    cv2.circle(paper, (110, 110), 45, ink, 4)
    for start, end in (
        ((110, 155), (110, 270)),
        ((110, 270), (70, 360)),
        ((110, 270), (150, 360)),
        ((60, 200), (160, 200)),
    ):
        cv2.line(paper, start, end, ink, 4)
    cv2.rectangle(paper, (220, 220), (370, 360), ink, 4)
    cv2.polylines(paper, [np.array([[220, 220], [295, 140], [370, 220]])], False, ink, 4)
    return paper
