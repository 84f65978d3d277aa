"""Is a shot of the webcam good enough to enrol from, and what should the person do next?

What is said while the person moves and what is said of the shot that was taken come from one judge, `_trouble`.
"""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from avatar.core.arrays import Array, Picture
from avatar.core.errors import InputError, UsageError
from avatar.face.crop import face_crop
from avatar.face.state import FaceState
from avatar.identity.face_identity import FaceIdentity, open_face_identity
from avatar.identity.photo_check import (
    CLOSED_BLINK,
    GLARE_LUMA,
    GOOD_FACE_PX,
    GOOD_IMBALANCE,
    GOOD_LUMA,
    GOOD_SHARPNESS,
    MAX_FACES,
    CheckedPhoto,
    PhotoCheck,
    check_face,
    check_photo,
)
from avatar.identity.same_person import describe
from avatar.identity.selfie_signs import MENDS, NO_FACE
from avatar.tracking.caged_tracker import CagedTracker

MOST_SHOT_PIXELS = 4_000_000  # of a webcam's picture
REST_S = 60.0  # after which an open tracker only takes memory
SHARP = GOOD_SHARPNESS / 4  # of a webcam, whose own noise filter takes the rest
TURN_DEG, MOST_TURN_DEG = 12.0, 38.0
RAISED_DEG, MOST_RAISED_DEG = 7.0, 25.0
STRAIGHT_YAW_DEG, STRAIGHT_PITCH_DEG = 12.0, 18.0
SMILE, OPEN = 0.35, 0.25  # blendshape scores

Box = tuple[float, float, float, float]  # left, top, width and height in [0, 1] of the picture


