"""The avatar as a camera that other programs can choose: v4l2loopback on Linux, OBS or UnityCapture elsewhere."""

from __future__ import annotations

import os
import struct
import sys
from typing import Any

import cv2

from avatar.core.errors import DeviceError, UsageError
from avatar.core.frame import Frame
from avatar.publish.advice import ONE_SIZE, virtual_camera_advice
from avatar.publish.publisher import Publisher

VIDIOC_STREAMON, V4L2_BUF_TYPE_VIDEO_OUTPUT = 0x40045612, 2  # linux/videodev2.h


class VirtualCamera(Publisher):
    """Sends I420 through pyvirtualcam, which is an optional part: `pip install 'visavis[camera]'`."""

    keeps_size = ONE_SIZE

    def __init__(self, device: str | None = None) -> None:
        """`device` is a path (/dev/video10) or a camera's name; None takes the first virtual camera there is."""
        self.device = device
        self.name = device or "The virtual camera"
        self._opened = ""
        self._camera: Any = None
        self._stream: int | None = None

    def open(self, width: int, height: int, fps: float) -> None:
        if width % 2 or height % 2:
            raise UsageError(f"A virtual camera needs even sides, {width}x{height} is not.")
        wanted = self.device or "A virtual camera"
        try:
            import pyvirtualcam
        except ImportError as error:
            raise DeviceError(f"{wanted} needs pyvirtualcam, which is missing.\n{virtual_camera_advice()}") from error
        try:
            self._camera = pyvirtualcam.Camera(
                width, height, fps, fmt=pyvirtualcam.PixelFormat.I420, device=self.device
            )
        except RuntimeError as error:
            raise DeviceError(f"{wanted} cannot be opened ({error}).\n{virtual_camera_advice()}") from error
        self._opened = str(self._camera.device)

    def send(self, frame: Frame) -> None:
        try:
            self._camera.send(cv2.cvtColor(frame.rgb, cv2.COLOR_RGB2YUV_I420).reshape(-1))
            if self._stream is None and sys.platform == "linux":
                self._start_stream()
        except (RuntimeError, OSError) as error:
            raise DeviceError(
                f"The virtual camera {self._opened} has gone ({error}). If its module was unloaded, load it.\n"
                f"{virtual_camera_advice()}"
            ) from error

    def _start_stream(self) -> None:
        """STREAMON through a second descriptor, held until the camera is closed.

        pyvirtualcam only writes. With exclusive_caps=1, which browsers need, v4l2loopback then forgets at the close
        that the device can be written to, and it can never be opened again.
        See https://github.com/letmaik/pyvirtualcam/issues/61 and https://github.com/v4l2loopback/v4l2loopback/issues/442
        """
        import fcntl  # Unix only

        self._stream = os.open(self._opened, os.O_RDWR)
        fcntl.ioctl(self._stream, VIDIOC_STREAMON, struct.pack("i", V4L2_BUF_TYPE_VIDEO_OUTPUT))

    def close(self) -> None:
        camera, stream, self._camera, self._stream = self._camera, self._stream, None, None
        if camera is not None:
            camera.close()
        if stream is not None:
            os.close(stream)
