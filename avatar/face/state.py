"""What the tracker knows of one frame: numbers only, never a picture."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from avatar.core.arrays import Array, Picture

LANDMARK_COUNT = 478  # MediaPipe face mesh: 468 points of the mesh and 5 for each iris
DESCRIPTOR_SIZE = 128  # of the network that `face_descriptor` prepares faces for
BLENDSHAPE_NAMES = (
    "_neutral", "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight", "cheekPuff",
    "cheekSquintLeft", "cheekSquintRight", "eyeBlinkLeft", "eyeBlinkRight", "eyeLookDownLeft", "eyeLookDownRight",
    "eyeLookInLeft", "eyeLookInRight", "eyeLookOutLeft", "eyeLookOutRight", "eyeLookUpLeft", "eyeLookUpRight",
    "eyeSquintLeft", "eyeSquintRight", "eyeWideLeft", "eyeWideRight", "jawForward", "jawLeft", "jawOpen", "jawRight",
    "mouthClose", "mouthDimpleLeft", "mouthDimpleRight", "mouthFrownLeft", "mouthFrownRight", "mouthFunnel",
    "mouthLeft", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthPressLeft", "mouthPressRight", "mouthPucker",
    "mouthRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthSmileLeft",
    "mouthSmileRight", "mouthStretchLeft", "mouthStretchRight", "mouthUpperUpLeft", "mouthUpperUpRight",
    "noseSneerLeft", "noseSneerRight",
)  # fmt: skip
BLENDSHAPE_INDEX = {name: i for i, name in enumerate(BLENDSHAPE_NAMES)}


@dataclass(frozen=True, slots=True)
class FaceState:
    """One tracked face, or the honest statement that there is none (`found` is False and the arrays are empty).

    Landmarks are x right and y down in pixels of the frame, z towards the back of the head in the same scale.
    `pose` maps the canonical face (centimetres) into the camera (x right, y up, z towards the viewer).
    """

    landmarks: Array  # (478, 3), or (0, 3) without a face
    blendshapes: Array  # (52,) scores in [0, 1], or (0,)
    pose: Array  # (4, 4), or (0, 0)
    confidence: float  # in [0, 1]; 0 without a face
    capture_ns: int
    faces: int = 1  # how many faces were seen; the largest one is described
    frame_px: int = 0  # longer side of the frame; 0 where it is not known. Cameras change it while they run
    covered: float = 0.0  # share in [0, 1] of eyes, nose and mouth that something hides
    descriptor: Array | None = None  # (128,) of `face_descriptor`, in the few frames where the face was described

    @property
    def found(self) -> bool:
        return len(self.landmarks) == LANDMARK_COUNT

    def blendshape(self, name: str) -> float:
        """Score in [0, 1] of one ARKit blendshape by name, 0.0 without a face."""
        return float(self.blendshapes[BLENDSHAPE_INDEX[name]]) if self.found else 0.0


def no_face(capture_ns: int, faces: int = 0) -> FaceState:
    """The value for 'nobody is there'."""
    empty = np.zeros
    return FaceState(empty((0, 3), np.float32), empty(0, np.float32), empty((0, 0), np.float32), 0.0, capture_ns, faces)


class Tracker(Protocol):
    """What finds a face in a picture: `CagedTracker`, and recordings of tests."""

    def track(self, rgb: Picture, capture_ns: int) -> FaceState:
        """Find the face in an (H, W, 3) picture."""
        ...
