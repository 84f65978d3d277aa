"""The driver's neutral face and rest pose: learnt from calm frames, improved by calmer ones."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from avatar.core.arrays import Array
from avatar.face.face_model import face_model
from avatar.face.gaps import gaps, mouth_width
from avatar.face.regions import INNER_LIP_PAIRS
from avatar.face.state import BLENDSHAPE_INDEX
from avatar.retarget.driver_face import DriverFace

ENOUGH_S = 0.5  # of perfect calm that make a reference; half as calm takes twice as long
WINDOW_S = 1.0  # of later frames that may make a better reference
BETTER = 1.15  # how many times as calm a later reference must be to take over
FORGET_S = 600.0  # after which a reference's calm counts 1/e: people sit differently, lamps are lit
SETTLE_S, IMPROVE_S = 0.25, 2.0  # time constants with which the reference follows, at first and later
REMEMBERED = 0.3  # calm of a reference of an earlier run
FLOOR = 0.02  # calm of the wildest frame: a reference has to start from something

_EXPRESSIVE = [
    BLENDSHAPE_INDEX[name]
    for name in ("jawOpen", "mouthSmileLeft", "mouthSmileRight", "mouthPucker", "mouthFunnel", "browInnerUp",
                 "mouthLeft", "mouthRight", "eyeWideLeft", "eyeWideRight")
]  # fmt: skip
_BLINK = [BLENDSHAPE_INDEX["eyeBlinkLeft"], BLENDSHAPE_INDEX["eyeBlinkRight"]]
_LOOK = [i for name, i in BLENDSHAPE_INDEX.items() if name.startswith("eyeLook")]


@dataclass(frozen=True, slots=True)
class Reference:
    """What "no expression" and "at rest" mean for one driver."""

    face: DriverFace  # the shape without what its blendshapes explain

    @classmethod
    def of(cls, face: DriverFace, blendshapes: Array) -> Reference:
        """By one frame."""
        shape = face.shape - face_model().expression(blendshapes)
        return cls(DriverFace(shape, face.pose, face.blinks, face.openings))

    def towards(self, other: Reference, share: float) -> Reference:
        parts = zip(self.face.parts(), other.face.parts(), strict=True)
        return Reference(DriverFace(*(mine + np.float32(share) * (its - mine) for mine, its in parts)))

    def strangeness(self, face: DriverFace, blendshapes: Array) -> float:
        """How unlike this driver's a face is whatever its expression: 0.01 to 0.02 of the distance of the outer eye
        corners for the same person, 0.02 to 0.06 for another one, a hand before the face, or darkness."""
        apart = face.shape - face_model().expression(blendshapes) - self.face.shape
        return float(np.sqrt((apart[:, :2] ** 2).sum(1).mean()))


class Calibration:
    """Learns a Reference while the driver drives. One second of calm is enough; until then, whatever came first serves.

    Later, each second is a candidate: a clearly calmer one (straighter, stiller, mouth shut, eyes open) takes over,
    slowly enough to go unnoticed. `fixed` ends the learning.

    A mean of all frames by their calm forgives a smile at the start no faster (0.3 mm of the lips after 5 s of talk,
    either way), and takes in so much of what expressions leave that lips purse and brows rise by a quarter less.
    """

    def __init__(self) -> None:
        self.fixed = False
        self.share = 0.0  # 0 … 1: how much of a first reference is there
        self.reference: Reference | None = None
        self._target = _Mean()
        self._window = _Mean()
        self._score = 0.0
        self._last: DriverFace | None = None

    @property
    def learnt(self) -> Reference | None:
        """The reference, once all of the first one is there."""
        return None if self.share < 1 else self.reference

    @classmethod
    def of(cls, calm: Iterable[tuple[DriverFace, Array]]) -> Calibration:
        """From faces and blendshapes that are known to be calm, once and for all."""
        result = cls()
        for face, blendshapes in calm:
            result._target.add(Reference.of(face, blendshapes), 1.0, 1.0)
        if result._target.seconds:
            result.reference, result.share, result.fixed = result._target.mean(), 1.0, True
        return result

    @classmethod
    def remembered(cls, reference: Reference) -> Calibration:
        """From what an earlier run has learnt: it serves at once, until what is seen now is as calm as people are."""
        result = cls()
        result._target.add(reference, 1.0, ENOUGH_S)
        result.reference, result.share, result._score = reference, 1.0, REMEMBERED
        return result

    def learn(self, face: DriverFace, blendshapes: Array, step_s: float) -> Reference:
        """Take in one smoothed frame, `step_s` after the last one; the reference to go by."""
        if self.fixed and self.reference is not None:
            return self.reference
        calm = calmness(face, blendshapes, self._last, step_s)
        self._last = face
        seen = Reference.of(face, blendshapes)
        if self.share < 1:
            self._target.add(seen, calm, max(step_s, 1e-3))
            self.share = min(1.0, self._target.calm_s / ENOUGH_S)
            self._score = self._target.score()
        else:
            self._score *= float(np.exp(-step_s / FORGET_S))
            self._window.add(seen, calm, step_s)
            if self._window.seconds >= WINDOW_S:
                if self._window.score() > BETTER * self._score:
                    self._target, self._score = self._window, self._window.score()
                self._window = _Mean()
        if self.reference is None:
            self.reference = seen
        follow_s = SETTLE_S if self.share < 1 else IMPROVE_S
        self.reference = self.reference.towards(self._target.mean(), 1 - float(np.exp(-step_s / follow_s)))
        return self.reference


def calmness(face: DriverFace, blendshapes: Array, before: DriverFace | None, step_s: float) -> float:
    """In [FLOOR, 1]: straight towards the camera, still, mouth shut, eyes open and looking ahead."""
    mouth = float(gaps(face.shape, INNER_LIP_PAIRS).max()) / mouth_width(face.shape)
    acted = float(blendshapes[_EXPRESSIVE].sum())
    shut = float(blendshapes[_BLINK].max())
    looks = float(blendshapes[_LOOK].sum())
    speed = 0.0
    if before is not None and step_s > 0:
        moved = face.pose - before.pose
        moved[4:] /= np.exp(face.pose[3])
        speed = float(np.linalg.norm(moved[:6])) / step_s
    turned = face.turn / 0.35
    excess = np.array([turned, mouth / 0.12, acted / 0.9, max(shut - 0.15, 0) / 0.2, looks / 1.6, speed / 0.4])
    return max(FLOOR, float(np.exp(-(excess**2).sum())))


class _Mean:
    """A mean of references by their calm."""

    def __init__(self) -> None:
        self._sum: Reference | None = None
        self.seconds = self.calm_s = 0.0

    def add(self, seen: Reference, calm: float, step_s: float) -> None:
        self.seconds += step_s
        self.calm_s += calm * step_s
        share = calm * step_s / max(self.calm_s, 1e-9)
        self._sum = seen if self._sum is None else self._sum.towards(seen, share)

    def mean(self) -> Reference:
        if self._sum is None:
            raise ValueError("nothing was added")
        return self._sum

    def score(self) -> float:
        """The mean calm, in [0, 1]."""
        return self.calm_s / max(self.seconds, 1e-9)
