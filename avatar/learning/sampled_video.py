"""The frames of a video at a rate of its own, from one time up to another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from avatar.errors import InputError
from avatar.sources.video_file import VideoFile, upright_rgb

Picture = NDArray[np.uint8]


class SampledVideo:
    """(number, time in seconds, picture) of a video's frames on a grid of `fps`, from one time up to another."""

    def __init__(self, path: Path, fps: float, start_s: float, end_s: float | None) -> None:
        self._video, self._fps, self._start_s, self._end_s = VideoFile(path), fps, start_s, end_s
        self.damage: str | None = None

    def __iter__(self) -> Iterator[tuple[int, float, Picture]]:
        last = -1
        for number, (time_s, picture) in enumerate(self._decoded()):
            tick = int((time_s - self._start_s) * self._fps + 1e-6)
            if tick > last:
                last = tick
                yield number, time_s, picture() if callable(picture) else picture

    def _decoded(self) -> Iterator[tuple[float, Any]]:
        if self._end_s is None and self._start_s == 0:
            for frame in self._video:
                yield frame.media_s - self._video.first_media_s, frame.rgb
            self.damage = self._video.damage
            return
        first_s = self._video.first_media_s
        with av.open(str(self._video.path), metadata_errors="replace") as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            if self._start_s > 0:
                container.seek(int((self._start_s + first_s) * av.time_base), backward=True)
            try:
                for picture in container.decode(stream):
                    if picture.time is None:
                        raise InputError(
                            f"{self._video.path} carries no times, so it cannot be taken in parts. Remux it."
                        )
                    time_s = float(picture.time) - first_s
                    if self._end_s is not None and time_s >= self._end_s - 1e-6:
                        return
                    if time_s >= self._start_s - 1e-6:
                        yield time_s, lambda picture=picture: upright_rgb(picture)
            except av.error.FFmpegError as error:
                self.damage = f"{self._video.path} is damaged after {self._start_s:.0f} s ({error.strerror})."
