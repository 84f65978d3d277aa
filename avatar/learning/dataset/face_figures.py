"""How the heads of a data set are turned, how far mouths are open, how shut eyes are: histograms that add up."""

from __future__ import annotations

import numpy as np

from avatar.core.arrays import Array
from avatar.face.face_model import face_model
from avatar.face.gaps import gaps
from avatar.face.head_pose import head_pose
from avatar.face.regions import INNER_LIP_PAIRS
from avatar.face.state import BLENDSHAPE_INDEX

YAW = "yaw of the head, degrees (positive: to the picture's right)"
MOUTH = "mouth opening, heights of the face"
BLINK = "blink, score"
EDGES: dict[str, tuple[float, ...]] = {
    YAW: (-90, -60, -45, -30, -20, -10, 0, 10, 20, 30, 45, 60, 90),
    MOUTH: (0, 0.01, 0.02, 0.04, 0.06, 0.08, 0.12, 0.16, 0.24, 0.5),
    BLINK: (0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1),
}

_BLINKS = [BLENDSHAPE_INDEX["eyeBlinkLeft"], BLENDSHAPE_INDEX["eyeBlinkRight"]]


def histograms(landmarks: Array, blendshapes: Array) -> dict[str, list[int]]:
    """Frames per bin of EDGES, of (N, 478, 3) landmarks in [0, 1] and (N, 52) blendshapes.

    Values beyond the edges count in the first or the last bin.
    """
    mean = face_model().mean_shape
    into_head = np.stack([head_pose(face, mean).rotation[:, 2] for face in landmarks])
    height = np.ptp(landmarks[:, :, 1], axis=1)
    values = {
        YAW: np.degrees(np.arctan2(-into_head[:, 0], into_head[:, 2])),
        MOUTH: np.stack([gaps(face, INNER_LIP_PAIRS) for face in landmarks]).max(1) / height,
        BLINK: blendshapes[:, _BLINKS].mean(1),
    }
    return {
        name: np.histogram(np.clip(values[name], edges[0], edges[-1]), edges)[0].tolist()
        for name, edges in EDGES.items()
    }
