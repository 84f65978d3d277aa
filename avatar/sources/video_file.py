"""A video file as a row of Frames, with the times that the file states."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from numpy.typing import NDArray

from avatar.errors import InputError
from avatar.frame import Frame

LAST_FRAME_S = 0.5  # how long the last frame of a whole Matroska file may be shown
NOT_A_VIDEO = "Give a file that a video player opens (mp4, mov, mkv, webm, avi)."


class VideoFile:
    """The pictures of a file's first video stream, upright (rotation metadata is applied), in order of presentation.

    Iterate as often as wanted: each iteration decodes afresh. `Frame.media_s` is the file's own presentation time, also
    where the frame rate varies; `capture_ns` is the moment of decoding. A cut-off file gives what is there; afterwards
    `damage` says so in one sentence. Raises InputError, naming the file, where nothing can be shown.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damage: str | None = None
        with self._open() as container:
            stream = container.streams.video[0]
            self.time_base: Fraction = stream.time_base or Fraction(1, 90_000)
            self.fps = float(stream.average_rate or stream.guessed_rate or 25)
            self.declared_count = int(stream.frames)  # 0 where the container does not say
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

    def __iter__(self) -> Iterator[Frame]:
        self.damage = None
        index, media_s = 0, 0.0
        with self._open() as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            try:
                for picture in container.decode(stream):
                    media_s = index / self.fps if picture.time is None else float(picture.time)
                    yield Frame(upright_rgb(picture), time.monotonic_ns(), index, media_s)
                    index += 1
            except av.error.FFmpegError as error:
                if index == 0:
                    raise InputError(
                        f"{self.path}: no picture of it can be decoded ({error.strerror}). {NOT_A_VIDEO}"
                    ) from error
                self.damage = f"{self.path} is damaged after frame {index} ({error.strerror}); used what was readable."
        if index == 0:
            raise InputError(f"{self.path} holds no picture: it is empty or cut off. Record or copy it again.")
        # one frame of slack: some containers count a frame that only flushing would show
        if self.damage is None and index < self.declared_count - 1:
            self.damage = f"{self.path} is cut off: used the {index} frames there are of {self.declared_count}."
        elif self.damage is None and not self.declared_count and media_s < self._declared_end_s - LAST_FRAME_S:
            self.damage = f"{self.path} is cut off: it ends after {media_s:.1f} of {self._declared_end_s:.1f} seconds."

    def _open(self) -> InputContainer:
        if self.path.is_dir():
            raise InputError(f"{self.path} is a folder. Name a video in it.")
        if not self.path.is_file():
            raise InputError(f"{self.path}: there is no such file. Check the path of the video.")
        if self.path.stat().st_size == 0:
            raise InputError(f"{self.path} is empty (0 bytes). Record or copy it again.")
        try:
            container = av.open(str(self.path), metadata_errors="replace")
        except av.error.FFmpegError as error:
            if cut_off_before_index(self.path):
                raise InputError(
                    f"{self.path} is cut off: its index, which is written last, is missing, so no player can open it. "
                    "Copy it again from where it came, or record it again."
                ) from error
            raise InputError(f"{self.path} cannot be read as a video ({error.strerror}). {NOT_A_VIDEO}") from error
        if not container.streams.video:
            container.close()
            raise InputError(f"{self.path} holds no video stream. {NOT_A_VIDEO}")
        return container


def _seconds(text: str) -> float:
    """Matroska's tag DURATION, "00:01:02.500000000", where a stream's own length stands; 0 for anything else."""
    match = re.fullmatch(r"(\d+):(\d+):(\d+\.\d+)", text)
    return int(match[1]) * 3600 + int(match[2]) * 60 + float(match[3]) if match else 0.0


def upright_rgb(picture: av.VideoFrame) -> NDArray[np.uint8]:
    """(H, W, 3) RGB of a decoded picture, turned as its display matrix asks."""
    rgb: NDArray[Any] = picture.to_ndarray(format="rgb24")
    turns = round(picture.rotation / 90) % 4  # counter-clockwise, as in np.rot90
    return np.ascontiguousarray(np.rot90(rgb, turns), dtype=np.uint8)


def cut_off_before_index(path: Path) -> bool:
    """True for an MP4 or MOV (ISO 14496-12) without a complete moov box: recording or copying stopped early."""
    size = path.stat().st_size
    with path.open("rb") as file:
        position, first = 0, True
        while position + 8 <= size:
            file.seek(position)
            header = file.read(16)
            length, kind = int.from_bytes(header[:4], "big"), header[4:8]
            if first and kind not in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
                return False
            first = False
            if length == 1:
                length = int.from_bytes(header[8:16], "big")
            elif length == 0:
                length = size - position
            if kind == b"moov":
                return position + length > size
            if length < 8:
                return True
            position += length
    return not first
