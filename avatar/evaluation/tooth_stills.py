"""Smiling photos whose jaw falls: the same head, the same smile, and only `jawOpen` from a little to wide."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from avatar.core.arrays import Array, Picture
from avatar.core.avatar import Avatar
from avatar.core.errors import InputError
from avatar.core.model_files import MODEL_ID
from avatar.evaluation.contact_sheet import Strip
from avatar.evaluation.person import draw
from avatar.evaluation.teeth import Teeth, growth
from avatar.face.crop import CROP_SIZE_PX, Crop, face_crop
from avatar.face.face_model import face_model
from avatar.face.head_pose import head_pose
from avatar.face.state import BLENDSHAPE_INDEX, FaceState, Tracker
from avatar.identity.mattes import with_mattes
from avatar.render.embedding import embed
from avatar.retarget.retargeter import Retargeter
from avatar.sources.photo import PhotoReader
from engines.engine import Engine

JAW_OPEN = (0.2, 0.9)
MOST = 30  # stills
SHOWN_PX = 224


@dataclass(frozen=True)
class Still:
    """A photo in which somebody smiles with their teeth."""

    name: str
    portrait: Picture  # (512, 512, 3)
    state: FaceState  # in the portrait's pixels
    teeth: Teeth


@dataclass(frozen=True)
class ToothScores:
    """What became of one still; None where it shows no teeth."""

    growth: float | None  # of the upper row's height from JAW_OPEN's first to its second, as a share
    correlation: float | None  # of the row with the photo's, wide open


def smiling(paths: Iterable[Path], tracker: Tracker, most: int = MOST) -> list[Still]:
    """The first `most` photos that show teeth; others, and what cannot be read, are passed over."""
    found: list[Still] = []
    with PhotoReader() as reader:
        for number, path in enumerate(paths):
            if len(found) == most:
                break
            try:
                rgb = reader.load(path)
            except InputError:
                continue
            if (still := _still(path.stem, rgb, tracker, number)) is not None:
                found.append(still)
    return found


def _still(name: str, rgb: Picture, tracker: Tracker, number: int) -> Still | None:
    state = tracker.track(rgb, number)
    if not state.found:
        return None
    crop = face_crop(state.landmarks, rgb.shape[1], rgb.shape[0])
    portrait, points = crop.cut(rgb), crop.normalise(state.landmarks) * CROP_SIZE_PX
    teeth = Teeth.of(portrait, points)
    return None if teeth is None else Still(name, portrait, _state(points, state.blendshapes, state.pose), teeth)


def avatar_of(still: Still, embedder: Engine) -> Avatar:
    """Enrolled from this one photo."""
    landmarks = still.state.landmarks[None] / np.float32(CROP_SIZE_PX)
    embedding = embed(embedder, still.portrait[None], landmarks)
    person = Avatar(still.name, MODEL_ID, still.portrait[None], landmarks, still.state.blendshapes[None], embedding)
    return with_mattes(person)


def score_teeth(still: Still, avatar: Avatar) -> tuple[ToothScores, Picture]:
    """The scores, and the drawn mouths side by side, a little open and wide open."""
    retargeter = Retargeter(avatar, mode="absolute", frame_crop=Crop(0, 0, CROP_SIZE_PX), smoothing=False)
    retargeter.recalibrate(still.state)
    drivings = [retargeter.drive(opened(still.state, jaw, 1 + k)) for k, jaw in enumerate(JAW_OPEN)]
    pictures = draw(avatar, drivings, [0, 1], size_px=CROP_SIZE_PX).pictures
    points = [driving.landmarks * CROP_SIZE_PX for driving in drivings]
    little, wide = (still.teeth.height(*pair) for pair in zip(pictures, points, strict=True))
    kept = still.teeth.correlation(pictures[1], points[1])
    scores = ToothScores(_known(growth(little, wide)), _known(kept))
    return scores, np.concatenate([_shown(picture, still.state.landmarks) for picture in pictures], axis=1)


def tooth_sheet(still: Still, drawn: Mapping[str, Picture]) -> Strip:
    """The photo's mouth, and what `score_teeth` drew."""
    label = "photo, " + ", ".join(f"{name}: a little open, wide open" for name in drawn)
    return Strip(label, np.concatenate([_shown(still.portrait, still.state.landmarks), *drawn.values()], axis=1))


def _shown(picture: Picture, landmarks: Array) -> Picture:
    """(SHOWN_PX, SHOWN_PX, 3) around the photo's mouth and chin."""
    across = landmarks[291, :2] - landmarks[61, :2]
    side = 2.2 * float(np.linalg.norm(across)) / SHOWN_PX
    middle = landmarks[[61, 291], :2].mean(0) + np.array([0, 0.35 * np.linalg.norm(across)])
    matrix = np.array([[side, 0, middle[0] - side * SHOWN_PX / 2], [0, side, middle[1] - side * SHOWN_PX / 2]])
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(picture, matrix, (SHOWN_PX, SHOWN_PX), flags=how), np.uint8)


def opened(state: FaceState, jaw_open: float, seconds: int) -> FaceState:
    """The same face with another jaw."""
    model = face_model()
    pose = head_pose(state.landmarks, model.mean_shape)
    scores = state.blendshapes.copy()
    scores[BLENDSHAPE_INDEX["jawOpen"]] = jaw_open
    scores[BLENDSHAPE_INDEX["mouthClose"]] = 0
    shape = pose.remove(state.landmarks) + model.expression(scores) - model.expression(state.blendshapes)
    return _state(pose.apply(shape), scores, state.pose, seconds)


def _state(points: Array, blendshapes: Array, pose: Array, seconds: int = 0) -> FaceState:
    return FaceState(
        np.asarray(points, np.float32), blendshapes, pose, 1.0, seconds * 1_000_000_000, frame_px=CROP_SIZE_PX
    )


def _known(value: float) -> float | None:
    return value if np.isfinite(value) else None
