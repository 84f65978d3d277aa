"""The one place that opens other people's media files: only files, only formats that cameras and editors write."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import av
from av.audio.stream import AudioStream
from av.codec.context import CodecContext
from av.container import InputContainer
from av.format import Flags
from av.stream import Disposition
from av.video.stream import VideoStream

from avatar.core.errors import InputError

# Of FFmpeg's demuxers. No playlists (hls, dash, concat, imf, sdp): they name further files and hosts
FORMATS = (
    "mov", "matroska", "webm", "avi", "mpegts", "mpeg", "mpegvideo", "m4v", "flv", "asf", "ogg", "mxf", "nut", "dv",
    "rm", "h264", "hevc", "vvc", "av1", "obu", "ivf", "mjpeg", "jpeg_pipe", "gif", "apng", "yuv4mpegpipe", "image2",
    "wav", "w64", "mp3", "aac", "flac", "aiff", "caf", "au", "ac3", "eac3", "amr", "wv", "ape", "tta",
)  # fmt: skip
SUFFIXES = (".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi")  # by which videos are found in folders
MAX_PIXELS = 8192 * 4352  # of one picture: 8K; a forged header claims far more
NOT_A_VIDEO = "Give a file that a video player opens (mp4, mov, mkv, webm, avi)."
NOT_A_SOUND = "Give a file that a player opens (wav, mp3, m4a, ogg)."
ADDRESSES = ("http:", "https:", "rtsp:")  # what a path begins with that was typed as one; the rest may be secret
LEAP_S = 10.0  # what FFmpeg takes for a join in formats whose clock may jump (-dts_delta_threshold)
BACK_STEPS = 3  # times that go back by less are a sloppy muxer's

_COVERS = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image


def open_media(path: Path, kind: Literal["video", "sound"] = "video") -> InputContainer:
    """Open a file to read. Raises InputError, naming it, where that cannot be, or nothing of that kind is in it."""
    if path.is_dir():
        raise InputError(f"{path} is a folder. Name a {kind} in it.")
    if path.parts[:1] and path.parts[0].lower() in ADDRESSES:
        raise InputError(
            f"{path.parts[0]}//…: an address is no file. `live`, `call`, `enroll`, `profile` and `record-motion` take "
            "that of a camera by --camera."
        )
    if not path.is_file():
        raise InputError(f"{path}: there is no such file. Check the path of the {kind}.")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty (0 bytes). Record or copy it again.")
    options = {"protocol_whitelist": "file", "format_whitelist": ",".join(FORMATS)}
    advice = NOT_A_VIDEO if kind == "video" else NOT_A_SOUND
    try:
        # "file:", so that a name with a colon is not taken for an address
        container = av.open(f"file:{path}", options=options, metadata_errors="replace")
    except (av.error.FFmpegError, ValueError) as error:
        if cut_off_before_index(path):
            raise InputError(
                f"{path} is cut off: its index, which is written last, is missing, so no player can open it. "
                "Copy it again from where it came, or record it again."
            ) from error
        raise InputError(f"{path} cannot be read as a {kind} ({reason(error)}). {advice}") from error
    if not (_moving(container) if kind == "video" else container.streams.audio):
        container.close()
        raise InputError(f"{path} holds no {kind} stream. {advice}")
    return container


def video_stream(container: InputContainer) -> VideoStream:
    """Its first stream of moving pictures, ready to be decoded. There is one, where `open_media` has looked for it."""
    stream = _moving(container)[0]
    stream.thread_type = "AUTO"
    limit_pixels(stream.codec_context)
    return stream


def sound_stream(container: InputContainer) -> AudioStream:
    """Its first stream of sound, where `open_media` has looked for one."""
    return container.streams.audio[0]


def _moving(container: InputContainer) -> list[VideoStream]:
    """Without covers of songs and thumbnails."""
    return [stream for stream in container.streams.video if not stream.disposition & _COVERS]


def limit_pixels(context: CodecContext, pixels: int = MAX_PIXELS) -> None:
    """Before its first picture: refuse larger ones, whatever their header says, before memory is taken for them."""
    context.options = {**context.options, "max_pixels": str(pixels)}


class Timeline:
    """Times in seconds that never start over: a file that was joined of several goes on where the one before ended."""

    def __init__(self, container: InputContainer, step_s: float) -> None:
        """`step_s`: between two pictures or packets, as far as is known."""
        self._step_s = step_s
        self._leap_s = LEAP_S if Flags.ts_discont in Flags(container.format.flags) else float("inf")
        self._offset_s = 0.0
        self._last_s: float | None = None

    def place(self, time_s: float) -> float:
        if self._last_s is not None:
            ahead_s = time_s + self._offset_s - self._last_s
            if ahead_s < -BACK_STEPS * self._step_s or ahead_s > self._leap_s:
                self._offset_s = self._last_s + self._step_s - time_s
        self._last_s = time_s + self._offset_s
        return self._last_s


def reason(error: Exception) -> str:
    """What FFmpeg or the system says of it."""
    return getattr(error, "strerror", None) or str(error)


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
