"""The frames of a video at a rate of its own, from one time up to another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from avatar.core.arrays import Picture
from avatar.sources.video_file import Shown, VideoFile


class SampledVideo:
    """(number, time in seconds, picture) of a video's frames on a grid of `fps`, from one time up to another."""

    def __init__(self, path: Path, fps: float, start_s: float, end_s: float | None, turn_deg: int = 0) -> None:
        self._video, self._fps, self._start_s, self._end_s = VideoFile(path), fps, start_s, end_s
        self._video.turn(turn_deg)
        self.damage: str | None = None

    def __iter__(self) -> Iterator[tuple[int, float, Picture]]:
        self.damage = None
        last, first_s = -1, self._video.first_media_s
        for number, shown in enumerate(self._wanted()):
            time_s = shown.media_s - first_s
            tick = int((time_s - self._start_s) * self._fps + 1e-6)
            if tick > last:
                last = tick
                yield number, time_s, shown.rgb()
        self.damage = self._video.damage

    def _wanted(self) -> Iterator[Shown]:
        for shown in self._video.shown(self._start_s):
            time_s = shown.media_s - self._video.first_media_s + 1e-6
            if self._end_s is not None and time_s >= self._end_s:
                return
            if time_s >= self._start_s:
                yield shown