@dataclass(frozen=True, slots=True)
class Pose:
    """One shot of the guided capture. `say`: what the person should do."""

    name: str
    say: str
    reached: Callable[[PhotoCheck, FaceState], bool]  # by angles against those of the shot that looks straight


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong with a picture of the webcam: what to do about it now, and what is said of the shot."""

    mend: str
    verdict: str


@dataclass(frozen=True, slots=True)
class Photo:
    """What became of one photo. `reason`: why it cannot be used, and what to do. face: None where it is not known.

    descriptor: (128,) of the face, which stays in this process; None where the photo cannot be used.
    """

    reason: str | None
    warnings: tuple[str, ...] = ()
    score: float = 0.0
    face: Box | None = None
    number: int = 0  # by which the page knows it
    descriptor: Array | None = field(default=None, compare=False, repr=False)

    def told(self) -> dict[str, Any]:
        """For the page."""
        return {name: value for name, value in asdict(self).items() if name != "descriptor"}


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
        Pose("up", "Raise your chin a little", lambda check, _: RAISED_DEG < check.pitch_deg < MOST_RAISED_DEG),
        Pose("smile", "Look at the camera and smile", _smiles),
        Pose("open", "Open your mouth, as in “ah”", lambda check, _: check.jaw_open > OPEN),
    )
}


class ShotChecker:
    """Opens a face tracker, and the network that compares faces, when it is asked; `rest` closes them until it is asked
    again. From any thread.
    """

    def __init__(self, tracker_model: Callable[[], Path]) -> None:
        self._tracker_model = tracker_model
        self._tracker: CagedTracker | None = None
        self._identity: FaceIdentity | None = None
        self._asked_s = 0.0
        self._lock = threading.Lock()

    def photo(self, rgb: Picture, pose: Pose | None = None) -> Photo:
        """All that `enroll` will look at. pose: it is a shot of the webcam, which is judged as `shot` does."""
        with self._lock:
            checked = check_photo(rgb, self._open())
            descriptor = self._describe(checked)
        check = checked.check
        warnings = check.warnings
        if pose is not None and check.refusal is None:
            trouble = _trouble(check, checked.face)
            warnings = (trouble.verdict,) if trouble else ()
        upright = checked.crop is not None and check.turned_deg == 0
        face = _box(checked.face, checked.rgb) if upright else None
        return Photo(check.refusal, warnings, check.score, face, descriptor=descriptor)

    def shot(self, rgb: Picture, pose: Pose, rest_deg: tuple[float, float] = (0.0, 0.0)) -> dict[str, Any]:
        """`good`: take it now. `say`: what to do next. `face`: left, top, width and height in [0, 1] of the picture.

        rest_deg: yaw and pitch of the head when it looked straight: cameras stand to a side, or below.
        """
        with self._lock:
            face = self._open().track(rgb, 0)
        height, width = rgb.shape[:2]
        if not face.found:
            return {"good": False, "say": _sentence(NO_FACE), "face": None}
        check = check_face(rgb, face, face_crop(face.landmarks, width, height))
        trouble = _trouble(check, face)
        turned = replace(check, yaw_deg=check.yaw_deg - rest_deg[0], pitch_deg=check.pitch_deg - rest_deg[1])
        reached = pose.reached(turned, face)
        return {
            "good": trouble is None and reached,
            "say": _sentence(trouble.mend) if trouble else "Hold still" if reached else pose.say,
            "face": _box(face, rgb),
            "light": _light_trouble(check) is None,
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
            opened = (self._tracker, self._identity)
            self._tracker = self._identity = None
        for one in opened:
            if one is not None:
                one.close()

    def _open(self) -> CagedTracker:
        self._asked_s = time.monotonic()
        if self._tracker is None:
            self._tracker = CagedTracker(self._tracker_model(), "image", MAX_FACES, say=lambda line: None, patient=True)
        return self._tracker

    def _describe(self, checked: CheckedPhoto) -> Array | None:
        """As `enroll` describes it: from the portrait that is cut out of the photo."""
        if checked.crop is None or checked.check.refusal is not None:
            return None
        if self._identity is None:
            self._identity = open_face_identity()
        portrait, landmarks = checked.crop.cut(checked.rgb), checked.crop.normalise(checked.face.landmarks)
        return np.asarray(describe(self._identity, portrait[None], landmarks[None])[0], np.float32)


def pose_of(name: str) -> Pose:
    """Raises UsageError."""
    if name not in POSES:
        raise UsageError(f"pose is one of {', '.join(POSES)}.")
    return POSES[name]


def rest_of(query: Mapping[str, str]) -> tuple[float, float]:
    """Yaw and pitch of the head when it looked straight, in degrees; 0 where they are not told. Raises UsageError."""
    try:
        yaw_deg, pitch_deg = (float(query.get(angle, "0")) for angle in ("yaw", "pitch"))
    except ValueError:
        raise UsageError("yaw and pitch are degrees.") from None
    if not (abs(yaw_deg) <= 90 and abs(pitch_deg) <= 90):  # nor NaN
        raise UsageError("yaw and pitch are degrees.")
    return yaw_deg, pitch_deg


def decode_shot(data: bytes) -> Picture:
    """(H, W, 3) of a JPEG as the page's webcam gives it. Raises InputError for anything else."""
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
            if image.width * image.height > MOST_SHOT_PIXELS:
                raise InputError(f"The shot has {image.width} x {image.height} pixels, more than a webcam's.")
            return np.asarray(image.convert("RGB"), np.uint8)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError("The shot is no JPEG picture. Reload the page and try again.") from error


def _trouble(check: PhotoCheck, face: FaceState) -> Trouble | None:
    if check.fault is not None:
        return Trouble(MENDS.get(check.fault, "look at the camera"), check.refusal or "")
    found = [
        (face.faces > 1, Trouble("be alone in the picture", "somebody else is in it")),
        (check.face_px < GOOD_FACE_PX, Trouble(MENDS["small"], "the face is small: it will look soft")),
    ]
    blurred = Trouble(MENDS["blurred"], "not quite sharp") if check.sharpness < SHARP else None
    return next((trouble for is_so, trouble in found if is_so), _light_trouble(check) or blurred)


def _light_trouble(check: PhotoCheck) -> Trouble | None:
    if check.luma < GOOD_LUMA:
        return Trouble(MENDS["dark"], "the face is dark")
    if check.luma > GLARE_LUMA:
        return Trouble("move away from the light: your face is too bright", "the face is too bright")
    if abs(check.imbalance) > 1.5 * GOOD_IMBALANCE:
        return Trouble("turn towards the light: it comes from one side", "the light comes from one side")
    return None


def _box(face: FaceState, rgb: Picture) -> Box:
    height, width = rgb.shape[:2]
    points = face.landmarks[:, :2] / (width, height)
    (left, top), (right, bottom) = points.min(0), points.max(0)
    left, top, wide, high = (round(float(value), 4) for value in (left, top, right - left, bottom - top))
    return left, top, wide, high


def _sentence(hint: str) -> str:
    return hint[:1].upper() + hint[1:]
