"""A camera in the network, at an address that the user names: a phone as webcam (MJPEG), an IP camera (RTSP).

Nothing else is contacted: no playlists, which name other hosts, no redirections over HTTP, no proxy.
"""

from __future__ import annotations

import os
import ssl
import time
from urllib.parse import quote, urlsplit, urlunsplit

import av
from av.codec.context import Flags
from av.container import InputContainer

from avatar.core.arrays import Picture
from avatar.core.errors import DeviceError, UsageError
from avatar.sources.every_picture import MAX_SIDE_PX
from avatar.sources.media import limit_pixels
from avatar.sources.shown_picture import ShownPictures
from avatar.sources.webcam import GoneError

PROTOCOLS = {"http": "http,tcp", "https": "https,tls,tcp", "rtsp": "rtsp,tcp"}  # of FFmpeg's, by scheme
FORMATS = "mpjpeg,mjpeg,mpegts,mov,matroska,flv,ogg,h264,hevc,rtsp"
PASSWORD_VARIABLE = "VISAVIS_CAMERA_PASSWORD"  # an address in a command is seen by every user of the computer
OPEN_S, READ_S = 5.0, 5.0  # without an answer, without data
# https://ffmpeg.org/ffmpeg-formats.html: know a stream by its first half second. Without "nobuffer", which throws that
# away, and with it the first key frame; as the newest picture wins, it delays nothing.
LOW_LATENCY = {"probesize": "500000", "analyzeduration": "500000", "fpsprobesize": "0"}


def is_address(spec: str) -> bool:
    """Whether it names something in a network: "http://phone:8080/video"."""
    return "://" in spec


def public_name(spec: str) -> str:
    """What may be shown of a camera's name: an address without user, password and query; anything else as it is."""
    if not is_address(spec):
        return spec
    try:
        parts = urlsplit(spec)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return f"{spec.partition('://')[0]}://…"
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


class NetworkCamera:
    """Call it to open it."""

    def __init__(self, address: str) -> None:
        """Raises UsageError for an address that cannot be one of a camera."""
        self.name = public_name(address)
        self._address = _with_password(address, self.name)
        self._scheme = self._address.partition("://")[0]  # in small letters, as FFmpeg wants it

    def __call__(self) -> NetworkDevice:
        """Raises DeviceError, GoneError where nobody answers; neither shows a password."""
        options = LOW_LATENCY | {"protocol_whitelist": PROTOCOLS[self._scheme], "format_whitelist": FORMATS}
        if self._scheme == "rtsp":
            options["rtsp_transport"] = "tcp"  # UDP would let anybody send
        else:
            options |= {"max_redirects": "0", "http_proxy": "", "seekable": "0"}
        if self._scheme == "https":
            options |= {"tls_verify": "1", **_authorities()}
        try:
            container = av.open(self._address, options=options, timeout=(OPEN_S, READ_S), metadata_errors="replace")
        except (av.error.FFmpegError, ValueError) as error:
            raise _why_not(self.name, error) from None  # the error's own text holds the password
        try:
            return NetworkDevice(self.name, container)
        except BaseException:
            container.close()
            raise


class NetworkDevice:
    """A stream that has given its first picture."""

    def __init__(self, name: str, container: InputContainer) -> None:
        self.name, self._container = name, container
        self._why = "has ended"
        if not container.streams.video:
            raise DeviceError(f"{name} sends no pictures. Give the address of the camera's video stream.")
        stream = container.streams.video[0]
        stream.thread_type = "SLICE"  # threads by frame would hold some back
        stream.codec_context.flags |= Flags.low_delay.value
        limit_pixels(stream.codec_context, MAX_SIDE_PX * MAX_SIDE_PX)
        self.fps = float(stream.average_rate or stream.guessed_rate or 0)
        self._stream, self._pictures = stream, container.decode(stream)
        self._shown = ShownPictures()
        # what has a length is a file on a server, and comes as fast as the network goes
        self._paced = container.size > 0
        self._zero_s: float | None = None
        first = self.read()
        if first is None:
            raise DeviceError(f"{name} sends no picture that can be decoded: it {self._why}.")

    def read(self) -> tuple[Picture, int] | None:
        try:
            picture = next(self._pictures, None)
            if picture is None:
                return None
            stamp_ns = time.monotonic_ns()
            rgb = self._shown.rgb(picture, self._stream.sample_aspect_ratio)
        except av.error.FFmpegError as error:
            self._why = f"stopped ({_reason(error)})"
            return None
        if self._paced and picture.time is not None:
            now_s = time.monotonic()
            self._zero_s = now_s - picture.time if self._zero_s is None else self._zero_s
            time.sleep(max(0.0, min(READ_S, self._zero_s + picture.time - now_s)))
            stamp_ns = time.monotonic_ns()
        return rgb, stamp_ns

    def why_lost(self) -> str:
        return f"{self.name} {self._why}."

    def close(self) -> None:
        self._container.close()


def _with_password(address: str, name: str) -> str:
    try:
        parts = urlsplit(address)
        host, user, password = parts.hostname, parts.username, parts.password
        _ = parts.port  # raises for one that is no number
    except ValueError:
        host = user = password = None
    if not host or any(ord(letter) <= 32 for letter in address):
        raise UsageError(f"--camera {name} is no address. It looks like http://HOST:PORT/PATH or rtsp://HOST/PATH.")
    if parts.scheme not in PROTOCOLS:
        raise UsageError(f"--camera {name}: only {', '.join(PROTOCOLS)} are taken.")
    known = os.environ.get(PASSWORD_VARIABLE)
    if user is None or password is not None or known is None:
        return f"{parts.scheme}{address[len(parts.scheme) :]}"
    server = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{user}:{quote(known, safe='')}@{server}"))


def _authorities() -> dict[str, str]:
    """Whom this computer trusts to certify a server."""
    file = ssl.get_default_verify_paths().cafile
    return {"ca_file": file} if file else {}


def _why_not(name: str, error: Exception) -> DeviceError:
    if isinstance(error, av.error.HTTPUnauthorizedError | av.error.HTTPForbiddenError):
        return DeviceError(
            f"{name} wants a user and a password: name http://USER@HOST, and set {PASSWORD_VARIABLE} to the password."
        )
    if isinstance(error, ConnectionRefusedError | av.error.ExitError | TimeoutError | av.error.HTTPNotFoundError):
        return GoneError(f"{name} does not answer ({_reason(error)}). Is it on, and the address right?")
    if name.startswith("https:") and isinstance(error, OSError) and not isinstance(error, av.error.HTTPError):
        return DeviceError(
            f"{name} cannot be read ({_reason(error)}): perhaps nobody whom this computer trusts has signed its "
            "certificate. Phones sign their own: in a network of your own, use http://."
        )
    return DeviceError(
        f"{name} gives no video that can be taken ({_reason(error)}). Give the address of the stream itself (MJPEG, "
        "MPEG-TS, RTSP): no page, playlist or redirection."
    )


def _reason(error: Exception) -> str:
    if isinstance(error, av.error.ExitError):
        return "it took too long"
    return getattr(error, "strerror", None) or type(error).__name__
