"""Is a shot of the webcam good enough to enrol from, and what should the person do next?"""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from avatar.core.arrays import Picture
from avatar.core.errors import InputError
from avatar.face.crop import face_crop
from avatar.face.state import FaceState
from avatar.identity.photo_check import (
    CLOSED_BLINK,
    GLARE_LUMA,
    GOOD_IMBALANCE,
    GOOD_LUMA,
    GOOD_SHARPNESS,
    MAX_FACES,
    CheckedPhoto,
    PhotoCheck,
    check_face,
    check_photo,
)
from avatar.identity.selfie_signs import MENDS, NO_FACE
from avatar.tracking.caged_tracker import CagedTracker

MOST_SHOT_PIXELS = 4_000_000  # of a webcam's picture
REST_S = 60.0  # after which an open tracker only takes memory
SHARP = GOOD_SHARPNESS / 4  # of a webcam, whose own noise filter takes the rest
TURN_DEG, MOST_TURN_DEG = 12.0, 38.0
STRAIGHT_YAW_DEG, STRAIGHT_PITCH_DEG = 12.0, 18.0
SMILE, OPEN = 0.35, 0.25  # blendshape scores


@dataclass(frozen=True, slots=True)
class Pose:
    """One shot of the guided capture. `say`: what the person should do."""

    name: str
    say: str
    reached: Callable[[PhotoCheck, FaceState], bool]


def _straight(check: PhotoCheck, _face: FaceState) -> bool:
    straight = abs(check.yaw_deg) < STRAIGHT_YAW_DEG and abs(check.pitch_deg) < STRAIGHT_PITCH_DEG
    return straight and check.blink < CLOSED_BLINK


def _smiles(check: PhotoCheck, face: FaceState) -> bool:
    smile = (face.blendshape("mouthSmileLeft") + face.blendshape("mouthSmileRight")) / 2
    return smile > SMILE and check.blink < CLOSED_BLINK


# Left and right are the person's own; a picture that is not mirrored shows a turn to the left as one to its right.
POSES = {
    pose.name: pose
    for pose in (
        Pose("front", "Look straight at the camera", _straight),
        Pose("left", "Turn your head to your left", lambda check, _: TURN_DEG < check.yaw_deg < MOST_TURN_DEG),
        Pose("right", "Turn your head to your right", lambda check, _: TURN_DEG < -check.yaw_deg < MOST_TURN_DEG),
        Pose("smile", "Look at the camera and smile", _smiles),
        Pose("open", "Open your mouth, as in “ah”", lambda check, _: check.jaw_open > OPEN),
    )
}


class ShotChecker:
    """Opens a face tracker when it is asked; `rest` closes it until it is asked again. From any thread."""

    def __init__(self, tracker_model: Callable[[], Path]) -> None:
        self._tracker_model = tracker_model
        self._tracker: CagedTracker | None = None
        self._asked_s = 0.0
        self._lock = threading.Lock()

    def photo(self, rgb: Picture) -> CheckedPhoto:
        """All that `enroll` will look at."""
        with self._lock:
            return check_photo(rgb, self._open())

    def shot(self, rgb: Picture, pose: Pose) -> dict[str, Any]:
        """`good`: take it now. `say`: what to do next. `face`: left, top, width and height in [0, 1] of the picture."""
        with self._lock:
            face = self._open().track(rgb, 0)
        height, width = rgb.shape[:2]
        if not face.found:
            return {"good": False, "say": _sentence(NO_FACE), "face": None}
        check = check_face(rgb, face, face_crop(face.landmarks, width, height))
        points = face.landmarks[:, :2] / (width, height)
        left, top = points.min(0)
        right, bottom = points.max(0)
        trouble = _trouble(check, face)
        reached = pose.reached(check, face)
        return {
            "good": trouble is None and reached,
            "say": _sentence(trouble) if trouble else "Hold still" if reached else pose.say,
            "face": [round(float(value), 4) for value in (left, top, right - left, bottom - top)],
            "light": "dark" if check.luma < GOOD_LUMA else "bright" if check.luma > GLARE_LUMA else "good",
            "sharp": check.sharpness >= SHARP,
            "pose": reached,
            "yaw_deg": check.yaw_deg,
            "pitch_deg": check.pitch_deg,
        }

    def tick(self) -> None:
        """To be called now and then: rests when it was not asked for a while."""
        if self._tracker is not None and time.monotonic() - self._asked_s > REST_S:
            self.rest()

    def rest(self) -> None:
        with self._lock:
            tracker, self._tracker = self._tracker, None
        if tracker is not None:
            tracker.close()

    def _open(self) -> CagedTracker:
        self._asked_s = time.monotonic()
        if self._tracker is None:
            self._tracker = CagedTracker(self._tracker_model(), "image", MAX_FACES, say=lambda line: None, patient=True)
        return self._tracker


def decode_shot(data: bytes) -> Picture:
    """(H, W, 3) of a JPEG as the page's webcam gives it. Raises InputError for anything else."""
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
            if image.width * image.height > MOST_SHOT_PIXELS:
                raise InputError(f"The shot has {image.width} x {image.height} pixels, more than a webcam's.")
            return np.asarray(image.convert("RGB"), np.uint8)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError("The shot is no JPEG picture. Reload the page and try again.") from error


def _trouble(check: PhotoCheck, face: FaceState) -> str | None:
    if check.fault is not None:
        return MENDS.get(check.fault, "look at the camera")
    if face.faces > 1:
        return "be alone in the picture"
    if check.luma < GOOD_LUMA:
        return MENDS["dark"]
    if check.luma > GLARE_LUMA:
        return "move away from the light: your face is too bright"
    if abs(check.imbalance) > 1.5 * GOOD_IMBALANCE:
        return "turn towards the light: it comes from one side"
    if check.sharpness < SHARP:
        return MENDS["blurred"]
    return None


def _sentence(hint: str) -> str:
    return hint[:1].upper() + hint[1:]
