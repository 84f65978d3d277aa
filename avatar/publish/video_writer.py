"""H.264 in a file that appears under its name only when it is whole."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
import numpy as np
from av.container import OutputContainer
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray

from avatar.core.errors import UsageError, VisavisError
from avatar.core.file_name import Expected, check_writable, give_name, under_a_free_name

CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
BT709 = 1  # ITU-T H.273: primaries, transfer and matrix of HD video
FRAGMENT_US = 1_000_000  # what a recording that is cut off may lose
Preset = Literal["ultrafast", "veryfast", "medium"]


@dataclass(frozen=True, slots=True)
class Encoding:
    """How much work H.264 takes, and how good it looks. threads: 0 takes all processors."""

    preset: Preset = "veryfast"
    crf: int = 18
    threads: int = 0


class VideoWriter:
    """Writes pictures with their own times beside `path`, and renames on `finish`: no half-written output.

    NAME.PID.part.mp4 is in sight and in fragments, so that what was written by the time of a power cut plays; `finish`
    makes it a plain file. Where something other than `expected` (see `give_name`) has the name by then, `path` becomes
    NAME-2: nothing that was drawn is lost.
    Raises UsageError for a name or size that cannot be, VisavisError when writing fails.
    """

    def __init__(
        self,
        path: Path,
        width: int,
        height: int,
        fps: float,
        time_base: Fraction = Fraction(1, 90_000),
        encoding: Encoding | None = None,
        expected: Expected = "any",
    ) -> None:
        check_output(path)
        if width % 2 or height % 2:
            raise UsageError(f"{path}: H.264 needs even sides, {width}x{height} is not.")
        self.path, self._expected = path, expected
        self._beside = path.with_name(f"{path.stem}.{os.getpid()}.part{path.suffix}")
        self._time_base, self._last_pts, self._frames = time_base, -(1 << 62), 0
        self._comment = self._begun_with = ""
        try:
            self._beside.open("wb").close()  # FFmpeg would try that with the first packet only, some pictures later
            self._start(width, height, fps, encoding or Encoding())
        except (av.error.FFmpegError, OSError, ValueError) as error:
            self.discard()
            raise self._failure(error) from error
        except BaseException:
            self.discard()
            raise

    def _start(self, width: int, height: int, fps: float, encoding: Encoding) -> None:
        container = CONTAINERS[self.path.suffix.lower()]
        self._container: OutputContainer = av.open(
            str(self._beside), "w", format=container, container_options=_options(container)
        )
        rate = Fraction(fps).limit_denominator(1001)
        options: dict[str, str] = {"preset": encoding.preset, "crf": str(encoding.crf)}
        stream = self._container.add_stream("libx264", rate=rate, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        context = stream.codec_context
        context.thread_count = encoding.threads
        context.time_base = stream.time_base = self._time_base
        context.colorspace = context.color_primaries = context.color_trc = BT709
        context.color_range = ColorRange.MPEG
        self._video = stream  # it starts with the first packet: FFmpeg crashes when it ends fragments of nothing

    def describe(self, comment: str) -> None:
        """What the file says of itself, which players show as its comment. After the first picture, `finish` copies the
        file once more for it.
        """
        self._comment = comment
        if self._frames == 0:
            self._container.metadata["comment"] = self._begun_with = comment

    def write(self, rgb: NDArray[np.uint8], media_s: float) -> None:
        """Append an (H, W, 3) picture that is shown from `media_s` on. Times that do not grow are nudged."""
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24").reformat(
            format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
        )
        pts = max(round(media_s / self._time_base), self._last_pts + 1)
        picture.pts, picture.time_base, self._last_pts = pts, self._time_base, pts
        try:
            self._container.mux(self._video.encode(picture))
        except (av.error.FFmpegError, OSError) as error:
            raise self._failure(error) from error
        self._frames += 1

    def finish(self) -> None:
        """Write what is pending and give the file its name. Without a single picture, leave nothing behind.

        After a failure, see `salvage`.
        """
        if self._frames == 0:
            self.discard()
            return
        try:
            self._container.mux(self._video.encode(None))
            self._container.close()
            if self._comment != self._begun_with:
                self._copy_with_comment()
            self._give_name()
        except (av.error.FFmpegError, OSError) as error:
            raise self._failure(error) from error

    def _copy_with_comment(self) -> None:
        copied = self._beside.with_name(f".{self._beside.name}{self.path.suffix}")
        container = CONTAINERS[self.path.suffix.lower()]
        try:
            with av.open(str(self._beside)) as source, av.open(str(copied), "w", format=container) as target:
                target.metadata["comment"] = self._comment
                stream = target.add_stream_from_template(source.streams.video[0])
                stream.time_base = source.streams.video[0].time_base
                for packet in source.demux(source.streams.video[0]):
                    if packet.size:  # the last one is empty
                        packet.stream = stream
                        target.mux(packet)
            copied.replace(self._beside)
        finally:
            copied.unlink(missing_ok=True)

    def salvage(self) -> float:
        """After `write` or `finish` has failed: give the file's name to what plays of it.

        How long that is, in seconds; 0.0 when nothing plays, and then no file is left.
        """
        self._end_container()
        seconds = playable_s(self._beside)
        if seconds > 0:
            self._give_name()
        else:
            self.discard()
        return seconds

    def _give_name(self) -> None:
        self.path = under_a_free_name(
            self.path, self._expected, lambda name, expected: give_name(self._beside, name, expected)
        )

    def discard(self) -> None:
        """Remove what was written."""
        self._end_container()
        with suppress(OSError):  # a name that is too long was never there
            self._beside.unlink(missing_ok=True)

    def _end_container(self) -> None:
        # it never opened, or cannot be finished
        with suppress(AttributeError, av.error.FFmpegError, OSError):
            self._container.close()

    def _failure(self, error: Exception) -> VisavisError:
        reason = getattr(error, "strerror", None) or str(error)
        return VisavisError(f"{self.path} cannot be written ({reason}). Check the folder's free space and permissions.")


def _options(container: str) -> dict[str, str]:
    """Of FFmpeg's muxers, https://ffmpeg.org/ffmpeg-formats.html"""
    if container == "matroska":
        return {"flush_packets": "1", "cluster_time_limit": str(FRAGMENT_US // 1000)}
    return {"flush_packets": "1", "movflags": "+hybrid_fragmented+delay_moov", "frag_duration": str(FRAGMENT_US)}


def check_output(path: Path) -> None:
    """Raises UsageError, before any work is done, for an output that could not be written."""
    if path.suffix.lower() not in CONTAINERS:
        raise UsageError(f"{path}: name the output {', '.join(sorted(CONTAINERS))}.")
    check_writable(path)


def playable_s(path: Path) -> float:
    """How long the pictures of a file last that may be cut off anywhere."""
    last_s = 0.0
    with suppress(av.error.FFmpegError, OSError, IndexError), av.open(str(path)) as container:
        for packet in container.demux(container.streams.video[0]):
            if packet.is_corrupt:  # cut off
                break
            if packet.pts is not None and packet.time_base is not None:
                last_s = max(last_s, float((packet.pts + (packet.duration or 0)) * packet.time_base))
    return last_s
