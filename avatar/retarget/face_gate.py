"""Which of the tracked faces may drive: plausible ones, and newcomers only once it is known whose face it is."""

from __future__ import annotations

from avatar.retarget.driver_face import DriverFace
from avatar.retarget.frame_clock import PAUSE_S
from avatar.retarget.plausibility import TURN_EXCESS, Plausibility, Verdict

GONE_S = 0.15  # an absence after which it may be somebody else
LOOK_S = 0.25  # how long a newcomer is looked at
STRANGER = 0.022  # mean strangeness of a newcomer, looking ahead, from which it is somebody else


class FaceGate:
    """Judges each face by `Plausibility`; one that comes after an absence or a jump has to wait for LOOK_S."""

    def __init__(self) -> None:
        self._plausibility = Plausibility()
        self._absent_s = 0.0
        self._look_left_s = 0.0
        self._strangeness = 0.0  # mean of what was seen of the newcomer so far

    def reset(self) -> None:
        """The next face need not follow from the last."""
        self._plausibility.reset()

    def absent(self, step_s: float) -> None:
        """No face was found, for `step_s` seconds."""
        self._absent_s += step_s
        self._plausibility.missing(step_s)

    def judge(self, face: DriverFace, strangeness: float | None, step_s: float) -> Verdict:
        """As of `Plausibility`; "implausible" also while a newcomer is looked at. `strangeness`: None while the driver
        is not known well enough for it."""
        if self._absent_s > PAUSE_S:
            self._plausibility.reset()
        came = self._absent_s > GONE_S
        self._absent_s = 0.0
        verdict = self._plausibility.judge(face, strangeness, step_s)
        if came or verdict == "moved":
            self._look_left_s, self._strangeness = LOOK_S, 0.0
        if strangeness is None or verdict == "stranger":
            self._look_left_s = 0.0
        elif self._look_left_s > 0:
            self._strangeness += (strangeness - TURN_EXCESS * face.turn) * step_s / LOOK_S
            self._look_left_s -= step_s
            if self._look_left_s > 0:
                return "implausible"
            if self._strangeness > STRANGER:
                return "stranger"
        return verdict
