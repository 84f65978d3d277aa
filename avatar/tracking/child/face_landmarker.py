"""The face tracker: MediaPipe's FaceLandmarker behind FaceState."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from avatar.core.arrays import Array
from avatar.core.closing import Closing
from avatar.core.errors import VisavisError
from avatar.face.state import LANDMARK_COUNT, FaceState, no_face
from avatar.tracking.cage_wire import NO_BOXES
from avatar.tracking.child.face_cover import FaceCover
from avatar.tracking.child.face_describer import FaceDescriber
from avatar.tracking.child.mediapipe_tasks import open_landmarker, picture_of

LOYALTY = 1.6  # by how much a second face must be larger in area to take over


class FaceTracker(Closing):
    """Tracks the largest face of each picture.

    `video` mode is told what came before; `image` mode looks at each picture afresh. With `max_faces` 1 MediaPipe takes
    whichever face it finds first, and smooths it with a lag of its own; knowing of two costs a tenth more time and
    leaves all smoothing to us. `describes`: in a video, every few seconds, says who it is by a descriptor. Not
    thread-safe: one tracker, one thread. Close it: MediaPipe's own finaliser fails at exit.
    """

    def __init__(
        self, model: Path, mode: Literal["video", "image"] = "video", max_faces: int = 2, describes: bool = False
    ) -> None:
        self.others: Array = NO_BOXES  # (N, 2, 2): low and high corners of the last picture's other faces, in pixels
        self._video = mode == "video"
        self._last_ms = 0
        self._last_centre: Array | None = None
        self._size_px = np.ones(2, np.float32)
        self._cover = FaceCover()
        self._describer = FaceDescriber() if describes and self._video else None
        self._landmarker: Any = open_landmarker(model, self._video, max_faces)

    def track(self, rgb: NDArray[np.uint8], capture_ns: int) -> FaceState:
        """Find the face in an (H, W, 3) uint8 picture. In video mode, times must not go back; equal ones are nudged."""
        image, self.others = picture_of(rgb), NO_BOXES
        if self._video:
            self._last_ms = max(capture_ns // 1_000_000, self._last_ms + 1)
            result = self._landmarker.detect_for_video(image, self._last_ms)
        else:
            result = self._landmarker.detect(image)
        if not result.face_landmarks:
            if self._describer is not None:
                self._describer.lost()
            return no_face(capture_ns)
        height, width = rgb.shape[:2]
        before_px, self._size_px = self._size_px, np.array([width, height], np.float32)
        if self._last_centre is not None:
            self._last_centre = self._last_centre * (self._size_px / before_px)  # the camera may change its size
        faces = [_to_pixels(face, width, height) for face in result.face_landmarks]
        largest = self._choose(faces)
        self.others = _boxes(face for number, face in enumerate(faces) if number != largest)
        shapes = result.face_blendshapes[largest]
        face = FaceState(
            landmarks=faces[largest],
            blendshapes=np.array([shape.score for shape in shapes], np.float32),
            pose=np.asarray(result.facial_transformation_matrixes[largest], np.float32),
            confidence=_confidence(faces[largest], width, height),
            capture_ns=capture_ns,
            faces=len(faces),
            frame_px=max(width, height),
            covered=self._cover.share(rgb, faces[largest], capture_ns) if self._video else 0.0,
        )
        if self._describer is None:
            return face
        return replace(face, descriptor=self._describer.descriptor(rgb, face))

    def _choose(self, faces: list[Array]) -> int:
        """The largest face; in a video, the one that was chosen before stays chosen until another is clearly larger."""
        sizes = np.array([np.prod(np.ptp(face[:, :2], axis=0)) for face in faces])
        centres = np.array([face[:, :2].mean(0) for face in faces])
        if self._video and self._last_centre is not None:
            sizes[np.argmin(np.linalg.norm(centres - self._last_centre, axis=1))] *= LOYALTY
        chosen = int(np.argmax(sizes))
        self._last_centre = centres[chosen]
        return chosen

    def close(self) -> None:
        """Release the native tracker. Safe to call twice."""
        if self._landmarker is not None:
            self._landmarker.close()
            self._landmarker = None


def _boxes(faces: Iterable[Array]) -> Array:
    corners = [(face[:, :2].min(axis=0), face[:, :2].max(axis=0)) for face in faces]
    return np.array(corners, np.float32).reshape(-1, 2, 2)


def _to_pixels(face: Any, width: int, height: int) -> Array:
    points = np.array([(p.x, p.y, p.z) for p in face], np.float32)  # z is in units of the picture's width
    if points.shape != (LANDMARK_COUNT, 3):
        raise VisavisError(f"The tracker model gives {len(points)} landmarks instead of {LANDMARK_COUNT}.")
    return points * np.array([width, height, width], np.float32)


def _confidence(landmarks: Array, width: int, height: int) -> float:
    """MediaPipe reports no score in these modes: take the share of the landmarks that lie inside the picture."""
    x, y = landmarks[:, 0], landmarks[:, 1]
    return float(np.mean((x >= 0) & (x < width) & (y >= 0) & (y < height)))
