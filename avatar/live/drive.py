"""File to file: every frame of a driver's video becomes one frame of the avatar's, with its time and the sound."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np

from avatar.core.arrays import Picture
from avatar.core.avatar import Avatar
from avatar.core.errors import UsageError, VisavisError
from avatar.core.frame import Frame
from avatar.face.crop import face_crop
from avatar.face.state import FaceState
from avatar.identity.clip_turn import turn_upright
from avatar.live.latency import LatencyRecorder, StageLatency
from avatar.live.signing import sign_videos
from avatar.live.sound_track import add_sound
from avatar.live.whose_face import LOCKED, OWN_FACE
from avatar.publish.video_writer import VideoWriter, check_output
from avatar.render.painter import Painter, open_painter
from avatar.retarget.retargeter import ExpressionMode, Mode, Retargeter
from avatar.sources.motion import MOTION_SUFFIX, Motion, read_motion
from avatar.sources.video_file import VideoFile
from avatar.tracking.caged_tracker import CagedTracker
from avatar.trust.embedding import Marker
from avatar.trust.label import Label, LabelStyle
from avatar.trust.left_out import about, record_left_out
from avatar.trust.mark_message import MarkMessage
from engines.engine import Engine

# (driver's frame, the avatar's labelled and marked square picture) -> the picture to write: (H, W, 3) RGB, even sides,
# one size throughout. Of recorded motion there is no picture: its frame is black.
Compose = Callable[[Frame, Picture], Picture]
STAGES = ("decode", "track", "retarget", "render", "mark", "compose", "encode", "whole frame")
MOTION_TIMES = Fraction(1, 90_000)  # s; of a file that is written from recorded motion


@dataclass(frozen=True, slots=True)
class DriveReport:
    """What came of it."""

    output: Path
    frames_in: int
    frames_out: int
    faceless: int  # frames without a face, where the avatar idles
    media_s: float  # from the first to the last frame
    latency: dict[str, StageLatency]
    notes: tuple[str, ...]  # a turned or damaged input, no face at all, sound that could not be kept as it was


Moments = Generator[tuple[Frame, FaceState]]


def only_avatar(_driver: Frame, square: Picture) -> Picture:
    """The default composition. No pixel of the driver is in it."""
    return square


@dataclass(frozen=True, slots=True)
class DriveOptions:
    """How the written video is made. `unlocked`: whoever it is may drive. `force` replaces the output if it exists."""

    mode: Mode = "relative"
    expression: ExpressionMode = "auto"
    unlocked: bool = False
    size_px: int = 512
    force: bool = False
    compose: Compose = only_avatar
    label: LabelStyle = field(default_factory=LabelStyle)
    sign_with: Path | None = None


@dataclass(frozen=True, slots=True)
class Drive:
    """What is read, and what is written of it. `open` checks both before anything slow is begun."""

    source: Path
    driver: VideoFile | Motion
    output: Path
    options: DriveOptions

    @classmethod
    def open(cls, source: Path, output: Path, options: DriveOptions | None = None) -> Drive:
        """source: a video, or a .motion file of `record-motion`. output: .mp4, .mov or .mkv.

        Raises InputError for the source, UsageError for the output.
        """
        options = options or DriveOptions()
        check_output(output)
        if output.exists() and not options.force:
            raise UsageError(f"{output} exists. Add --force to replace it, or name another file.")
        if output.resolve() == source.resolve():
            raise UsageError(f"{output} is the input itself. Name another output.")
        motion = source.suffix.lower() == MOTION_SUFFIX
        return cls(source, read_motion(source) if motion else VideoFile(source), output, options)


def drive_file(
    avatar: Avatar,
    engine: Engine,
    tracker_model: Path,
    drive: Drive,
    progress: Callable[[int, int], None] = lambda done, expected: None,
) -> DriveReport:
    """Animate `avatar` by the person in the source and write H.264 to the output.

    As many frames as the source has, at its times (a variable rate stays variable), with the video's first sound: see
    `add_sound`; recorded motion has none. Where no face is found the avatar idles, and the frame is counted.
    `progress` gets (done, expected).
    The output appears when it is whole; after a failure on the way, what was drawn by then does.
    Raises InputError for the source, UsageError for the output.
    """
    driver, options = drive.driver, drive.options
    latency = LatencyRecorder(STAGES)
    video = driver if isinstance(driver, VideoFile) else None
    turned = turn_upright(video, tracker_model) if video else None
    if isinstance(driver, VideoFile):
        expected, moments = driver.expected_count, _tracked(driver, tracker_model, latency)
    else:
        expected, moments = len(driver), _recorded(driver)
    retargeter = Retargeter(avatar, options.mode)
    retargeter.expression = options.expression
    if options.unlocked:
        retargeter.unlock()
    painter = open_painter(avatar, engine, options.size_px, patient=True)
    marker = Marker(MarkMessage.of(avatar), options.size_px, options.size_px)
    pen = _Pen(painter, Label(options.label), marker, options.compose)
    pictures = _drawn(moments, retargeter, pen, latency)
    unlabelled = record_left_out(avatar.name, options.label)
    frames = faceless = 0
    first_s = last_s = 0.0
    with _output(drive, latency) as output, closing(pictures):
        while True:
            with latency.time("whole frame"):
                drawn = next(pictures, None)
                if drawn is None:
                    break
                output.write(drawn.picture, drawn.frame.media_s)
            last_s = drawn.frame.media_s
            first_s = last_s if frames == 0 else first_s
            faceless += not drawn.state.found
            frames += 1
            progress(frames, max(expected, frames))
    source, written = drive.source, output.path
    idle = f"{source} shows no face in any of its {frames} frames: the avatar only idles." if faceless == frames else ""
    taken = (
        f"{drive.output} was written by somebody else meanwhile: this is {written}." if written != drive.output else ""
    )
    own = OWN_FACE.format(name=avatar.name) if retargeter.whose == "own" and retargeter.absolute else ""
    locked = LOCKED.format(name=avatar.name) if retargeter.locked else ""
    sound = add_sound(written, source if video and video.has_audio else None)
    unsigned = sign_videos([written], avatar, marker.message, options.sign_with)
    notes = tuple(
        note
        for note in (turned, video and video.damage, idle, own, locked, unlabelled, sound, *unsigned, taken)
        if note
    )
    return DriveReport(written, frames, frames, faceless, last_s - first_s, latency.table(), notes)


@dataclass(frozen=True, slots=True)
class _Drawn:
    """One frame of the driver's, and the picture to write for it."""

    frame: Frame
    state: FaceState
    picture: Picture


