"""What a tracked face does, against its own rest: turned to a side, eyes shut, smiling, mouth open.

Limits set so that no photo shuts its eyes, smiles or opens its mouth however it is moved and tilted, and few look
turned: `docs/LIVENESS.md` has the shares.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from avatar.core.arrays import Array
from avatar.face.regions import RIGID
from avatar.face.state import FaceState
from avatar.identity.photo_check import lips_apart, yaw_pitch_deg

Gesture = Literal["left", "right", "shut", "smile", "open"]

TURNED_DEG, MIDDLE_DEG = 14.0, 7.0  # few photos that are turned by 45° look turned by so much
SHUT, HALF_SHUT = 0.5, 0.4  # eyeBlink
OPEN, CLOSED = 0.25, 0.12  # lips apart, in widths of the mouth
SMILING, BROADER = 0.2, 1.08  # mouthSmile over that at rest, and the mouth's width
STEADY = 1.06  # how much more the rigid points may shrink one way than the other: more, and all of the face tilts
AHEAD_DEG, CALM_SMILE = 20.0, 0.5  # of a rest, at most: cameras stand to a side; mouthSmile


@dataclass(frozen=True, slots=True)
class Signs:
    """How far a face has come in each gesture."""

    landmarks: Array  # (478, 3)
    yaw_deg: float  # positive: to the picture's right, which is the person's left
    shut: float  # eyeBlink of the eye that is shut less, in [0, 1]
    smile: float  # in [0, 1]
    lips_apart: float  # in widths of the mouth

    @classmethod
    def of(cls, face: FaceState) -> Signs:
        return cls(
            face.landmarks,
            yaw_pitch_deg(face)[0],
            min(face.blendshape("eyeBlinkLeft"), face.blendshape("eyeBlinkRight")),
            (face.blendshape("mouthSmileLeft") + face.blendshape("mouthSmileRight")) / 2,
            lips_apart(face),
        )

    @property
    def calm(self) -> bool:
        """May this be a rest? It looks ahead, eyes open and mouth closed."""
        ahead = abs(self.yaw_deg) < AHEAD_DEG and self.smile < CALM_SMILE
        return ahead and self.shut < HALF_SHUT and self.lips_apart < CLOSED


def gestures(now: Signs, rest: Signs) -> frozenset[Gesture]:
    yaw_deg = now.yaw_deg - rest.yaw_deg
    shown: dict[Gesture, bool] = {
        "left": yaw_deg > TURNED_DEG,
        "right": yaw_deg < -TURNED_DEG,
        "shut": now.shut > SHUT,
        "smile": now.smile - rest.smile > SMILING and _broader(now.landmarks, rest.landmarks),
        "open": now.lips_apart - rest.lips_apart > OPEN,
    }
    return frozenset(name for name, true in shown.items() if true)


def in_the_middle(now: Signs, rest: Signs) -> bool:
    """Is the face back where it rests?"""
    near = abs(now.yaw_deg - rest.yaw_deg) < MIDDLE_DEG and now.lips_apart - rest.lips_apart < CLOSED
    return near and now.shut < HALF_SHUT and not gestures(now, rest)


def _broader(now: Array, rest: Array) -> bool:
    """Is the mouth broader than a moved picture of the rest would have it? By (478, 3) landmarks.

    A photo that is tilted looks as if it smiled, to the tracker: but then an affine map of the rigid points takes the
    corners of the mouth along, or squeezes the whole face.
    """
    index = list(RIGID)
    before = np.column_stack([rest[:, :2], np.ones(len(rest))])
    moved, *_ = np.linalg.lstsq(before[index], now[index, :2], rcond=None)  # (3, 2)
    stretch = np.linalg.svd(moved[:2], compute_uv=False)
    if stretch[0] > STEADY * stretch[1]:
        return False
    corners = before[[61, 291]] @ moved
    width = float(np.linalg.norm(now[61, :2] - now[291, :2]))
    return width > BROADER * float(np.linalg.norm(corners[0] - corners[1]))
