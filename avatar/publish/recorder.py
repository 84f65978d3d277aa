"""A publisher that records an MP4 with the true timing of the live frames."""

from __future__ import annotations

from pathlib import Path

from avatar.frame import Frame
from avatar.publish.publisher import Publisher
from avatar.publish.video_writer import VideoWriter, check_output


class Recorder(Publisher):
    """Frames are shown in the file at the distance in time at which they were captured; a drop is a longer frame.

    An existing file is replaced, once the recording is whole. What was recorded before a failure is kept.
    """

    def __init__(self, path: Path) -> None:
        check_output(path)
        self.path = path
        self._writer: VideoWriter | None = None
        self._first_ns: int | None = None

    def open(self, width: int, height: int, fps: float) -> None:
        # ultrafast and one thread: 2 ms a frame at 512x512, and the other core stays with the generator
        self._writer = VideoWriter(self.path, width, height, fps, preset="ultrafast", crf=20, threads=1)

    def send(self, frame: Frame) -> None:
        assert self._writer is not None, "open comes first"
        if self._first_ns is None:
            self._first_ns = frame.capture_ns
        self._writer.write(frame.rgb, (frame.capture_ns - self._first_ns) / 1e9)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.finish()
