"""From pictures to recorded motion. Each picture is looked at and forgotten, and the shape of the face taken out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from avatar.core.avatar import Avatar
from avatar.core.errors import InputError
from avatar.core.frame import NoPicture
from avatar.core.model_files import MODEL_ID
from avatar.face.crop import face_crop
from avatar.face.face_model import face_model
from avatar.face.state import BLENDSHAPE_NAMES, Tracker, no_face
from avatar.retarget.retargeter import Retargeter
from avatar.sources.camera import Camera
from avatar.sources.motion import Motion, MotionRecorder

CALM_FRAMES = 1000  # of which the driver's neutral shape is averaged, spread over the recording


@dataclass(frozen=True, slots=True)
class Recording:
    """What came of it."""

    motion: Motion
    interrupted: bool


def record_motion(
    camera: Camera,
    tracker: Tracker,
    seconds: float | None = None,
    *,
    by_media_time: bool = False,
    progress: Callable[[float], None] = lambda done_s: None,
) -> Recording:
    """Track until the camera ends, `seconds` are over, or Ctrl-C, which keeps what there is.

    What comes back is an average face that moved as the driver's did. `by_media_time` takes a file's own times in place
    of those at which its frames were read; `tracker` must be in video mode. Raises InputError where no face was seen.
    """
    recorder = MotionRecorder()
    size: tuple[int, int] | None = None
    start_ns: int | None = None
    interrupted = False
    try:
        while not recorder.full and (frame := camera.read()) is not None:
            if isinstance(frame, NoPicture):
                state = no_face(frame.capture_ns)
            else:
                if by_media_time:
                    frame = replace(frame, capture_ns=round(frame.media_s * 1e9))
                state = tracker.track(frame.rgb, frame.capture_ns)
                size = size or (frame.width, frame.height)
            start_ns = state.capture_ns if start_ns is None else start_ns
            done_s = (state.capture_ns - start_ns) / 1e9
            if seconds is not None and done_s >= seconds:
                break
            recorder.add(state)
            progress(done_s)
    except KeyboardInterrupt:
        interrupted = True
    if size is None:
        raise InputError(f"{camera.name} gave no picture, so nothing was recorded.")
    motion = recorder.motion(*size, fps=camera.fps if by_media_time else None)
    return Recording(without_face_shape(motion), interrupted)


def without_face_shape(motion: Motion) -> Motion:
    """The same motion on the mean face: the driver's neutral shape, of the whole recording, is replaced by its.

    Done by the code that puts a driver's motion onto an avatar, so what drives avatars stays the same.
    """
    found = [index for index in range(len(motion)) if motion.arrays["found"][index]]
    crop = face_crop(motion[found[0]].landmarks, motion.width, motion.height)
    retargeter = Retargeter(_average_person(), "absolute", crop, smoothing=False)
    retargeter.recalibrate(*(motion[index] for index in found[:: 1 + len(found) // CALM_FRAMES]))
    recorder = MotionRecorder()
    for state in motion.states():
        if state.found:
            landmarks = retargeter.drive(state).landmarks * crop.side
            state = replace(state, landmarks=landmarks + np.array([crop.x, crop.y, 0], np.float32))
        recorder.add(state)
    return recorder.motion(motion.width, motion.height, motion.fps)


def _average_person() -> Avatar:
    """The mean face of the face model, at rest; nothing but its landmarks is used."""
    landmarks = 0.5 + 0.25 * face_model().mean_shape  # inside [0, 1]
    return Avatar(
        "average",
        MODEL_ID,
        np.zeros((1, 0, 0, 3), np.uint8),
        landmarks[None],
        np.zeros((1, len(BLENDSHAPE_NAMES)), np.float32),
        np.zeros(0, np.float32),
    )
