"""The camera of a live run, in whose place another may come while the run goes on."""

from __future__ import annotations

import threading

from avatar.core.frame import Frame, NoPicture
from avatar.face.state import FaceState
from avatar.sources.camera import CameraOrMotion


class CameraSwitch:
    """A `Camera` that gives what the camera gives that was put in last. One thread reads; the rest is for any."""

    def __init__(self, camera: CameraOrMotion) -> None:
        self._camera = camera
        self._lock = threading.Lock()
        self._closed = False
        self._dropped_before = 0  # by the cameras before

    @property
    def name(self) -> str:
        return self._camera.name

    @property
    def fps(self) -> float:
        return self._camera.fps

    @property
    def dropped(self) -> int:
        return self._dropped_before + self._camera.dropped

    @property
    def camera(self) -> CameraOrMotion:
        """The one that is in."""
        return self._camera

    def read(self) -> Frame | FaceState | NoPicture | None:
        """As of `Camera`. A camera that ends because another one came does not end the run."""
        while True:
            camera = self._camera
            given = camera.read()
            if camera is self._camera or self._closed:
                return given

    def put(self, camera: CameraOrMotion) -> None:
        """Read from `camera` from now on. The one before is closed; so is `camera` itself where all is over."""
        with self._lock:
            before = camera if self._closed else self._camera
            if not self._closed:
                self._dropped_before += self._camera.dropped
                self._camera = camera
        before.close()

    def close(self) -> None:
        with self._lock:
            self._closed = True
        self._camera.close()
