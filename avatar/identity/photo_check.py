"""Is a photo fit to enrol a person from, and how good a portrait would it make?"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.core.arrays import Array, Picture
from avatar.face.crop import FACE_SHARE, Crop, face_crop
from avatar.face.face_model import face_model
from avatar.face.gaps import gaps, mouth_width
from avatar.face.head_pose import head_pose
from avatar.face.regions import FACE_OVAL, INNER_LIP_PAIRS
from avatar.face.state import FaceState, Tracker, no_face
from avatar.identity.face_cover import eyes_light, mouth_edge
from avatar.identity.face_search import find_faces, roll_deg, size_px

# Limits set on 500 real portraits (two are refused, for turns of 45° and 46°) and on spoilt copies.
MIN_FACE_PX, GOOD_FACE_PX = 48, 128  # longer side of the landmarks' box
MIN_SHARPNESS, GOOD_SHARPNESS = 0.006, 0.04
MAX_YAW_DEG, GOOD_YAW_DEG = 45.0, 20.0
MAX_PITCH_DEG, GOOD_PITCH_DEG = 40.0, 22.0
GOOD_ROLL_DEG = 25.0
MIN_LUMA, GOOD_LUMA, GLARE_LUMA = 18.0, 45.0, 215.0  # mean over the face, 0 to 255
GOOD_IMBALANCE = 0.30  # |left − right| / (left + right)
GOOD_CLIPPED = 0.25  # share of the face that is pure black or white
CLOSED_BLINK, OPEN_JAW = 0.45, 0.2  # blendshape scores; smiles that show teeth reach 0.15
OPEN_LIPS = 0.3  # 130 portraits reach 0.295, laughing
MIN_INSIDE, GOOD_INSIDE = 0.97, 1.0  # share of the landmarks inside the picture
DARK_EYES, NO_MOUTH = 0.6, 0.035  # see face_cover; the portraits' least were 0.70 and 0.056
SECOND_FACE_SHARE = 0.7  # a second face from this share of the first one's size up makes it unclear who is meant
GOOD_ROOM = 0.75  # of the crop's ideal side that the picture must hold

MAX_FACES = 4  # looked for: enough to notice that a photo shows more than one
NO_FACE, TWO_FACES = "no face", "two faces"  # faults

_CHIP_PX = 128  # the face is measured at the size at which the networks see it
_MIDLINE = (10, 151, 9, 8, 168, 6, 197, 195, 5, 4, 1, 0, 17, 152)


@dataclass(frozen=True, slots=True)
class PhotoCheck:
    """What was measured on one photo. `refusal` says why it cannot be used and what to do; None: it can be."""

    refusal: str | None
    fault: str | None = None  # the refusal in a word or two, the same for all photos: "blurred", "turned", …
    warnings: tuple[str, ...] = ()
    score: float = 0.0  # in [0, 1]; the highest makes the portrait
    face_px: float = 0.0
    sharpness: float = 0.0  # variance of the Laplacian of the face at 128 px and unit contrast
    yaw_deg: float = 0.0  # positive: turned to the picture's right; all angles as they appear in the picture
    pitch_deg: float = 0.0  # positive: looks up
    roll_deg: float = 0.0  # positive: tilted clockwise
    luma: float = 0.0  # mean over the face, 0 to 255
    imbalance: float = 0.0  # in [-1, 1]; positive: the picture's right half of the face is brighter
    clipped: float = 0.0  # share of the face's pixels that are pure black or white
    blink: float = 0.0  # the more closed eye, in [0, 1]
    jaw_open: float = 0.0
    lips_apart: float = 0.0  # in widths of the mouth: also between clenched teeth, where the jaw is shut
    inside: float = 0.0  # share of the landmarks inside the picture
    room: float = 0.0  # side of the crop over the side it should have
    eyes_light: float = 1.0  # see face_cover
    mouth_edge: float = 0.0
    turned_deg: int = 0  # the photo lay on its side and was turned clockwise by this

    @property
    def mouth_hidden(self) -> bool:
        return self.mouth_edge < NO_MOUTH

    @property
    def eyes_hidden(self) -> bool:
        """Never where the mouth is: a white mask makes every eye look dark."""
        return self.eyes_light < DARK_EYES and not self.mouth_hidden


@dataclass(frozen=True, slots=True)
class CheckedPhoto:
    """A check with the upright picture and the face it speaks of."""

    check: PhotoCheck
    rgb: Picture  # (H, W, 3), turned upright
    face: FaceState
    crop: Crop | None  # None without a face


def check_photo(rgb: Picture, tracker: Tracker) -> CheckedPhoto:
    """Find the face of an (H, W, 3) photo and measure it. `tracker`: image mode, max_faces 4 or so.

    A photo lying on its side or head is turned, and small faces are searched in parts of the picture.
    """
    turned, turned_rgb, faces = find_faces(rgb, tracker)
    if not faces:
        refusal = (
            "no human face was found. Use a photo that shows one whole face from the front; if the face is small in "
            "the picture, crop the picture around it or take one from nearer; of a drawing or a statue, use one with "
            "human proportions"
        )
        return CheckedPhoto(PhotoCheck(refusal, NO_FACE), rgb, no_face(0), None)
    face = faces[0]
    height, width = turned_rgb.shape[:2]
    crop = face_crop(face.landmarks, width, height)
    second = size_px(faces[1]) / size_px(face) if len(faces) > 1 else 0.0
    return CheckedPhoto(_judge(turned_rgb, face, crop, second, turned), turned_rgb, face, crop)


def check_face(rgb: Picture, face: FaceState, crop: Crop) -> PhotoCheck:
    """Measure a face that is tracked already, in an upright (H, W, 3) picture."""
    return _judge(rgb, face, crop, 0.0, 0)


def yaw_pitch_deg(face: FaceState) -> tuple[float, float]:
    """Turn of the head as it appears in the picture.

    Taken from the landmarks under weak perspective: the tracker's own pose shifts by 15° with the face's place in a
    wide picture.
    """
    forward = -head_pose(face.landmarks, face_model().mean_shape).rotation[:, 2]  # out of the face; x right, y down
    yaw, pitch = np.arctan2(forward[0], -forward[2]), np.arctan2(-forward[1], -forward[2])
    return float(np.degrees(yaw)), float(np.degrees(pitch))


def lips_apart(face: FaceState) -> float:
    """The widest gap between the inner lips, in widths of the mouth."""
    shape = head_pose(face.landmarks, face_model().mean_shape).remove(face.landmarks)
    return float(gaps(shape, INNER_LIP_PAIRS).max()) / mouth_width(shape)


def _face_chip(rgb: Picture, face: FaceState) -> tuple[Array, Array]:
    """Luma (128, 128) of the face's box turned upright, and the landmarks (478, 2) in it."""
    points = face.landmarks[:, :2].astype(np.float64)
    centre = (points.min(axis=0) + points.max(axis=0)) / 2
    scale = _CHIP_PX / max(size_px(face), 1e-6)
    angle = np.radians(-roll_deg(face))
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    shift = np.full(2, _CHIP_PX / 2) - turn @ centre
    # shrink by area first: warping alone would alias, and aliasing looks sharp
    factor = max(1, int(1 / scale))
    small = cv2.resize(rgb, None, fx=1 / factor, fy=1 / factor, interpolation=cv2.INTER_AREA) if factor > 1 else rgb
    ratio = np.array([rgb.shape[1] / small.shape[1], rgb.shape[0] / small.shape[0]])
    matrix = np.concatenate([turn * ratio, shift[:, None]], axis=1)
    chip = cv2.warpAffine(small, matrix, (_CHIP_PX, _CHIP_PX), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    luma = chip.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    return luma, (points @ turn.T + shift).astype(np.float32)


def _measure(rgb: Picture, face: FaceState, crop: Crop, turned_deg: int) -> PhotoCheck:
    luma, points = _face_chip(rgb, face)
    skin = _filled(points[list(FACE_OVAL)])
    # the half of the face on the picture's right, bounded by the midline and running out of the chip
    side = np.concatenate([points[list(_MIDLINE)], [[4.0 * _CHIP_PX, points[152, 1]], [4.0 * _CHIP_PX, points[10, 1]]]])
    right = _filled(side.astype(np.float32))
    values = luma[skin]
    if values.size == 0:
        values = luma.reshape(-1)
    halves = [luma[skin & half] for half in (~right, right)]
    means = [float(half.mean() if half.size else values.mean()) for half in halves]
    spread = max(float(values.std()), 1.0)
    yaw, pitch = yaw_pitch_deg(face)
    size = size_px(face)
    return PhotoCheck(
        refusal=None,
        face_px=round(size, 1),
        sharpness=round(float(cv2.Laplacian(luma / spread, cv2.CV_32F)[skin].var()) if skin.any() else 0.0, 4),
        yaw_deg=round(yaw, 1),
        pitch_deg=round(pitch, 1),
        roll_deg=round(roll_deg(face), 1),
        luma=round(float(values.mean()), 1),
        imbalance=round((means[1] - means[0]) / max(means[1] + means[0], 1.0), 3),
        clipped=round(float(np.mean((values <= 3) | (values >= 252))), 3),
        blink=round(max(face.blendshape("eyeBlinkLeft"), face.blendshape("eyeBlinkRight")), 3),
        jaw_open=round(face.blendshape("jawOpen"), 3),
        lips_apart=round(lips_apart(face), 3),
        inside=round(face.confidence, 3),
        room=round(min(1.0, crop.side / max(size / FACE_SHARE, 1.0)), 3),
        eyes_light=round(eyes_light(luma, points), 3),
        mouth_edge=round(mouth_edge(luma, points), 3),
        turned_deg=turned_deg,
    )


def _filled(polygon: Array) -> NDArray[np.bool_]:
    mask = np.zeros((_CHIP_PX, _CHIP_PX), np.uint8)
    cv2.fillPoly(mask, [np.rint(np.clip(polygon, -1000, 1000)).astype(np.int32)], 1)
    return mask.astype(bool)


def _judge(rgb: Picture, face: FaceState, crop: Crop, second: float, turned_deg: int) -> PhotoCheck:
    """`second`: size of the second face over the size of this one, 0.0 without a second."""
    check = _measure(rgb, face, crop, turned_deg)
    if refused := _refusal(check, second):
        fault, refusal = refused
        return replace(check, fault=fault, refusal=refusal)
    return replace(check, warnings=tuple(_warnings(check, second)), score=_score(check))


def _refusal(check: PhotoCheck, second: float) -> tuple[str, str] | None:
    """The fault in a word, and the sentence that says what is wrong and what to do."""
    yaw, pitch = abs(check.yaw_deg), abs(check.pitch_deg)
    if second >= SECOND_FACE_SHARE:
        return TWO_FACES, (
            "two faces are about equally large. Crop the picture so that only the person to enrol is in it"
        )
    if check.face_px < MIN_FACE_PX:
        return "small", (
            f"the face is only {check.face_px:.0f} px large, at least {MIN_FACE_PX} are needed ({GOOD_FACE_PX} or more "
            "look good). Take the photo from nearer, or use the original instead of a thumbnail"
        )
    if check.inside < MIN_INSIDE:
        return "cut off", "the face is cut off by the picture's border. Use a photo that shows the whole head"
    if yaw > MAX_YAW_DEG:
        return "turned", (
            f"the head is turned {yaw:.0f}° to the side, at most {MAX_YAW_DEG:.0f}° will do. "
            "Use a photo that looks towards the camera"
        )
    if pitch > MAX_PITCH_DEG:
        return "bent", (
            f"the head is bent {pitch:.0f}° {'up' if check.pitch_deg > 0 else 'down'}, at most {MAX_PITCH_DEG:.0f}° "
            "will do. Use a photo that looks towards the camera"
        )
    if check.luma < MIN_LUMA:
        return "dark", "the face is almost black. Use a photo with light on the face"
    if check.sharpness < MIN_SHARPNESS:
        return "blurred", "the face is blurred. Use a sharp photo: hold still, in good light, and wipe the lens"
    return None


def _warnings(check: PhotoCheck, second: float) -> list[str]:
    doubts = [
        (check.turned_deg != 0, f"the photo lay on its side: it was turned by {check.turned_deg}°"),
        (second > 0, "there are two people in it: the larger face is taken"),
        (check.face_px < GOOD_FACE_PX, f"the face is small ({check.face_px:.0f} px): it will look soft"),
        (check.sharpness < GOOD_SHARPNESS, "the face is not quite sharp"),
        (abs(check.yaw_deg) > GOOD_YAW_DEG, f"the head is turned {abs(check.yaw_deg):.0f}° to the side"),
        (abs(check.pitch_deg) > GOOD_PITCH_DEG, f"the head is bent {abs(check.pitch_deg):.0f}°"),
        (abs(check.roll_deg) > GOOD_ROLL_DEG, f"the head is tilted {abs(check.roll_deg):.0f}°"),
        (check.luma < GOOD_LUMA, "the face is dark"),
        (check.luma > GLARE_LUMA, "the face is overexposed"),
        (check.clipped > GOOD_CLIPPED, f"{check.clipped:.0%} of the face is pure black or white"),
        (abs(check.imbalance) > GOOD_IMBALANCE, "the light comes from one side"),
        (check.eyes_hidden, "dark glasses or a deep shadow hide the eyes, so the avatar's eyes are made up"),
        (check.mouth_hidden, "the mouth seems to be hidden, by a mask or a hand, so the avatar's mouth is made up"),
        (check.blink > CLOSED_BLINK, "the eyes are closed, so their look is made up"),
        (check.jaw_open > OPEN_JAW or check.lips_apart > OPEN_LIPS, "the mouth is open: it cannot close well"),
        (check.inside < GOOD_INSIDE or check.room < GOOD_ROOM, "there is little room around the head"),
    ]  # fmt: skip
    return [text for doubtful, text in doubts if doubtful]


def _score(check: PhotoCheck) -> float:
    """Product of one factor in [0.05, 1] per figure, each 1 where it is good and low where it would be refused."""
    factors = (
        ramp(check.face_px, MIN_FACE_PX / 2, 2 * GOOD_FACE_PX),
        ramp(check.sharpness, 0.0, GOOD_SHARPNESS),
        ramp(-abs(check.yaw_deg), -MAX_YAW_DEG, -5.0),
        ramp(-abs(check.pitch_deg), -MAX_PITCH_DEG, -10.0),
        ramp(-abs(check.roll_deg), -45.0, -10.0),
        ramp(check.luma, 0.0, 65.0),
        ramp(-check.luma, -250.0, -GLARE_LUMA),
        ramp(-abs(check.imbalance), -0.6, -0.1),
        ramp(-check.clipped, -0.6, -0.1),
        ramp(-check.blink, -0.8, -0.35),
        min(ramp(-check.jaw_open, -0.6, -0.08), ramp(-check.lips_apart, -0.8, -0.2)),
        ramp(check.room, 0.5, 1.0),
        0.1 if check.eyes_hidden or check.mouth_hidden else 1.0,
    )
    return round(float(np.prod(factors)), 4)


def ramp(value: float, low: float, high: float) -> float:
    """0.05 up to `low`, then rising evenly to 1 at `high`."""
    return float(np.clip((value - low) / (high - low), 0.05, 1.0))
