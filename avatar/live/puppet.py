"""An avatar that a Python program drives, picture by picture, with the parts of the live loop."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack

import numpy as np
from numpy.typing import NDArray

from avatar.core.arrays import Picture
from avatar.core.avatar import Avatar
from avatar.core.closing import Closing
from avatar.core.errors import UsageError, VisavisError
from avatar.face.state import FaceState
from avatar.live.animator import Animator
from avatar.live.governor import Governor
from avatar.live.latency import LatencyRecorder
from avatar.live.live_report import STAGES
from avatar.live.options import LiveOptions
from avatar.live.session import open_rig
from avatar.tracking.caged_tracker import CagedTracker
from avatar.tracking.model_asset import tracker_model
from avatar.trust.left_out import record_left_out
from engines import Engine, EngineDescription, EngineFailure, Say, Tensors, on_stderr


class Puppet(Closing):
    """Draws one avatar as a driver moves. Tracking, retargeting and drawing are those of `visavis live`.

    avatar: of `enroll` or `load`. options: size of the picture, background, mode, mirror, engine; 512 x 512 without.
    engine: of `open_shared_engine`, shared by several puppets, which then draw in turns, in one thread, and do not
    close it; a fine-tuned avatar opens its own all the same. None: one of its own. patient: for files, where no frame
    may be lost: when the face tracker dies, `drive` waits for the next one, while a live puppet idles. say: gets a line
    when a part fails or is back, from any thread.

    Its pictures say that they are AI generated, as options.label wants it, and carry the mark that `visavis verify`
    reads.

    The tracker, a process of its own, starts with the first `drive` or `track`; without them there is none. The
    driver's neutral face is learnt from the first calm second. Without a face the avatar keeps its last pose for 0.3 s,
    then eases into idle motion. One thread drives a puppet. Close it, or use it in a `with` statement.

    OpenBLAS, in numpy, takes as many threads as there are processors, too many for matrices as small as these: on two
    cores, two threads were 5 to 25 % slower than one, at four times the processor time. visavis does not change your
    process: set OPENBLAS_NUM_THREADS=1 before numpy is imported, where nothing else needs more.

    Raises VisavisError where no engine can draw, InputError where an avatar does not fit the installed network.
    """

    def __init__(
        self,
        avatar: Avatar,
        options: LiveOptions | None = None,
        engine: Engine | None = None,
        *,
        patient: bool = False,
        say: Say = on_stderr,
    ) -> None:
        options = options or LiveOptions()
        self._patient, self._say = patient, say
        self._tracker: CagedTracker | None = None
        self._last_ns = 0
        with ExitStack() as opened:
            try:
                person = options.engine.person(avatar)
                if engine is not None and not person.fine_tuned:
                    shown: Engine = _Borrowed(engine)
                else:
                    shown = options.engine.open(person, say)
                opened.callback(shown.close)
                latency = LatencyRecorder(STAGES)
                rig = open_rig(person, shown, options, latency)
            except EngineFailure as failure:
                raise VisavisError(str(failure)) from failure
            self._animator = Animator(rig, Governor(), lambda shown: options.engine.open(shown, say), latency, say)
            if unlabelled := record_left_out(person.name, options.label):
                say(unlabelled)
            opened.pop_all()

    def drive(self, frame_rgb: Picture, capture_ns: int | None = None) -> Picture:
        """The avatar's picture (height, width, 3), uint8 RGB, for a driver's (H, W, 3), uint8 RGB.

        capture_ns: when it was taken, in nanoseconds on any clock that only goes forward; now, without. No pixel of
        the driver's picture is in the result. Raises ValueError for another kind of array, VisavisError where nothing
        can be drawn.
        """
        return self.drive_state(self.track(frame_rgb, capture_ns))

    def drive_state(self, state: FaceState) -> Picture:
        """The avatar's picture (height, width, 3), uint8 RGB, for a tracked face, e.g. of a .motion file.

        `no_face(capture_ns)` lets it idle. Raises UsageError where time goes back, VisavisError where nothing can be
        drawn.
        """
        if state.capture_ns < self._last_ns:
            raise UsageError("The puppet's time goes back: give capture_ns of one clock, in order.")
        self._last_ns = state.capture_ns
        try:
            return self._animator.paint(state).rgb.copy()
        except EngineFailure as failure:
            raise VisavisError(str(failure)) from failure

    def track(self, frame_rgb: Picture, capture_ns: int | None = None) -> FaceState:
        """The face in an (H, W, 3), uint8 RGB picture, as numbers: to drive several puppets with, or to keep.

        Raises as `drive` does.
        """
        if self._tracker is None:
            model = tracker_model(self._say)
            self._tracker = CagedTracker(model, "video", say=self._say, patient=self._patient, describes=True)
        now_ns = time.monotonic_ns() if capture_ns is None else capture_ns
        return self._tracker.track(np.ascontiguousarray(frame_rgb), now_ns)

    def recalibrate(self) -> None:
        """Forget the driver's neutral face and rest pose, and learn them from what comes next: for another driver."""
        self._animator.rig.retargeter.recalibrate()

    def close(self) -> None:
        """End its processes and its engine. Safe to call twice."""
        if self._tracker is not None:
            self._tracker.close()
        self._animator.close()


class _Borrowed:
    """Somebody else's engine, which stays open."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.inputs, self.outputs = engine.inputs, engine.outputs

    def infer(self, inputs: Mapping[str, NDArray[np.generic]]) -> Tensors:
        return self._engine.infer(inputs)

    def describe(self) -> EngineDescription:
        return self._engine.describe()

    def close(self) -> None:
        pass
