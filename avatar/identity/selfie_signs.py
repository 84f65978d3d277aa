"""What a selfie clip should show of a person: how a frame tells that it does, and what to say when none does."""

from __future__ import annotations

import cv2
import numpy as np

from avatar.core.arrays import Array, Picture
from avatar.face.regions import LIPS_INNER
from avatar.face.state import FaceState
from avatar.identity.photo_check import PhotoCheck

TURN_DEG, NOD_DEG = 9.0, 6.0  # from here on a head counts as turned, against its rest

# What a clip should hold: name -> what to do when it is missing
WANTED = {
    "neutral": "look straight at the camera with your mouth closed for a moment",
    "left": "turn your head a little to the left",
    "right": "turn your head a little to the right",
    "up": "raise your chin a little",
    "down": "lower your chin a little",
    "open": "open your mouth wide",
    "teeth": "show your teeth, as when you laugh",
    "smile": "smile",
    "round": "say “oo”",
    "shut": "close your eyes for a moment",
    "aside": "look to the side with your eyes alone",
}
ON_ITS_SIDE, MAX_ROLL_DEG = "on its side", 50.0  # a clip that says nothing of being turned
# What to do about a frame that cannot be used, by PhotoCheck.fault
MENDS = {
    "small": "come nearer to the camera",
    "cut off": "move so that your whole head is in the picture",
    "turned": "turn back towards the camera",
    "bent": "hold your head upright",
    "dark": "turn towards a lamp or a window: your face is too dark",
    "blurred": "hold still: the picture is blurred",
    ON_ITS_SIDE: "turn the camera: the picture lies on its side",
}
NO_FACE = "move in front of the camera: it sees no face"
OTHER_PERSON = "clear your face, and be alone: it looks like somebody else"


def shows(face: FaceState, check: PhotoCheck, teeth: float) -> frozenset[str]:
    """Names of WANTED, but for those that the head's turn tells. teeth: as of `teeth_share`."""
    smile = (face.blendshape("mouthSmileLeft") + face.blendshape("mouthSmileRight")) / 2
    round_lips = max(face.blendshape("mouthPucker"), face.blendshape("mouthFunnel"))
    glance = max(face.blendshape(f"eyeLook{way}{side}") for way in ("In", "Out") for side in ("Left", "Right"))
    frontal = abs(check.yaw_deg) < 12
    signs = {
        "neutral": frontal and check.lips_apart < 0.05 and check.blink < 0.35 and smile < 0.4,
        "open": check.lips_apart > 0.3, "teeth": teeth > 0.25, "smile": smile > 0.4, "round": round_lips > 0.45,
        "shut": check.blink > 0.55, "aside": frontal and glance > 0.45,
    }  # fmt: skip
    return frozenset(name for name, true in signs.items() if true)


def turned(turn: Array) -> frozenset[str]:
    """Names of WANTED, by a (3,) `turn`: yaw, pitch and roll against the person's rest, in degrees."""
    yaw, pitch, _ = turn
    # the picture's right is the person's left
    signs = {"left": yaw > TURN_DEG, "right": yaw < -TURN_DEG, "up": pitch > NOD_DEG, "down": pitch < -NOD_DEG}
    return frozenset(name for name, true in signs.items() if true)


def teeth_share(rgb: Picture, landmarks: Array) -> float:
    """Share of what lies between the lips that is bright and without colour; 0 where they are nearly closed.

    landmarks: (478, 3) in pixels of the (H, W, 3) picture.
    """
    lips = landmarks[list(LIPS_INNER), :2]
    width = float(np.linalg.norm(landmarks[61, :2] - landmarks[291, :2]))
    low = np.maximum(np.floor(lips.min(0)).astype(int), 0)
    part = rgb[low[1] : int(lips[:, 1].max()) + 2, low[0] : int(lips[:, 0].max()) + 2]
    mask = np.zeros(part.shape[:2], np.uint8)
    if mask.size == 0:
        return 0.0
    cv2.fillPoly(mask, [np.rint(lips - low).astype(np.int32)], 1)
    between = part[mask.astype(bool)].astype(np.float32)
    if len(between) < 0.03 * width**2:
        return 0.0
    value, least = between.max(1), between.min(1)
    cheeks = np.clip(landmarks[[50, 280], :2].astype(int), 0, np.array(rgb.shape[1::-1]) - 1)
    skin = float(rgb[cheeks[:, 1], cheeks[:, 0]].max(1).mean())
    return float(np.mean((least > 0.57 * value) & (value > 0.55 * skin)))
