"""From the driver's face to the avatar's landmarks: expression and pose move over, the shape of the face does not."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, cast, get_args

from avatar.core.arrays import Array
from avatar.core.avatar import Avatar
from avatar.core.errors import UsageError
from avatar.core.plain_text import plain_text
from avatar.face.crop import Crop
from avatar.face.driving import Driving
from avatar.face.face_descriptor import distance
from avatar.face.face_model import face_model
from avatar.face.head_pose import from_vector, head_pose
from avatar.face.state import FaceState
from avatar.retarget.calibration import Calibration, Reference
from avatar.retarget.driver_face import DriverFace, DriverView, FaceFilter, driver_face
from avatar.retarget.expression import Expression
from avatar.retarget.face_gate import FaceGate
from avatar.retarget.frame_clock import FrameClock
from avatar.retarget.gains import Gains
from avatar.retarget.head_motion import HeadMotion
from avatar.retarget.held_expression import HeldExpression
from avatar.retarget.hold import Hold
from avatar.retarget.identity_lock import IdentityLock
from avatar.retarget.idle import IdleMotion
from avatar.retarget.inertialization import Inertialization
from avatar.retarget.likeness import STRANGER, Likeness, Whose
from avatar.retarget.own_neutral import OwnNeutral

Mode = Literal["relative", "absolute"]
ExpressionMode = Literal["auto", "relative", "absolute"]
AVATAR_CROP = Crop(0, 0, 1)  # a portrait's landmarks are in [0, 1] already

TO_IDLE_S, FROM_IDLE_S = 0.8, 0.3  # how long the picture takes to arrive at the idle pose, and back at the driver's
CHANGE_S = 0.4  # the same for another mode, other gains, a new reference
LEAST_CONFIDENCE = 0.8  # share of the face that must lie inside the driver's picture


def expression_mode(text: object) -> ExpressionMode:
    """As somebody has typed it. Raises UsageError."""
    for mode in get_args(ExpressionMode):
        if text == mode:
            return cast(ExpressionMode, mode)
    raise UsageError(
        f"{plain_text(text, 40)} is no way to take an expression.",
        "Use --mode auto, relative or absolute.",
        "Use auto, relative or absolute.",
    )


class Retargeter:
    """Turns FaceStates into Driving for one avatar.

    The driver's neutral shape is what is left of a tracked face when its blendshapes' share is taken away; the avatar's
    comes from its portrait in the same way. `relative` adds the driver's turns and moves since rest to the portrait's
    own pose; `absolute` takes the driver's pose and place as they are in `frame_crop` of the driver's picture.

    The driver's expression is what differs from the driver's neutral face; from the avatar's, where `expression` is
    `absolute`: only the avatar's own person has a face that can be compared with it. `auto` finds out who drives.

    `smoothing` off gives what was measured: nothing is filtered, doubted or framed, and `absolute` knows no limits.

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
        self.mode: Mode = mode  # of the head
        self.expression: ExpressionMode = "auto"
        self.gains = gains or Gains()
        self.mirror = mirror  # the driver's left moves the picture's left, as in a mirror
        self.follow = False  # the head stays in the middle, as a camera operator keeps it
        self.idle_only = False  # whoever is there, the avatar idles
        self.frozen = False  # the last Driving again and again
        self.smoothing = smoothing
        poses = [head_pose(landmarks, face_model().mean_shape) for landmarks in avatar.landmarks]
        portrait = driver_face(avatar.landmarks[0], avatar.blendshapes[0], AVATAR_CROP)
        own = Reference.of(portrait, avatar.blendshapes[0]).face
        self._view, self._gate, self._filter = DriverView(frame_crop), FaceGate(), FaceFilter()
        held = HeldExpression.of(avatar.blendshapes[0])
        self._transfer = Expression(own.shape, smoothing, held)
        self._head = HeadMotion(poses, framed=smoothing)
        self._own = OwnNeutral(own)
        self._likeness, self._lock = Likeness(avatar.descriptors), IdentityLock(avatar.locked)
        self._was_absolute = False
        self._idle = IdleMotion(portrait.shape, poses[0])
        self._clock, self._hold, self._inertialization = FrameClock(), Hold(), Inertialization()
        self._target = portrait.shape, portrait.pose  # what the driver wants, as last believed
        self._last: Driving | None = None
        self._calibration = Calibration()
        self._recalled: DriverFace | None = None  # of an earlier time
        self._settings = self._now()

    @property
    def frame_crop(self) -> Crop | None:
        """What is looked at of the driver's picture. None before the first face, where none was given."""
        return self._view.crop

    @frame_crop.setter
    def frame_crop(self, crop: Crop | None) -> None:
        self._view.crop = crop

    @property
    def calibrated(self) -> float:
        """0 … 1: how much of the driver's first reference has been learnt."""
        return self._calibration.share

    @property
    def whose(self) -> Whose:
        """Whether the face that drives is the avatar's own."""
        return self._likeness.whose

    @property
    def locked(self) -> bool:
        """Whether it idles because somebody else than the avatar's own person is there."""
        return self._lock.shut

    def lock_at_first(self) -> None:
        """Idle until the avatar's own person is seen, where it is for them alone; else a moment is given first."""
        self._lock.shut_at_first()

    def unlock(self) -> None:
        """Let anybody drive the avatar."""
        self._lock.on = False

    @property
    def absolute(self) -> bool:
        """Whether the driver's expression is taken as it is."""
        return self.expression == "absolute" or (self.expression == "auto" and self.whose == "own")

    @property
    def driver(self) -> Array | None:
        """(128,) descriptor of whoever drives; None before it is known."""
        return self._likeness.driver

    def recognise(self, descriptor: Array) -> None:
        """Say who drives, by a (128,) descriptor of the face. Whoever looks quite different is somebody else."""
        if self.driver is not None and distance(self.driver, descriptor) > STRANGER:
            self._start_again()
        self._likeness.see(descriptor)

    @property
    def neutral(self) -> DriverFace | None:
        """The driver's neutral face, once it has been learnt."""
        learnt = self._calibration.learnt
        return None if learnt is None else learnt.face

    def recall(self, neutral: DriverFace) -> None:
        """Go by a neutral face that was learnt of this driver before. How the driver sits now is learnt anew."""
        if not self._calibration.fixed:
            self._recalled = neutral

    def recalibrate(self, *calm: FaceState) -> None:
        """Forget the driver's neutral face and rest pose; learn them from `calm` alone, else from what comes next."""
        seen = [(self._view.face(state), state.blendshapes) for state in calm if state.found]
        self._calibration, self._recalled = Calibration.of(seen), None

    def another_driver(self) -> None:
        """Somebody else may drive from now on: who it is, and how they look at rest, is learnt anew."""
        self._likeness.forget()
        self.recalibrate()

    def drive(self, state: FaceState) -> Driving:
        """The avatar's landmarks for one tracked frame. Without a face, eases to a living idle pose."""
        last = self._last
        if self.frozen and last is not None:
            self._clock.stop()
            return Driving(last.landmarks, state.capture_ns, last.live)
        step_s, paused = self._clock.tick(state.capture_ns)
        if paused:  # go on from the picture that is there
            self._filter.reset()
            self._gate.reset()
            self._transfer.reset()
            self._inertialization.start(FROM_IDLE_S)
        if (settings := self._now()) != self._settings:
            self._settings = settings
            self._transfer.reset()
            self._head.reset()
            self._inertialization.start(CHANGE_S)
        if state.descriptor is not None:
            self.recognise(state.descriptor)
        if self.absolute != self._was_absolute:
            self._was_absolute = self.absolute
            self._transfer.reset()
            self._inertialization.start(CHANGE_S)
        whole = state.found and state.confidence >= LEAST_CONFIDENCE and not (self.smoothing and state.covered)
        locked = self._lock.update(self.whose, state.found, step_s)
        present = whole and not (self.idle_only or locked)
        if not present:
            self._gate.absent(step_s)
        driven = self._shows_driver(present and self._follow(state, step_s), step_s)
        self._idle.advance(step_s)
        shape, pose = self._inertialization(*(self._target if driven else self._idle.now()), step_s)
        self._last = Driving(from_vector(pose).apply(shape), state.capture_ns, present and driven)
        return self._last

    def _now(self) -> tuple[object, ...]:
        return self.mode, self.gains, self.mirror, self._calibration

    def _shows_driver(self, believed: bool, step_s: float) -> bool:
        """Whether the driver's target is shown, or the idle pose."""
        before = self._hold.driven
        driven = self._hold.update(believed, not (self.idle_only or self.locked), step_s)
        if not driven:
            self._filter.reset()
            self._transfer.reset()
        if driven != before:
            self._inertialization.start(FROM_IDLE_S if driven else TO_IDLE_S)
        return driven

    def _follow(self, state: FaceState, step_s: float) -> bool:
        """Take the driver's face as the new target, if it is to be believed."""
        face = self._view.face(state)
        if self.smoothing:
            verdict = self._gate.judge(face, self._strangeness(face, state), step_s)
            if verdict == "implausible":
                return False
            if verdict != "usual" or self._hold.missing_s > 0:  # it was held: go on from there
                self._filter.reset()
                self._inertialization.start(FROM_IDLE_S)
                self._head.reframe()
            if verdict == "stranger":
                self._start_again()
            face = self._filter(face, state.capture_ns / 1e9)
        if self._recalled is not None:
            seen = self._calibration.reference
            pose = face.pose if seen is None else seen.face.pose
            self._calibration = Calibration.remembered(Reference(replace(self._recalled, pose=pose)))
            self._recalled = None
        calm = self._calibration.learn(face, state.blendshapes, step_s).face
        neutral = self._own.of(calm) if self.absolute else calm
        if self.mirror:
            face, calm, neutral = face.mirrored(), calm.mirrored(), neutral.mirrored()
        self._head.stay_in_the_middle(self.follow)
        pose = self._head.of(face, calm, self.mode == "relative", self.gains.head, step_s)
        self._target = self._transfer.of(face, neutral, self.gains, step_s), pose
        return True

    def _strangeness(self, face: DriverFace, state: FaceState) -> float | None:
        """None while too little of the driver is known."""
        learnt = self._calibration.learnt
        return None if learnt is None else learnt.strangeness(face, state.blendshapes)

    def _start_again(self) -> None:
        """Somebody else has taken the driver's place."""
        self._likeness.forget()
        if not self._calibration.fixed:
            self.recalibrate()
            self._gate.reset()
            self._inertialization.start(CHANGE_S)
            self._settings = self._now()
