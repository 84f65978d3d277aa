"""A publisher that records an MP4 with the true timing of the live frames."""

from __future__ import annotations

from pathlib import Path

from avatar.core.errors import DeviceError, VisavisError
from avatar.core.file_name import version
from avatar.core.frame import Frame
from avatar.publish.threaded import ThreadedPublisher
from avatar.publish.video_writer import Encoding, VideoWriter, check_output


class Recorder(ThreadedPublisher):
    """In the file, frames are as far apart in time as they were captured; a dropped one makes the one before longer.

    A file that was there before is replaced, once the recording is whole; one that came meanwhile is not. What was
    recorded before a failure is kept and plays; if `open` is called again, the recording goes on in NAME-2.mp4. A
    killed program leaves NAME.PID.part.mp4, which plays.
    """

    keeps_size = "A recording has one size. End it, choose the size, and record anew."

    def __init__(self, path: Path) -> None:
        super().__init__()
        check_output(path)
        self.path, self.name = path, str(path)
        self.comment = ""  # what the file says of itself, when it is whole
        self._before = version(path)
        self._writer: VideoWriter | None = None
        self._first_ns: int | None = None
        self._newest_ns = 0
        self.seconds = 0.0  # from the first to the newest frame
        self._parts = 0  # recordings that were kept
        self.written: list[Path] = []  # those of them that are whole

    def _begin(self, width: int, height: int, fps: float) -> None:
        self._first_ns = None
        try:
            # ultrafast and one thread: 2 ms a frame at 512x512, and the other core stays with the generator
            self._writer = VideoWriter(
                self._part(),
                width,
                height,
                fps,
                encoding=Encoding("ultrafast", crf=20, threads=1),
                expected=None if self._parts else self._before,
            )
            self._writer.describe(self.comment)
        except VisavisError as error:
            raise _as_device_error(error) from error

    def _take(self, frame: Frame) -> None:
        assert self._writer is not None
        if self._first_ns is None:
            self._first_ns = frame.capture_ns
        elif frame.capture_ns == self._newest_ns:
            return  # shown again, while nothing newer comes
        self._newest_ns = frame.capture_ns
        self.seconds = (frame.capture_ns - self._first_ns) / 1e9
        try:
            self._writer.write(frame.rgb, self.seconds)
        except VisavisError as error:
            writer, self._writer = self._writer, None
            raise self._salvage(writer, error) from error

    def _end(self) -> None:
        writer, self._writer = self._writer, None
        if writer is None:
            return
        wanted = writer.path
        try:
            writer.describe(self.comment)
            writer.finish()
        except VisavisError as error:
            raise self._salvage(writer, error) from error
        if self._first_ns is not None:
            self._parts += 1
            self.written.append(writer.path)
        if writer.path != wanted:
            raise DeviceError(f"{wanted} was written by somebody else meanwhile: this recording is {writer.path}.")

    def _salvage(self, writer: VideoWriter, error: VisavisError) -> DeviceError:
        seconds = writer.salvage()
        self._parts += seconds > 0
        kept = f" What was recorded before that is kept: {seconds:.1f} s." if seconds > 0 else ""
        return DeviceError(f"{error}{kept}")

    def _part(self) -> Path:
        """The next file: NAME.mp4, then the first of NAME-2.mp4, NAME-3.mp4 … that is not there."""
        number, path = 1, self.path
        while self._parts and (path == self.path or path.exists()):
            number += 1
            path = self.path.with_stem(f"{self.path.stem}-{number}")
        return path


def _as_device_error(error: VisavisError) -> VisavisError:
    """What may pass, such as a full disk, is a device's error; a wrong name or size is not."""
    return error if error.exit_code == 2 else DeviceError(str(error))
