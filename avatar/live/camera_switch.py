"""The camera of a live run, in whose place another may come while the run goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable

from avatar.core.frame import Frame, NoPicture
from avatar.face.state import FaceState
from avatar.sources.camera import CameraOrMotion
from avatar.sources.nobody import Nobody


class CameraSwitch:
    """A `Camera` that gives what the camera gives that was put in last. One thread reads; the rest is for any."""

    def __init__(self, camera: CameraOrMotion) -> None:
        # gets the name of a camera that has ended by itself, as a video does; then nobody drives. None: all is over
        self.at_end: Callable[[str], None] | None = None
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
            if self._closed:
                return given
            if camera is self._camera:
                if given is not None or self.at_end is None:
                    return given
                self.at_end(camera.name)
                self._replace(camera, Nobody())

    def put(self, camera: CameraOrMotion) -> None:
        """Read from `camera` from now on. The one before is closed; so is `camera` itself where all is over."""
        self._replace(None, camera)

    def _replace(self, before: CameraOrMotion | None, camera: CameraOrMotion) -> None:
        """before: only that one is; None: whichever is in."""
        with self._lock:
            now = self._camera
            put = not self._closed and before in (None, now)
            if put:
                self._dropped_before += now.dropped
                self._camera = camera
        (now if put else camera).close()

    def close(self) -> None:
        with self._lock:
            self._closed = True
        self._camera.close()