@dataclass(frozen=True, slots=True)
class _Pen:
    """What makes a picture of what drives it."""

    painter: Painter
    label: Label
    marker: Marker
    compose: Compose


def _drawn(moments: Moments, retargeter: Retargeter, pen: _Pen, latency: LatencyRecorder) -> Generator[_Drawn]:
    with closing(moments):
        for frame, state in moments:
            if retargeter.frame_crop is None and state.found:
                retargeter.frame_crop = face_crop(state.landmarks, frame.width, frame.height)
            with latency.time("retarget"):
                driving = retargeter.drive(state)
            with latency.time("render"):
                square = pen.painter.render(driving)
            with latency.time("mark"):
                pen.label.draw(square)
                square = pen.marker.mark(square)
            with latency.time("compose"):
                picture = pen.compose(frame, square)
            yield _Drawn(frame, state, picture)


class _Output:
    """The video to write. Its file is begun with the first picture, whose size it takes."""

    def __init__(self, drive: Drive, latency: LatencyRecorder) -> None:
        self._drive, self._latency = drive, latency
        self.writer: VideoWriter | None = None

    @property
    def path(self) -> Path:
        """Where it came to stand."""
        return self._drive.output if self.writer is None else self.writer.path

    def write(self, picture: Picture, media_s: float) -> None:
        if self.writer is None:
            self.writer = self._begun(picture)
        with self._latency.time("encode"):
            self.writer.write(picture, media_s)

    def _begun(self, picture: Picture) -> VideoWriter:
        driver, (height, width) = self._drive.driver, picture.shape[:2]
        time_base = driver.time_base if isinstance(driver, VideoFile) else MOTION_TIMES
        replaced: Literal["any"] | None = "any" if self._drive.options.force else None
        writer = VideoWriter(self._drive.output, width, height, driver.fps, time_base, expected=replaced)
        writer.describe(about(self._drive.options.label))
        return writer


@contextmanager
def _output(drive: Drive, latency: LatencyRecorder) -> Iterator[_Output]:
    """Whole at the end; after a failure on the way, as far as it was drawn; after anything else, not there."""
    output = _Output(drive, latency)
    try:
        yield output
        assert output.writer is not None  # VideoFile gives at least one frame or raises
        output.writer.finish()
    except VisavisError as error:
        if output.writer is None or not (kept_s := output.writer.salvage()):
            raise
        raise type(error)(f"{error} What was drawn before that is kept: {kept_s:.1f} s.") from error
    except BaseException:
        if output.writer is not None:
            output.writer.discard()
        raise


def _tracked(video: VideoFile, tracker_model: Path, latency: LatencyRecorder) -> Moments:
    with CagedTracker(tracker_model, "video", patient=True, describes=True) as tracker:
        pictures = iter(video)
        while True:
            with latency.time("decode"):
                frame = next(pictures, None)
            if frame is None:
                return
            media_ns = round((frame.media_s - video.first_media_s) * 1e9)
            with latency.time("track"):  # by the file's time: smoothing must not depend on how fast we are
                state = tracker.track(frame.rgb, media_ns)
            yield frame, state


def _recorded(motion: Motion) -> Moments:
    black = np.zeros((motion.height, motion.width, 3), np.uint8)
    for index, state in enumerate(motion.states()):
        yield Frame(black, state.capture_ns, index, state.capture_ns / 1e9), state
