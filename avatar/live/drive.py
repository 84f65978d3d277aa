"""File to file: every frame of a driver's video becomes one frame of the avatar's, with its time and the sound."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from avatar.errors import UsageError
from avatar.frame import Frame
from avatar.identity.avatar import Avatar
from avatar.identity.crop import face_crop
from avatar.live.latency import LatencyRecorder, StageLatency
from avatar.live.renderer import Renderer
from avatar.publish.video_writer import VideoWriter, check_output
from avatar.retarget.retargeter import Retargeter
from avatar.sources.video_file import VideoFile
from avatar.tracking.face_landmarker import FaceTracker
from engines.engine import Engine

# (driver's frame, the avatar's square picture) -> the picture to write: (H, W, 3) RGB, even sides, one size throughout
Compose = Callable[[Frame, NDArray[np.uint8]], NDArray[np.uint8]]
STAGES = ("decode", "track", "retarget", "render", "compose", "encode", "whole frame")


@dataclass(frozen=True, slots=True)
class DriveReport:
    """What came of it."""

    output: Path
    frames_in: int
    frames_out: int
    faceless: int  # frames without a face, where the avatar idles
    media_s: float  # from the first to the last frame
    latency: dict[str, StageLatency]
    notes: tuple[str, ...]  # a damaged input, no face at all, sound that could not be kept


def only_avatar(_driver: Frame, square: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The default composition. No pixel of the driver is in it."""
    return square


def drive_file(
    avatar: Avatar,
    engine: Engine,
    tracker_model: Path,
    source: Path,
    output: Path,
    *,
    mode: Literal["relative", "absolute"] = "relative",
    compose: Compose = only_avatar,
    size_px: int = 512,
    force: bool = False,
    progress: Callable[[int, int], None] = lambda done, expected: None,
) -> DriveReport:
    """Animate `avatar` by the person in `source` and write H.264 to `output` (.mp4, .mov or .mkv).

    As many frames as the source has, at the source's times (a variable rate stays variable); its first audio stream is
    copied. Where no face is found the avatar idles, and the frame is counted. `progress` gets (done, expected).
    The output appears when it is whole. Raises InputError for the source, UsageError for the output.
    """
    check_output(output)
    if output.exists() and not force:
        raise UsageError(f"{output} exists. Add --force to replace it, or name another file.")
    if output.resolve() == source.resolve():
        raise UsageError(f"{output} is the input itself. Name another output.")
    video = VideoFile(source)
    retargeter = Retargeter(avatar, mode)
    renderer = Renderer(avatar, engine, size_px)
    latency = LatencyRecorder(STAGES)
    writer: VideoWriter | None = None
    frames = faceless = 0
    first_s = last_s = 0.0
    try:
        with FaceTracker(tracker_model, "video") as tracker:
            pictures = iter(video)
            while True:
                with latency.time("whole frame"):
                    with latency.time("decode"):
                        frame = next(pictures, None)
                    if frame is None:
                        break
                    media_ns = round((frame.media_s - video.first_media_s) * 1e9)
                    with latency.time("track"):  # by the file's time: smoothing must not depend on how fast we are
                        state = tracker.track(frame.rgb, media_ns)
                    if retargeter.frame_crop is None and state.found:
                        retargeter.frame_crop = face_crop(state.landmarks, frame.width, frame.height)
                    with latency.time("retarget"):
                        driving = retargeter.drive(state)
                    with latency.time("render"):
                        square = renderer.render(driving)
                    with latency.time("compose"):
                        picture = compose(frame, square)
                    if writer is None:
                        height, width = picture.shape[:2]
                        writer = VideoWriter(output, width, height, video.fps, video.time_base, audio_from=source)
                        first_s = frame.media_s
                    with latency.time("encode"):
                        writer.write(picture, frame.media_s)
                faceless += not state.found
                frames += 1
                last_s = frame.media_s
                progress(frames, max(video.expected_count, frames))
        assert writer is not None  # VideoFile gives at least one frame or raises
        writer.finish()
    except BaseException:
        if writer is not None:
            writer.discard()
        raise
    idle = f"{source} shows no face in any of its {frames} frames: the avatar only idles." if faceless == frames else ""
    notes = tuple(note for note in (video.damage, idle, writer.audio_note) if note)
    return DriveReport(output, frames, frames, faceless, last_s - first_s, latency.table(), notes)
