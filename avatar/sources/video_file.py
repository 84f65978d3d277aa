"""A video file as a row of Frames, with the times that the file states."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from avatar.core.errors import InputError
from avatar.core.frame import Frame
from avatar.sources.media import NOT_A_VIDEO, Timeline, open_media, video_stream
from avatar.sources.shown_picture import ShownPictures

LAST_FRAME_S = 0.5  # how long the last frame of a whole Matroska file may be shown
MAX_FPS = 240.0  # a higher rate is a clock's, not a camera's
NO_RATE_FPS = 25.0


@dataclass(frozen=True, slots=True)
class Shown:
    """A decoded picture: when it is shown, and `rgb` to make (H, W, 3) of it."""

    number: int
    media_s: float
    rgb: Callable[[], NDArray[np.uint8]]


class VideoFile:
    """The pictures of a file's first video stream as a player shows them (see `shown_picture`), in that order.

    Iterate as often as wanted: each iteration decodes afresh. `Frame.media_s` is the file's own presentation time, also
    where the frame rate varies; `capture_ns` is the moment of decoding. A cut-off file gives what is there; afterwards
    `damage` says so in one sentence. `width`, `height`, `fps`, `duration_s`, `has_audio`: what there is to expect.
    Raises InputError, naming the file, where nothing can be shown.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damage: str | None = None
        self.turned_deg = 0
        self.first_media_s = 0.0
        with open_media(path) as container:
            stream = video_stream(container)
            self.time_base: Fraction = stream.time_base or Fraction(1, 90_000)
            rate = float(stream.average_rate or stream.guessed_rate or 0)
            self.fps = rate if 0 < rate <= MAX_FPS else NO_RATE_FPS
            self.declared_count, self._declared_bytes = _declared(container, stream)
            self.has_audio = bool(container.streams.audio)
            self.duration_s = float(container.duration or 0) / av.time_base
            self._declared_end_s = _seconds(stream.metadata.get("DURATION", ""))
        first = next(iter(self))
        self.width, self.height = first.width, first.height
        self.first_media_s = first.media_s
        self.damage = None

    @property
    def expected_count(self) -> int:
        """How many frames to expect: what the container declares, else duration times rate. For progress only."""
        return self.declared_count or round(self.duration_s * self.fps)

    def turn(self, clockwise_deg: int) -> None:
        """From now on, show it turned by 0, 90, 180 or 270 degrees more than the file says."""
        if (clockwise_deg - self.turned_deg) % 180:
            self.width, self.height = self.height, self.width
        self.turned_deg = clockwise_deg

    def __iter__(self) -> Iterator[Frame]:
        for shown in self.shown():
            yield Frame(shown.rgb(), time.monotonic_ns(), shown.number, shown.media_s)

    def shown(self, start_s: float = 0.0) -> Iterator[Shown]:
        """The pictures, each made only when it is asked for, from the last key frame before `start_s` on.

        Seconds count from the first picture, and only a file that carries times can be entered later: else InputError.
        """
        self.damage = None
        number, media_s = 0, 0.0
        pictures = ShownPictures(self.turned_deg)
        with open_media(self.path) as container:
            stream = video_stream(container)
            pixel_aspect, timeline = _PixelAspect(stream), Timeline(container, 1 / self.fps)
            if start_s > 0:
                container.seek(int((start_s + self.first_media_s) * av.time_base), backward=True)
            try:
                for picture in container.decode(stream):
                    if start_s > 0 and picture.time is None:
                        raise InputError(f"{self.path} carries no times, so it cannot be taken in parts. Remux it.")
                    media_s = timeline.place(number / self.fps if picture.time is None else float(picture.time))
                    yield Shown(number, media_s, partial(pictures.rgb, picture, pixel_aspect.of(picture)))
                    number += 1
            except av.error.FFmpegError as error:
                if number == 0:
                    raise InputError(
                        f"{self.path}: no picture of it can be decoded ({error.strerror}). {NOT_A_VIDEO}"
                    ) from error
                after = f"after {start_s:.0f} s" if start_s > 0 else f"after frame {number}"
                self.damage = f"{self.path} is damaged {after} ({error.strerror}); used what was readable."
        if number == 0 and start_s == 0:
            raise InputError(f"{self.path} holds no picture: it is empty or cut off. Record or copy it again.")
        if self.damage is None and start_s == 0:
            self.damage = self._cut_off(number, media_s)

    def _cut_off(self, count: int, media_s: float) -> str | None:
        """Whether there is less than the file declares, and not because an edit list leaves it out."""
        if self._declared_bytes is not None:
            short = self._declared_bytes > self.path.stat().st_size
        else:
            # by the time of the last frame, as some containers count frames that are none; and one frame of slack, as
            # some count one that only flushing would show
            short = round((media_s - self.first_media_s) * self.fps) + 1 < self.declared_count - 1
        if short:
            return f"{self.path} is cut off: used the {count} frames there are of {self.declared_count}."
        if not self.declared_count and media_s < self._declared_end_s - LAST_FRAME_S:
            return f"{self.path} is cut off: it ends after {media_s:.1f} of {self._declared_end_s:.1f} seconds."
        return None


class _PixelAspect:
    """The shape of a stream's pixels: the container's word before the codec's, until the codec says something new.

    It does so with a key frame, and the decoder knows of it some frames before it hands that out.
    """

    def __init__(self, stream: VideoStream) -> None:
        self._context = stream.codec_context
        self._first, self._now = self._context.sample_aspect_ratio, stream.sample_aspect_ratio

    def of(self, picture: av.VideoFrame) -> Fraction | None:
        said = self._context.sample_aspect_ratio
        if picture.key_frame and said != self._first:
            self._now = self._first = said
        return self._now


def _declared(container: InputContainer, stream: VideoStream) -> tuple[int, int | None]:
    """(number of frames, 0 where the container does not say; of an MP4, where the last of them ends in the file).

    An MP4's edit list leaves frames out that its tables count: of those that are shown FFmpeg keeps an index.
    """
    if "mp4" not in container.format.name or not stream.frames:
        return int(stream.frames), None
    entries = [entry for entry in stream.index_entries if not entry.is_discard]
    return len(entries), max((entry.pos + entry.size for entry in entries), default=0)


def _seconds(text: str) -> float:
    """Matroska's tag DURATION, "00:01:02.500000000", where a stream's own length stands; 0 for anything else."""
    match = re.fullmatch(r"(\d+):(\d+):(\d+\.\d+)", text)
    return int(match[1]) * 3600 + int(match[2]) * 60 + float(match[3]) if match else 0.0
