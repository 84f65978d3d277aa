"""From the driver's face to the avatar's landmarks: expression and pose move over, the shape of the face does not."""

from __future__ import annotations

from typing import Literal

import numpy as np

from avatar.core.arrays import Array
from avatar.core.avatar import Avatar
from avatar.face.crop import Crop, face_crop
from avatar.face.driving import Driving
from avatar.face.face_model import face_model
from avatar.face.head_pose import from_vector, head_pose, to_vector, turn_between
from avatar.face.state import FaceState
from avatar.retarget.calibration import Calibration, Reference
from avatar.retarget.driver_face import DriverFace, FaceFilter, driver_face
from avatar.retarget.expression import Expression
from avatar.retarget.framing import Framing, place
from avatar.retarget.gains import Gains
from avatar.retarget.head_limits import HeadLimits, moved
from avatar.retarget.idle import IdleMotion
from avatar.retarget.inertialization import Inertialization
from avatar.retarget.plausibility import TURN_EXCESS, Plausibility

Mode = Literal["relative", "absolute"]

HOLD_S = 0.3  # so long the last pose is kept when the face is missing or implausible; then idle
EASE_OUT_S, EASE_IN_S = 0.8, 0.3  # into the idle pose and back
CHANGE_S = 0.4  # for another mode, other gains, a new reference
PAUSE_S = 0.5  # between two frames: from here on it was a pause, and the past says nothing
LEAST_CONFIDENCE = 0.8  # of the face must lie inside the driver's picture
GONE_S, LOOK_S = 0.15, 0.25  # an absence after which it may be somebody else, and how long that is looked at
STRANGER = 0.022  # strangeness, as a mean, of somebody who has just come, looking ahead


