"""Tells a face from what a tracker makes of a hand before it, a lamp switched off, or somebody else."""

from __future__ import annotations

from typing import Literal

import numpy as np

from avatar.retarget.driver_face import DriverFace

# What a head may do between two frames: a base for the tracker's own steps, and a speed (a second). Fastest in 12 clips
# of talking people at 25 fps: 0.22 rad, 0.04, 0.25 and 0.06 from one frame to the next.
TURN, TURN_SPEED = 0.15, 4.0  # radians
SIZE, SIZE_SPEED = 0.05, 0.9  # natural logarithm
PLACE, PLACE_SPEED = 0.15, 5.0  # distances of the outer eye corners
SHAPE, SHAPE_SPEED = 0.045, 0.8  # root mean square over the landmarks, likewise
LONGEST_S = 0.1  # the most motion that is allowed for at once, unless one frame takes longer
EXCESS = 0.022  # of strangeness over this driver's usual (see Reference.strangeness); more when turned away
TURN_EXCESS = 0.02  # a radian
USUAL_S = 2.0  # time constant with which the usual is learnt
STEADY_S = 0.1  # how long a face must stand still after a jump before it is believed
STRANGER_S = 1.5  # how long a strange face must stay before it is believed

Verdict = Literal["usual", "moved", "stranger", "implausible"]


class Plausibility:
    """Judges each face by the one before it and by the driver's own."""

    def __init__(self) -> None:
        self._usual = 0.012
        self.reset()

    def reset(self) -> None:
        """The next face is taken as it is."""
        self._accepted: DriverFace | None = None
        self._accepted_s = 0.0  # how long ago
        self._before: DriverFace | None = None
        self._before_s = 0.0
        self._steady_s = self._strange_s = 0.0

    def missing(self, step_s: float) -> None:
        """No face was found, for `step_s` seconds."""
        self._accepted_s += step_s
        self._before_s += step_s

    def judge(self, face: DriverFace, strangeness: float | None, step_s: float) -> Verdict:
        """`face` is the raw one. "moved": believed again after a jump. "stranger": believed, but not this driver's."""
        self.missing(step_s)
        longest_s = max(LONGEST_S, step_s)
        steady = self._before is None or not _jumped(self._before, face, min(self._before_s, longest_s))
        waiting = self._before is not self._accepted  # the last one was not believed
        self._before, self._before_s = face, 0.0
        self._steady_s = self._steady_s + step_s if steady else 0.0
        verdict: Verdict = "usual"
        if self._accepted is not None:
            limit = self._usual + EXCESS + TURN_EXCESS * face.turn
            strange = strangeness is not None and strangeness > limit
            self._strange_s = self._strange_s + step_s if strange and steady else 0.0
            if strange:
                verdict = "stranger" if self._strange_s >= STRANGER_S else "implausible"
            elif _jumped(self._accepted, face, min(self._accepted_s, longest_s)) if waiting else not steady:
                verdict = "moved" if self._steady_s >= STEADY_S else "implausible"
        if verdict != "implausible":
            self._accepted, self._accepted_s, self._strange_s = face, 0.0, 0.0
        if verdict == "usual" and strangeness is not None:
            self._usual += min(1.0, step_s / USUAL_S) * (min(strangeness, 0.02) - self._usual)
        return verdict


def _jumped(before: DriverFace, face: DriverFace, elapsed_s: float) -> bool:
    change = np.abs(face.pose - before.pose)
    place = np.linalg.norm(change[4:6]) / np.exp(before.pose[3])
    shape = np.sqrt(((face.shape - before.shape)[:, :2] ** 2).sum(1).mean())
    return bool(
        np.linalg.norm(change[:3]) > TURN + TURN_SPEED * elapsed_s
        or change[3] > SIZE + SIZE_SPEED * elapsed_s
        or place > PLACE + PLACE_SPEED * elapsed_s
        or shape > SHAPE + SHAPE_SPEED * elapsed_s
    )
