"""From pictures to recorded motion. Each picture is looked at and forgotten."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from avatar.errors import InputError
from avatar.frame import NoPicture
from avatar.sources.camera import Camera
from avatar.sources.motion import Motion, MotionRecorder
from avatar.tracking.face_landmarker import FaceTracker
from avatar.tracking.face_state import no_face


@dataclass(frozen=True, slots=True)
class Recording:
    """What came of it."""

    motion: Motion
    interrupted: bool


def record_motion(
    camera: Camera,
    tracker: FaceTracker,
    seconds: float | None = None,
    *,
    by_media_time: bool = False,
    progress: Callable[[float], None] = lambda done_s: None,
) -> Recording:
    """Track until the camera ends, `seconds` are over, or Ctrl-C, which keeps what there is.

    `by_media_time` takes a file's own times in place of those at which its frames were read; `tracker` must be in video
    mode. Raises InputError where no face was seen.
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
    return Recording(recorder.motion(*size, fps=camera.fps if by_media_time else None), interrupted)
