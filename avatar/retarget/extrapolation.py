"""Motion for frames that were not tracked: when the tracker has time for every second frame only."""

from __future__ import annotations

import numpy as np

from avatar.face.driving import Driving
from avatar.face.face_model import face_model
from avatar.face.gaps import gaps, set_lid_gaps, uncross
from avatar.face.head_pose import head_pose
from avatar.face.regions import LEFT_LID_PAIRS, RIGHT_LID_PAIRS

DAMPING = 0.7  # of the last speed: a motion is as likely to end as to go on
FURTHEST = 0.02  # of the crop's side, by which a landmark is carried on at most
LONGEST_NS = 250_000_000  # between two tracked frames: beyond, their difference is no speed


class MotionExtrapolator:
    """Carries the last tracked motion on, damped and bounded, for at most one interval of the tracker.

    It guesses ahead instead of waiting: a picture between two tracked ones would have to wait for the second of them,
    one frame more of lag in everything that is shown, for a call's sake the worse choice. Against tracking every frame
    of three clips at 25 fps: 1.2 to 3.2 px of 512 off and 12 to 24 ms late; waiting, 2.1 to 4.8 px and 36 to 48 ms;
    showing the last one again, 1.6 to 3.8 px and 16 to 32 ms. Not thread-safe.
    """

    def __init__(self) -> None:
        self._before: Driving | None = None
        self._last: Driving | None = None

    def feed(self, driving: Driving) -> None:
        """Take in what the retargeter made of a tracked frame."""
        self._before, self._last = self._last, driving

    def extrapolate(self, capture_ns: int) -> Driving:
        """The Driving for a frame that was captured after the last tracked one. Raises ValueError before `feed`."""
        last, before = self._last, self._before
        if last is None:
            raise ValueError("extrapolate() needs a tracked frame first: feed() it")
        interval_ns = 0 if before is None else last.capture_ns - before.capture_ns
        ahead_ns = min(capture_ns - last.capture_ns, interval_ns)
        if before is None or ahead_ns <= 0 or interval_ns > LONGEST_NS:
            return Driving(last.landmarks, capture_ns, last.live)
        way = (last.landmarks - before.landmarks) * np.float32(DAMPING * ahead_ns / interval_ns)
        landmarks = last.landmarks + np.clip(way, -FURTHEST, FURTHEST)
        mean = face_model().mean_shape
        was, pose = head_pose(last.landmarks, mean), head_pose(landmarks, mean)
        shape, known = uncross(pose.remove(landmarks)), was.remove(last.landmarks)
        for pairs in (RIGHT_LID_PAIRS, LEFT_LID_PAIRS):  # lids stay: a blink ends as soon as it has begun
            shape = set_lid_gaps(shape, pairs, gaps(known, pairs))
        return Driving(pose.apply(shape), capture_ns, last.live)
