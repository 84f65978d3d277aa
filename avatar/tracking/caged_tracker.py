"""The face tracker in a process of its own: without network and files on Linux, and replaced when it dies.

MediaPipe is native code of others that looks at every picture of the camera, and would send usage logs home. Here it
gets pictures and gives numbers, nothing else. What the kernel refuses it is in `avatar.sandbox.confinement`.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from avatar.core.arrays import Picture
from avatar.core.closing import Closing
from avatar.core.errors import TrackerDownError, VisavisError
from avatar.face.state import FaceState, Tracker, no_face
from avatar.sandbox.seccomp import why_not_refusable
from avatar.tracking.cage_process import START_LIMIT_S, CageProcess, DownError
from avatar.tracking.cage_wire import ALONE, GOES_ON, MOST_FACES, NO_BOXES, STARTS_ANEW, Answer

FRAME_LIMIT_S, PATIENT_FRAME_LIMIT_S = 2.0, 20.0
FIRST_DELAY_S, LAST_DELAY_S = 0.2, 10.0  # before a restart; doubled each time
HEALTHY_S = 30.0  # once one has run for this long, the next delay is the first again
PATIENT_TRIES = 2  # of one picture


def cage_note() -> str | None:
    """One sentence where this computer cannot refuse the cage network and files; None where it can."""
    reason = why_not_refusable()
    if reason is None:
        return None
    return (
        f"The face tracker runs in a process of its own, but network and files stay reachable: {reason}. MediaPipe may "
        "send usage logs."
    )


def _say_on_stderr(line: str) -> None:
    print(line, file=sys.stderr)


class CagedTracker(Closing):
    """Tracks faces in a process of its own, to which Linux refuses sockets and files. MediaPipe is not loaded here.

    When that process dies or hangs, `track` says no_face at once, and a new one is started meanwhile; `say` gets one
    line when it died and one when it is back, from another thread. `patient`: for files rather than cameras, where no
    picture may be lost: wait for the new process and give it the same one again. Where a new process would not do, as
    it knows nothing of the pictures before, `tries` is 1. `describes`: every few seconds a descriptor says whose face
    a video shows.

    Raises VisavisError when it cannot start the first time. From any thread: one picture at a time, and only one thread
    gives those of a video.
    """

    def __init__(
        self,
        model: Path,
        mode: Literal["video", "image"] = "video",
        max_faces: int = 2,
        say: Callable[[str], None] = _say_on_stderr,
        *,
        patient: bool = False,
        tries: int = PATIENT_TRIES,
        describes: bool = False,
    ) -> None:
        if not 0 < max_faces <= MOST_FACES:
            raise ValueError(f"The tracker looks for 1 to {MOST_FACES} faces, not for {max_faces}.")
        self.restarts = 0
        self._how = (f"described {mode}" if describes else mode, max_faces, model)
        self._say = say
        self._patient = patient
        self._tries = tries if patient else 1
        self._forget = False
        self._asking = threading.Lock()
        self._newest: CageProcess | None = None  # perhaps still starting
        self._ready: CageProcess | None = None  # None: there is none to ask
        self._fault = ""  # why the last one went down or did not start
        self._closed = False
        self._changed = threading.Condition()
        # Linux kills the process together with the thread that started it: one that lives as long as the tracker.
        self._keeper = threading.Thread(target=self._keep, name="caged tracker", daemon=True)
        self._keeper.start()
        try:
            with self._changed:
                self._changed.wait_for(lambda: self._ready is not None or self._closed)
        except BaseException:
            self.close()
            raise
        if self._closed:
            raise VisavisError(self._fault)

    @property
    def pid(self) -> int | None:
        """Of the process that tracks; None while there is none."""
        ready = self._ready
        return None if ready is None else ready.pid

    def track(self, rgb: Picture, capture_ns: int) -> FaceState:
        """Find the face in an (H, W, 3) uint8 picture. In video mode, times must not go back; equal ones are nudged.

        A patient one raises TrackerDownError when one picture brings the process down at every try, and VisavisError
        when none starts again.
        """
        return self.track_all(rgb, capture_ns).face

    @property
    def image_mode(self) -> Tracker:
        """The same process, to be asked of pictures that have nothing to do with each other, nor with those of `track`.

        It waits for each as long as a patient one does: it is for files, before they play.
        """
        return _ImageMode(self._ask)

    def forget(self) -> None:
        """The next picture has nothing to do with those before, as at the start of another clip: times begin anew."""
        self._forget = True

    def track_all(self, rgb: Picture, capture_ns: int) -> Answer:
        """`track`, and where all other faces in the picture are."""
        before = STARTS_ANEW if self._forget else GOES_ON
        self._forget = False
        return self._ask(rgb, capture_ns, before, PATIENT_FRAME_LIMIT_S if self._patient else FRAME_LIMIT_S)

    def _ask(self, rgb: Picture, capture_ns: int, before: int, limit_s: float) -> Answer:
        if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or not rgb.size:
            raise ValueError(f"The tracker takes (H, W, 3) uint8 pictures, not {rgb.shape} of {rgb.dtype}.")
        for _ in range(self._tries):
            ready = self._wait_until_ready() if self._patient else self._ready
            if ready is None:
                break
            try:
                with self._asking:
                    return ready.track(rgb, capture_ns, limit_s, before)
            except DownError as error:
                with self._changed:
                    self._fault, self._ready = str(error), None
                    self._changed.notify_all()
        if not self._patient:
            return Answer(no_face(capture_ns), NO_BOXES)
        again = ", twice at the same picture" if self._tries > 1 else ""
        raise TrackerDownError(f"The face tracker {self._fault}{again}. Leave that picture out.")

    def close(self) -> None:
        """End the process. Safe to call twice."""
        with self._changed:
            self._closed, self._ready = True, None
            if self._newest is not None:
                self._newest.kill()
            self._changed.notify_all()
        self._keeper.join()

    def _wait_until_ready(self) -> CageProcess:
        with self._changed:
            self._changed.wait_for(lambda: self._ready is not None or self._closed, 2 * START_LIMIT_S)
            if self._ready is None:
                raise VisavisError(f"The face tracker does not start again: {self._fault or 'closed'}.")
            return self._ready

    def _keep(self) -> None:
        """In a thread of its own: start the process, and another one whenever it is down."""
        if not self._start():
            with self._changed:
                self._closed = True
                self._changed.notify_all()
            return
        delay_s = FIRST_DELAY_S
        while True:
            started_s = time.monotonic()
            with self._changed:
                self._changed.wait_for(lambda: self._ready is None)
            assert self._newest is not None
            self._newest.end()
            if self._closed:
                return
            self._say(f"The face tracker {self._fault}. Another one is being started.")
            if time.monotonic() - started_s >= HEALTHY_S:
                delay_s = FIRST_DELAY_S
            back = False
            while not back:
                with self._changed:
                    if self._changed.wait_for(lambda: self._closed, delay_s):
                        return
                back = self._start()
                delay_s = min(2 * delay_s, LAST_DELAY_S)
            self.restarts += 1
            self._say("The face tracker is back.")

    def _start(self) -> bool:
        """Whether there is a process to ask now. `_fault` says why not."""
        process: CageProcess | None = None
        try:
            process = CageProcess(*self._how)
            with self._changed:
                self._newest = process
                if self._closed:
                    process.kill()
            process.wait_for_start()
        except VisavisError as error:
            if process is not None:
                process.end()
            self._fault = str(error)
            return False
        with self._changed:
            if not self._closed:
                self._ready = process
            self._changed.notify_all()
        return True


@dataclass(frozen=True)
class _ImageMode:
    """`CagedTracker.image_mode`."""

    ask: Callable[[Picture, int, int, float], Answer]

    def track(self, rgb: Picture, capture_ns: int) -> FaceState:
        return self.ask(rgb, capture_ns, ALONE, PATIENT_FRAME_LIMIT_S).face