class Retargeter:
    """Turns FaceStates into Driving for one avatar.

    The driver's neutral shape is what is left of a tracked face when its blendshapes' share is taken away; the avatar's
    comes from its portrait in the same way. `relative` adds the driver's turns and moves since rest to the portrait's
    own pose; `absolute` takes the driver's pose and place as they are in `frame_crop` of the driver's picture.

    `smoothing` off gives what was measured: nothing is calmed, judged or held, and `absolute` knows no limits.

    `drive` belongs to one thread. The public attributes may be set from any other at any time; the picture eases over.
    """

    def __init__(
        self,
        avatar: Avatar,
        mode: Mode = "relative",
        frame_crop: Crop | None = None,
        smoothing: bool = True,
        *,
        gains: Gains | None = None,
        mirror: bool = False,
    ) -> None:
        self.mode: Mode = mode
        self.gains = gains or Gains()
        self.mirror = mirror  # the driver's left moves the picture's left, as in a mirror
        self.idle_only = False  # whoever is there, the avatar idles
        self.frozen = False  # the last Driving again and again
        self.frame_crop, self.smoothing = frame_crop, smoothing
        model = face_model()
        poses = [head_pose(landmarks, model.mean_shape) for landmarks in avatar.landmarks]
        self._pose = poses[0]
        self._limits, self._framing = HeadLimits.of(poses), Framing()
        self._reframe = False  # the driver's place is a new one: what exceeds the limits is made good at once
        shape = self._pose.remove(avatar.landmarks[0])
        self._expression = Expression(shape - model.expression(avatar.blendshapes[0]), judged=smoothing)
        self._idle, self._idle_s = IdleMotion(shape, self._pose), 0.0
        self._filter, self._plausibility, self._inertialization = FaceFilter(), Plausibility(), Inertialization()
        self._target = shape, to_vector(self._pose)  # what the driver wants, as last believed
        self._driven = False  # or idle
        self._missing_s = self._absent_s = 0.0
        self._look_s = 0.0  # so long it is still looked at who has come
        self._strangeness = 0.0  # mean of what was seen of him
        self._frame_px = 0  # longer side of the driver's picture at first; all places are in its pixels
        self._last: Driving | None = None
        self._last_ns = 0
        self._was_frozen = False
        self.recalibrate()
        self._settings = self._now()

    @property
    def calibrated(self) -> float:
        """0 … 1: how much of the driver's first reference has been learnt."""
        return self._calibration.share

    def recalibrate(self, *calm: FaceState) -> None:
        """Forget the driver's neutral face and rest pose; learn them from `calm` alone, else from what comes next."""
        seen = [(self._face(state), state.blendshapes) for state in calm if state.found]
        self._calibration = Calibration.of(seen)

    def drive(self, state: FaceState) -> Driving:
        """The avatar's landmarks for one tracked frame. Without a face, eases to a living idle pose."""
        last = self._last
        if self.frozen and last is not None:
            self._was_frozen = True
            return Driving(last.landmarks, state.capture_ns, last.live)
        step_s = 0.0 if last is None else (state.capture_ns - self._last_ns) / 1e9
        if self._was_frozen or not 0 <= step_s <= PAUSE_S:
            # a pause, a laptop that slept, a clip that starts again: go on from the picture that is there
            step_s = min(max(step_s, 0.0), 0.04)
            self._filter.reset()
            self._plausibility.reset()
            self._expression.reset()
            self._inertialization.start(EASE_IN_S)
        self._was_frozen, self._last_ns = False, state.capture_ns
        if (settings := self._now()) != self._settings:
            self._settings = settings
            self._expression.reset()
            self._framing.reset()
            self._reframe = True
            self._inertialization.start(CHANGE_S)
        whole = state.found and state.confidence >= LEAST_CONFIDENCE and not (self.smoothing and state.covered)
        present = whole and not self.idle_only
        believed = present and self._follow(state, step_s)
        driven = self._held(present, believed, first=last is None, step_s=step_s)
        self._idle_s += step_s
        if driven != self._driven and last is not None:
            self._inertialization.start(EASE_IN_S if driven else EASE_OUT_S)
        self._driven = driven
        shape, pose = self._inertialization(*(self._target if driven else self._idle.at(self._idle_s)), step_s)
        self._last = Driving(from_vector(pose).apply(shape), state.capture_ns, present and driven)
        return self._last

    def _now(self) -> tuple[object, ...]:
        return self.mode, self.gains, self.mirror, self._calibration

    def _held(self, present: bool, believed: bool, first: bool, step_s: float) -> bool:
        """Whether the driver's target is shown: it is kept for a moment when there is nothing to follow."""
        if believed:
            self._missing_s = 0.0
            return True
        self._missing_s += step_s
        if not present:
            self._absent_s += step_s
            self._plausibility.missing(step_s)
        held = self._driven and not first and not self.idle_only and self._missing_s <= HOLD_S
        if not held:
            self._filter.reset()
            self._expression.reset()
        return held

    def _follow(self, state: FaceState, step_s: float) -> bool:
        """Take the driver's face as the new target, if it is to be believed."""
        raw = self._face(state)
        if self._absent_s > PAUSE_S:
            self._plausibility.reset()
        came = self._absent_s > GONE_S
        self._absent_s = 0.0
        reference = self._calibration.reference
        if self.smoothing:
            sure = reference is not None and self.calibrated >= 1
            strangeness = reference.strangeness(raw, state.blendshapes) if reference is not None and sure else None
            verdict = self._plausibility.judge(raw, strangeness, step_s)
            if came or verdict == "moved":
                self._look_s, self._strangeness = LOOK_S, 0.0
            if strangeness is None or verdict == "stranger":
                self._look_s = 0.0
            elif self._look_s > 0:
                self._strangeness += (strangeness - TURN_EXCESS * raw.turn) * step_s / LOOK_S
                self._look_s -= step_s
                if self._look_s > 0:
                    return False
                if self._strangeness > STRANGER:
                    verdict = "stranger"
            if verdict == "implausible":
                return False
            if verdict != "usual" or self._missing_s > 0:  # it was held: go on from there
                self._filter.reset()
                self._inertialization.start(EASE_IN_S)
                self._reframe = True
            if verdict == "stranger":
                self._start_again()
        face = self._filter(raw, state.capture_ns / 1e9) if self.smoothing else raw
        reference = self._calibration.learn(face, state.blendshapes, step_s)
        self._target = self._transfer(face, reference, step_s)
        return True

    def _start_again(self) -> None:
        if not self._calibration.fixed:
            self.recalibrate()
            self._plausibility.reset()
            self._inertialization.start(CHANGE_S)
            self._settings = self._now()

    def _face(self, state: FaceState) -> DriverFace:
        """In the driver's crop, whatever size his picture has now."""
        self._frame_px = self._frame_px or state.frame_px
        landmarks = state.landmarks
        if state.frame_px not in (0, self._frame_px):
            landmarks = landmarks * np.float32(self._frame_px / state.frame_px)
        if self.frame_crop is None:
            # only differences of place and size matter from here on: any fixed square will do
            width, height = np.ceil(landmarks[:, :2].max(0)).astype(int)
            self.frame_crop = face_crop(landmarks, max(1, int(width)), max(1, int(height)))
        return driver_face(landmarks, state.blendshapes, self.frame_crop)

    def _transfer(self, face: DriverFace, reference: Reference, step_s: float) -> tuple[Array, Array]:
        """The avatar's pose-free shape and pose for the driver's."""
        calm, gains = reference.face, self.gains
        if self.mirror:
            face, calm = face.mirrored(), calm.mirrored()
        shape = self._expression.of(face, calm, gains)
        own = self._pose
        base = from_vector(calm.pose) if self.mode == "relative" else own
        now = from_vector(face.pose)
        since_rest = self._framing.since_rest(place(now), place(base))
        if self.smoothing and gains.head > 0:
            shown = np.float32(gains.head) * np.array([1, own.scale, own.scale, own.scale], np.float32)
            low, high = self._limits.low[3:] / shown, self._limits.high[3:] / shown
            since_rest = self._framing.follow(since_rest, low, high, step_s, self._reframe)
            self._reframe = False
        turn = turn_between(now.rotation, base.rotation)
        change = np.float32(gains.head) * np.array([*turn, since_rest[0], *since_rest[1:] * own.scale], np.float32)
        if self.smoothing or self.mode == "relative":
            change = self._limits.ease(change)
        return shape, to_vector(moved(own, change))
