"""The avatar as a camera of PipeWire: browsers and portals list it; no kernel module, no root. Linux only."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import cv2

from avatar.core.errors import DeviceError, UsageError
from avatar.core.frame import Frame
from avatar.core.system import Family, system_family
from avatar.publish import libpipewire as pw
from avatar.publish import spa_pod
from avatar.publish.advice import CAMERA_NAME, ONE_SIZE
from avatar.publish.publisher import Publisher

CONNECT_S = 5.0
BUFFERS = (4, 2, 8)  # usual, fewest, most; all of them are shared memory

_INSTALL: dict[Family, str] = {
    "debian": "sudo apt-get install pipewire wireplumber",
    "fedora": "sudo dnf install pipewire wireplumber",
    "arch": "sudo pacman -S pipewire wireplumber",
}


class PipeWireCamera(Publisher):
    """A Video/Source node in I420. A reader that does not keep up costs frames, which are counted, and no delay."""

    keeps_size = ONE_SIZE

    def __init__(self, description: str = CAMERA_NAME) -> None:
        self.description = description
        self.name = f"The PipeWire camera {description}"
        self._loop: int | None = None
        self._stream: int | None = None

    def open(self, width: int, height: int, fps: float) -> None:
        if width % 2 or height % 2:
            raise UsageError(f"A virtual camera needs even sides, {width}x{height} is not.")
        problem = why_no_pipewire()
        if problem:
            raise DeviceError(problem)
        self._library = pw.load()
        self._stride, self._size = width, width * height * 3 // 2
        self._state, self._reason = pw.STATE_UNCONNECTED, ""
        self._settled = threading.Event()
        # kept: the library holds pointers to these
        self._buffers = _pod_array(self._buffer_parameters())
        self._formats = _pod_array(_format(width, height, fps))
        self._events = pw.PwStreamEvents(
            version=pw.VERSION_STREAM_EVENTS,
            state_changed=pw.STATE_CHANGED(self._on_state),
            param_changed=pw.PARAM_CHANGED(self._on_parameter),
        )
        self._connect()

    def _connect(self) -> None:
        library = self._library
        self._loop = library.pw_thread_loop_new(b"visavis-pipewire", None)
        if not self._loop:
            raise DeviceError(f"PipeWire's plug-ins are missing. Install them: {install_command()}")
        library.pw_thread_loop_start(self._loop)
        with self._locked():
            properties = library.pw_properties_new_string(
                f'media.class = "Video/Source" media.role = "Camera" media.name = "{self.description}" '
                f'node.name = "{self.description}" node.description = "{self.description}"'.encode()
            )
            loop = library.pw_thread_loop_get_loop(self._loop)
            self._stream = library.pw_stream_new_simple(loop, b"visavis", properties, ctypes.byref(self._events), None)
            if not self._stream:
                raise DeviceError(f"PipeWire's modules are missing. Install them: {install_command()}")
            flags = pw.FLAG_MAP_BUFFERS | pw.FLAG_DRIVER  # driver: pictures set the pace, nobody asks for them
            result = library.pw_stream_connect(
                self._stream, pw.DIRECTION_OUTPUT, pw.ID_ANY, flags, ctypes.byref(self._formats), 1
            )
        if result < 0:
            raise DeviceError(f"PipeWire refused the camera ({os.strerror(-result)}). {RESTART}")
        if not self._settled.wait(CONNECT_S) or self._state < pw.STATE_PAUSED:
            raise DeviceError(f"PipeWire did not take the camera ({self._reason or 'it does not answer'}). {RESTART}")

    def send(self, frame: Frame) -> None:
        if self._state in (pw.STATE_ERROR, pw.STATE_UNCONNECTED):
            raise DeviceError(f"PipeWire has gone ({self._reason or 'connection closed'}). {RESTART}")
        if self._state != pw.STATE_STREAMING:
            return  # nobody looks
        picture = cv2.cvtColor(frame.rgb, cv2.COLOR_RGB2YUV_I420)
        library = self._library
        with self._locked():
            buffer = library.pw_stream_dequeue_buffer(self._stream)
            if not buffer:
                self.dropped += 1  # the reader holds them all
                return
            data = buffer.contents.buffer.contents.datas[0]
            if data.data and data.maxsize >= self._size:
                ctypes.memmove(data.data, picture.ctypes.data, self._size)
                chunk = data.chunk.contents
                chunk.offset, chunk.size, chunk.stride, chunk.flags = 0, self._size, self._stride, 0
            # before the trigger: else each picture would go out with the next one's turn
            library.pw_stream_queue_buffer(self._stream, buffer)
            library.pw_stream_trigger_process(self._stream)

    def close(self) -> None:
        if self._loop is None:
            return
        if self._stream:
            with self._locked():
                self._library.pw_stream_destroy(self._stream)
        self._library.pw_thread_loop_stop(self._loop)
        self._library.pw_thread_loop_destroy(self._loop)
        self._loop = self._stream = None

    def _on_state(self, _data: int, _old: int, state: int, error: bytes | None) -> None:
        self._state = state
        if error:
            self._reason = error.decode(errors="replace")
        if state in (pw.STATE_ERROR, pw.STATE_UNCONNECTED, pw.STATE_PAUSED, pw.STATE_STREAMING):
            self._settled.set()

    def _on_parameter(self, _data: int, parameter: int, value: int | None) -> None:
        """A reader and this camera agreed on the format: now the buffers."""
        if parameter == pw.PARAM_FORMAT and value:
            self._library.pw_stream_update_params(self._stream, ctypes.byref(self._buffers), 1)

    def _buffer_parameters(self) -> bytes:
        return spa_pod.object_of(
            pw.TYPE_OBJECT_PARAM_BUFFERS,
            pw.PARAM_BUFFERS,
            {
                pw.BUFFERS_COUNT: spa_pod.integer_range(*BUFFERS),
                pw.BUFFERS_BLOCKS: spa_pod.integer(1),
                pw.BUFFERS_SIZE: spa_pod.integer(self._size),
                pw.BUFFERS_STRIDE: spa_pod.integer(self._stride),
                pw.BUFFERS_DATA_TYPE: spa_pod.integer_flags(1 << pw.DATA_MEM_FD),
            },
        )

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._library.pw_thread_loop_lock(self._loop)
        try:
            yield
        finally:
            self._library.pw_thread_loop_unlock(self._loop)


RESTART = "Restart it: systemctl --user restart pipewire wireplumber"


def why_no_pipewire() -> str | None:
    """None when PipeWire runs for this user; else what to type."""
    if not sys.platform.startswith("linux"):
        return "PipeWire is there on Linux only. Use --to virtual-camera."
    try:
        pw.load()
    except OSError:
        return f"PipeWire ({pw.SONAME}) is not installed. Install it: {install_command()}"
    socket = pipewire_socket()
    if not socket.is_socket():
        return (
            f"PipeWire does not run for this user (no {socket}). Start it: systemctl --user start pipewire wireplumber"
        )
    return None


def pipewire_socket() -> Path:
    """Where the daemon listens. Source: pipewire(1), environment variables."""
    folder = os.environ.get("PIPEWIRE_RUNTIME_DIR") or os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    return Path(folder) / (os.environ.get("PIPEWIRE_REMOTE") or "pipewire-0")


def install_command() -> str:
    return _INSTALL.get(system_family(), "install pipewire and wireplumber with your distribution's package manager")


def _format(width: int, height: int, fps: float) -> bytes:
    """The one format that is offered."""
    rate = Fraction(fps).limit_denominator(1001)
    return spa_pod.object_of(
        pw.TYPE_OBJECT_FORMAT,
        pw.PARAM_ENUM_FORMAT,
        {
            pw.FORMAT_MEDIA_TYPE: spa_pod.identifier(pw.MEDIA_TYPE_VIDEO),
            pw.FORMAT_MEDIA_SUBTYPE: spa_pod.identifier(pw.MEDIA_SUBTYPE_RAW),
            pw.FORMAT_VIDEO_FORMAT: spa_pod.identifier(pw.VIDEO_FORMAT_I420),
            pw.FORMAT_VIDEO_SIZE: spa_pod.rectangle(width, height),
            pw.FORMAT_VIDEO_FRAMERATE: spa_pod.fraction(rate.numerator, rate.denominator),
        },
    )


class _PodArray(ctypes.Array[ctypes.c_void_p]):
    """const struct spa_pod *[1], with the POD that it points to."""

    _type_, _length_ = ctypes.c_void_p, 1
    pod: ctypes.Array[ctypes.c_char]


def _pod_array(pod: bytes) -> _PodArray:
    kept = ctypes.create_string_buffer(pod, len(pod))
    array = _PodArray(ctypes.addressof(kept))
    array.pod = kept
    return array
