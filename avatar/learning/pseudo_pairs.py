"""Motion for people of whom there is one still: the still is the target, and a warped copy of it the source.

The target is always a real picture, so the networks only ever learn to produce real pixels.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from avatar.core.arrays import Array, Picture
from avatar.face.face_model import face_model
from avatar.face.gaps import gaps, mouth_width, set_mouth_gaps, uncross
from avatar.face.head_pose import HeadPose, head_pose
from avatar.face.regions import INNER_LIP_PAIRS, LIPS_INNER
from avatar.render.warp import LandmarkWarp, pixel_grid

TURN_DEGREES = np.array([4.0, 6.0, 3.0])  # standard deviations of pitch, yaw, roll
MAX_DEVIATIONS = 1.7  # further turns crumple the far cheek
SCALE_SPREAD = 0.05
SHIFT_SPREAD = 0.02  # of the crop's side
OPEN_MOUTH = 0.06  # inner-lip gap over mouth width from which teeth may show
CLOSE_CHANCE = 0.5  # of shutting the source's mouth where the target's is open
WARP_GRID = 64


def pseudo_source(
    picture: Picture, landmarks: Array, motion: tuple[Array, Array], rng: np.random.Generator
) -> tuple[Picture, Array]:
    """Warp a still (H, H, 3) with (478, 3) landmarks in [0, 1] to another pose and expression.

    `motion` holds the landmarks of two frames of one clip: their difference, free of pose, is the change of expression.
    Returns the warped picture and its landmarks.
    """
    moved, closes = pseudo_landmarks(landmarks, motion, rng)
    if closes:
        picture = close_mouth(picture, landmarks)
    return warp_picture(picture, LandmarkWarp(landmarks, moved)), moved


def pseudo_landmarks(landmarks: Array, motion: tuple[Array, Array], rng: np.random.Generator) -> tuple[Array, bool]:
    """The landmarks of a pseudo-source, and whether what shows between the still's lips must be filled first."""
    mean = face_model().mean_shape
    pose = head_pose(landmarks, mean)
    shape = pose.remove(landmarks)
    before, after = (head_pose(frame, mean).remove(frame) for frame in motion)
    moved = shape + rng.uniform(0.6, 1.2) * (after - before)
    open_now = mouth_opening(shape)
    if open_now > OPEN_MOUTH and rng.random() < CLOSE_CHANCE:
        moved = set_mouth_gaps(moved, np.zeros(len(INNER_LIP_PAIRS), np.float32))
    moved = uncross(moved)
    closes = mouth_opening(moved) < 0.5 * open_now and open_now > OPEN_MOUTH

    turn = Rotation.from_euler("xyz", _bounded_normal(rng) * TURN_DEGREES, degrees=True).as_matrix()
    centre = landmarks.mean(0)
    shift = np.append(rng.normal(0, SHIFT_SPREAD, 2), 0.0)
    scale = float(np.exp(rng.normal(0, SCALE_SPREAD)))
    turned = HeadPose(
        (turn @ pose.rotation).astype(np.float32),
        pose.scale * scale,
        (centre + scale * turn @ (pose.translation - centre) + shift).astype(np.float32),
    )
    return turned.apply(moved), closes


def mouth_opening(shape: Array) -> float:
    """Largest inner-lip gap of a pose-free (478, 3) face, in widths of the mouth."""
    return float(gaps(shape, INNER_LIP_PAIRS).max()) / mouth_width(shape)


def _bounded_normal(rng: np.random.Generator) -> NDArray[np.float64]:
    return np.clip(rng.normal(size=3), -MAX_DEVIATIONS, MAX_DEVIATIONS)


def close_mouth(picture: Picture, landmarks: Array) -> Picture:
    """Fill what shows between the lips from the lips around it, so that no tooth survives in the source."""
    size = picture.shape[0]
    inside = np.zeros((size, size), np.uint8)
    cv2.fillPoly(inside, [np.rint(landmarks[list(LIPS_INNER), :2] * size).astype(np.int32)], 255)
    inside[:] = cv2.dilate(inside, np.ones((3, 3), np.uint8))
    x, y, w, h = cv2.boundingRect(inside)
    rows, columns = slice(max(y - 6, 0), y + h + 6), slice(max(x - 6, 0), x + w + 6)
    result = picture.copy()
    part = np.ascontiguousarray(picture[rows, columns])
    result[rows, columns] = cv2.inpaint(part, np.ascontiguousarray(inside[rows, columns]), 3, cv2.INPAINT_TELEA)
    return result


def warp_picture(picture: Picture, warp: LandmarkWarp) -> Picture:
    """Apply a landmark warp to an (H, H, 3) picture, bilinear."""
    size = picture.shape[0]
    grid = cv2.resize(warp.at(pixel_grid(WARP_GRID, WARP_GRID)), (size, size), interpolation=cv2.INTER_LINEAR)
    places = (grid + 1) * (size / 2) - 0.5
    return np.asarray(
        cv2.remap(picture, places[..., 0], places[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101),
        np.uint8,
    )
