"""Glass-to-glass: from the light on the camera to the picture that another program reads off the device."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.core.errors import DeviceError
from avatar.live.latency import LatencyRecorder, StageLatency
from avatar.profiling.time_code import age_ms, read_code
from avatar.publish.pipewire import PipeWireCamera
from avatar.publish.publisher import Publisher
from avatar.publish.virtual_camera import VirtualCamera

STOP_S = 5.0
LONGEST_MS = 60_000  # older codes are chance
GLASS = "glass to glass"

ReadPicture = Callable[[], NDArray[np.uint8] | None]  # waits for the next picture; None: it has ended


class GlassToGlass:
    """Reads a device in a thread of its own, and keeps the age of every time code that it sees for the first time."""

    def __init__(self, open_reader: Callable[[], tuple[ReadPicture, Callable[[], None]]]) -> None:
        """open_reader: opens the device as another program does; gives a function that reads, and one that closes."""
        self._ages = LatencyRecorder((GLASS,))
        self._open_reader = open_reader
        self._close: Callable[[], None] | None = None
        self._failure: BaseException | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._read, name="visavis-viewer", daemon=True)

    def start(self) -> None:
        """Start reading, once frames are published. Only the first call counts."""
        if self._thread.ident is None:
            self._thread.start()

    def stop(self) -> StageLatency:
        """The delays that were seen. Raises what kept the device from being read; DeviceError where there were none."""
        self._ended.set()
        if self._close is not None:
            self._close()  # wakes a reader that waits for a picture
        if self._thread.ident is not None:
            self._thread.join(STOP_S)
        if self._failure is not None:
            raise self._failure
        if (seen := self._ages.table().get(GLASS)) is None:
            raise DeviceError("No picture with a time code came out of the device: is it the one that is published to?")
        return seen

    def _read(self) -> None:
        try:
            self._watch()
        except BaseException as failure:
            self._failure = failure

    def _watch(self) -> None:
        read, self._close = self._open_reader()
        last: int | None = None
        try:
            while not self._ended.is_set():
                picture = read()
                if picture is None:
                    if self._ended.is_set():
                        return
                    raise DeviceError("The device stopped giving pictures.")
                code = read_code(picture)
                if code is not None and code != last and (age := age_ms(code)) < LONGEST_MS:
                    self._ages.record(GLASS, float(age))
                    last = code
        finally:
            self._close()


def video_device(path: str) -> tuple[ReadPicture, Callable[[], None]]:
    """A reader of a V4L2 device, through OpenCV."""
    device = cv2.VideoCapture(path, cv2.CAP_V4L2)
    if not device.isOpened():
        raise DeviceError(f"{path} cannot be read back: another program holds it, or it is no camera.")

    def read() -> NDArray[np.uint8] | None:
        ok, bgr = device.read()
        return np.asarray(bgr, np.uint8) if ok else None

    return read, device.release


def pipewire_node(node: str, width: int, height: int) -> tuple[ReadPicture, Callable[[], None]]:
    """A reader of a PipeWire camera, through GStreamer. Raises DeviceError without it."""
    program = shutil.which("gst-launch-1.0")
    if program is None:
        raise DeviceError(
            "Reading a PipeWire camera needs GStreamer: sudo apt-get install gstreamer1.0-tools gstreamer1.0-pipewire"
        )
    pipeline = f"pipewiresrc target-object={node} ! videoconvert ! video/x-raw,format=GRAY8 ! fdsink fd=1 sync=false"
    viewer = subprocess.Popen([program, "-q", *pipeline.split()], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert viewer.stdout is not None
    stream = viewer.stdout
    row = (width + 3) // 4 * 4  # GStreamer's rows are multiples of four bytes

    def read() -> NDArray[np.uint8] | None:
        raw = stream.read(row * height)
        return np.frombuffer(raw, np.uint8).reshape(height, row)[:, :width] if len(raw) == row * height else None

    def close() -> None:
        viewer.kill()
        viewer.wait()

    return read, close


def device_reader(publisher: Publisher, width: int, height: int) -> tuple[ReadPicture, Callable[[], None]]:
    """The reader that fits an opened publisher. Raises DeviceError where there is none."""
    if isinstance(publisher, VirtualCamera) and str(publisher.device).startswith("/dev/"):
        return video_device(str(publisher.device))
    if isinstance(publisher, PipeWireCamera):
        return pipewire_node(publisher.description, width, height)
    raise DeviceError(f"{publisher.name} cannot be read back: measure through virtual-camera or pipewire.")
