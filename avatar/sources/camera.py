"""Where live frames come from: a webcam, a camera in the network, or a file that plays as if it were one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from avatar.core.errors import InputError, UsageError
from avatar.core.frame import Frame, NoPicture
from avatar.sources.local_cameras import LinuxCamera, cameras_there, find_webcam
from avatar.sources.motion import MOTION_SUFFIX, MotionPlayer, read_motion
from avatar.sources.network_camera import NetworkCamera, is_address
from avatar.sources.playback import Playback
from avatar.sources.video_file import VideoFile
from avatar.sources.webcam import Webcam
from engines import Say, on_stderr


class Camera(Protocol):
    """Gives frames in real time. One thread reads; `close` may come from another."""

    @property
    def name(self) -> str: ...

    @property
    def fps(self) -> float:
        """Frames per second: what a webcam really gives, as far as it was measured yet; what a file states."""
        ...

    @property
    def dropped(self) -> int:
        """How many frames were due but never handed out."""
        ...

    def read(self) -> Frame | NoPicture | None:
        """Wait for the next frame. `capture_ns` always grows.

        NoPicture, ten times a second, while a webcam is away: keep reading, it may come back. None: it has ended.
        """
        ...

    def close(self) -> None: ...


CameraOrMotion = Camera | MotionPlayer  # what a driver is seen by, or was


def by_whip(spec: str) -> bool:
    """Whether `spec` is "whip" or "whip:8080": a program sends its picture here. See avatar.webrtc.whip_camera."""
    return spec.partition(":")[0] == "whip"


def open_camera(spec: str, loop: bool = False, *, real_time: bool = True, say: Say = on_stderr) -> Camera:
    """`spec` is a webcam's number ("0"), part of its name ("c920"), its path or a link to it, a network camera's
    address, or a video file.

    A file plays in real time, or, without `real_time`, waits for its reader and loses no frame; `loop` starts it over
    at its end. `say` gets one line, from any thread, when a camera is lost, is back, or shows only black.
    Raises DeviceError, InputError or UsageError, which say what to do.
    """
    if is_address(spec):
        return Webcam(NetworkCamera(spec), say)
    if spec.lower().endswith(MOTION_SUFFIX):
        raise UsageError(f"{spec} holds recorded motion, no pictures. Only `live` and `drive` take it.")
    if by_whip(spec):
        raise UsageError(f"--camera {spec}: only `live` and `call` take a source by WHIP.")
    if webcam := find_webcam(spec):
        return Webcam(webcam, say)
    path = Path(spec)
    if not path.is_file():
        raise _no_such(spec)
    return PlayedFile(path, loop, real_time)


def check_camera(spec: str) -> None:
    """Raise what `open_camera_or_motion` would, as far as that is known without opening anything."""
    if is_address(spec) or by_whip(spec):
        return
    if (webcam := find_webcam(spec)) is not None:
        if isinstance(webcam, LinuxCamera):
            webcam.check()
    elif not Path(spec).is_file():
        raise _no_such(spec)


def open_camera_or_motion(
    spec: str, loop: bool = False, *, real_time: bool = True, say: Say = on_stderr
) -> CameraOrMotion:
    """As `open_camera`, and recorded motion too: a MotionPlayer gives FaceStates in place of pictures."""
    if not is_address(spec) and spec.lower().endswith(MOTION_SUFFIX):
        return MotionPlayer(read_motion(Path(spec)), loop, real_time, name=spec)
    return open_camera(spec, loop, real_time=real_time, say=say)


def _no_such(spec: str) -> InputError:
    return InputError(
        f"{spec or 'An empty name'}: no such file. --camera takes a webcam's number (0), part of its name, its path "
        f"(/dev/video0), an address (http://phone:8080/video) or a video. {cameras_there()}"
    )


class PlayedFile:
    """A video file at its own pace: the frame that is due is the one that comes, late readers miss some.

    Without `real_time` every frame comes, as soon as it is asked for.
    """

    def __init__(self, path: Path, loop: bool = False, real_time: bool = True) -> None:
        self.video = VideoFile(path)
        self.name = str(path)
        self.fps = self.video.fps
        self._loop, self._real_time = loop, real_time
        self._playback: Playback[Frame] | None = None  # from the first frame on: until then the video may be turned
        self._frames = self._every_frame(loop)

    @property
    def dropped(self) -> int:
        return self._playback.dropped if self._playback else 0

    def read(self) -> Frame | None:
        if not self._real_time:
            return next(self._frames, None)
        self._playback = self._playback or Playback(self._timed, gap_s=1 / self.fps, endless=self._loop)
        played = self._playback.read()
        return None if played is None else replace(played.item, capture_ns=played.due_ns, index=played.index)

    def close(self) -> None:
        """Nothing is held open but the decoder, which goes with the object."""

    def _timed(self) -> Iterator[tuple[float, Frame]]:
        return ((frame.media_s, frame) for frame in self.video)

    def _every_frame(self, loop: bool) -> Iterator[Frame]:
        index = last_ns = 0
        while True:
            for frame in self.video:
                last_ns = max(last_ns + 1, time.monotonic_ns())
                yield replace(frame, capture_ns=last_ns, index=index)
                index += 1
            if not loop:
                return
