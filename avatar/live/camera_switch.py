"""The camera of a live run, in whose place another may come while the run goes on."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from avatar.core.errors import VisavisError
from avatar.core.frame import Frame, NoPicture
from avatar.face.state import FaceState
from avatar.live.animator import reason
from avatar.sources.camera import CameraOrMotion
from avatar.sources.nobody import Nobody

CLOSE_S = 2.5  # for a camera to be let go of, so that the next one may be the same device

Given = Frame | FaceState | NoPicture

logger = logging.getLogger(__name__)


class CameraSwitch:
    """Hands on what the camera gives that was put in last. From any thread.

    Each camera is read by a thread of its own, which ends with it: one that hangs is left behind, and holds up nobody.
    """

    def __init__(self, camera: CameraOrMotion) -> None:
        # gets a sentence about a camera that has ended by itself, as a video does, or has failed; then nobody drives.
        # None: that is the end of all
        self.at_end: Callable[[str], None] | None = None
        self._camera = camera
        self._lock = threading.Lock()
        self._closed = False
        self._dropped_before = 0  # by the cameras before
        self._take: Callable[[Given], bool] | None = None
        self._over: Callable[[BaseException | None], None] = lambda failure: None
        self._thread: threading.Thread | None = None  # that reads the one that is in

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

    def start(self, take: Callable[[Given], bool], over: Callable[[BaseException | None], None]) -> None:
        """Begin to read. `take` gets what comes until it answers False; `over` is called after that, or where all is
        at an end, with what the last camera raised."""
        with self._lock:
            self._take, self._over = take, over
            self._begin()

    def put(self, camera: CameraOrMotion) -> None:
        """Read from `camera` from now on. The one before is closed; so is `camera` itself where all is over."""
        self._replace(None, camera)

    def close(self) -> None:
        with self._lock:
            self._closed = True
        let_go(self._camera)

    def join(self, seconds: float) -> None:
        """Wait until nothing more comes."""
        if self._thread is not None:
            self._thread.join(seconds)

    def _begin(self) -> None:
        # daemon: a webcam's driver that never returns must not keep the program alive
        self._thread = threading.Thread(target=self._read, args=(self._camera,), name="visavis-capture", daemon=True)
        self._thread.start()

    def _replace(self, before: CameraOrMotion | None, camera: CameraOrMotion) -> None:
        """before: only that one is; None: whichever is in."""
        with self._lock:
            now = self._camera
            put = not self._closed and before in (None, now)
            if put:
                self._dropped_before += now.dropped
                self._camera = camera
                if self._take is not None:
                    self._begin()
        let_go(now if put else camera)

    def _read(self, camera: CameraOrMotion) -> None:
        failure: BaseException | None = None
        try:
            while (given := camera.read()) is not None:
                if camera is not self._camera:  # what it still gives is nobody's
                    return
                if self._take is None or not self._take(given):
                    self._over(None)
                    return
        except BaseException as raised:
            failure = raised
        if camera is not self._camera:  # it ended because another one came
            return
        if self._closed or self.at_end is None:
            self._over(failure)
        else:
            self.at_end(f"{camera.name} has ended." if failure is None else _failed(camera.name, failure))
            self._replace(camera, Nobody())


def _failed(name: str, failure: BaseException) -> str:
    return str(failure) if isinstance(failure, VisavisError) else f"{name} has failed ({reason(failure)})."


def let_go(camera: CameraOrMotion) -> None:
    """Close it, and wait for that, but not for ever."""

    def close() -> None:
        try:
            camera.close()
        except Exception:
            logger.exception("%s could not be closed", camera.name)

    closing = threading.Thread(target=close, name="visavis-close-camera", daemon=True)
    closing.start()
    closing.join(CLOSE_S)
