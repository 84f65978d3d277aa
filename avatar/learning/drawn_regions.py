"""What a region's training samples differ in: where it lies, its landmark image, and the layers that draw it."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, Protocol

import numpy as np

from avatar.core.arrays import Array, Picture
from avatar.face import regions as at
from avatar.face.face_model import face_model
from avatar.face.head_pose import head_pose
from avatar.learning.pair_choice import PairChoice
from avatar.model.layered_generator import EYE, MOUTH, Region
from avatar.render.conditioning import RegionFrame, draw_eye, draw_mouth, eye_frames, mouth_frame
from avatar.render.eye_layers import EyeLayers
from avatar.render.mouth_layers import MouthLayers
from avatar.render.upper_row import UpperRow
from avatar.render.view import View

OPEN_CHANCE = 0.6  # of choosing a clip's target for its open mouth
SHUT_CHANCE = 0.4  # of choosing it for its shut eyes


class DrawnRegion(Protocol):
    """One region of one driving face."""

    region: ClassVar[Region]
    parts: tuple[tuple[int, ...], ...]  # landmarks that a tracker misplaces together
    frame: RegionFrame

    @staticmethod
    def weights(pairs: PairChoice) -> tuple[float, Array]:
        """Chance of choosing a clip's frame by these weights, one for each row of the pack, rather than at random."""
        ...

    @abstractmethod
    def drawing(self, driving: Array) -> Array:
        """(3, h, w) in [0, 1]: the landmarks in the region."""

    @abstractmethod
    def surface(self, portrait: Picture, landmarks: Array) -> Picture:
        """The portrait as the relief shows it. Remembers its layers for `draw`."""

    @abstractmethod
    def draw(self, into: Picture, driving: Array) -> Picture:
        """Draw the layers into the region's picture, in place. Returns (n, h, w) bytes of hints."""

    def view(self) -> View:
        height, width = self.region.size
        return View.region(self.frame.inverse(), width, height)


class DrawnMouth(DrawnRegion):
    region = MOUTH
    lent: UpperRow | None = None  # what another portrait shows of the upper row
    parts = (at.LIPS_OUTER + at.LIPS_INNER, at.LIPS_OUTER[:11] + at.LIPS_INNER[:11])

    def __init__(self, driving: Array, rng: np.random.Generator) -> None:
        self.frame = mouth_frame(driving, head_pose(driving, face_model().mean_shape))

    @staticmethod
    def weights(pairs: PairChoice) -> tuple[float, Array]:
        return OPEN_CHANCE, np.asarray(pairs.open, np.float32)

    def drawing(self, driving: Array) -> Array:
        return draw_mouth(driving, self.frame)

    def surface(self, portrait: Picture, landmarks: Array) -> Picture:
        self._layers = MouthLayers(portrait, landmarks, self.lent)
        return self._layers.skin

    def draw(self, into: Picture, driving: Array) -> Picture:
        return self._layers.draw(into, self.view(), driving)


class DrawnEye(DrawnRegion):
    """The right or the left one, which its frame mirrors."""

    region = EYE

    def __init__(self, driving: Array, rng: np.random.Generator) -> None:
        left = bool(rng.integers(2))
        self.frame = eye_frames(driving, head_pose(driving, face_model().mean_shape))[left]
        self._ring, self._iris, self._brow = (
            (at.LEFT_EYE, at.LEFT_IRIS, at.LEFT_BROW) if left else (at.RIGHT_EYE, at.RIGHT_IRIS, at.RIGHT_BROW)
        )
        self.parts = (self._ring, self._iris)

    @staticmethod
    def weights(pairs: PairChoice) -> tuple[float, Array]:
        return SHUT_CHANCE, np.asarray(pairs.shut, np.float32)

    def drawing(self, driving: Array) -> Array:
        return draw_eye(driving, self.frame, self._ring, self._iris, self._brow)

    def surface(self, portrait: Picture, landmarks: Array) -> Picture:
        self._layers = EyeLayers(portrait, landmarks)
        return portrait

    def draw(self, into: Picture, driving: Array) -> Picture:
        hints = self._layers.draw(into, self.view(), driving)
        return np.asarray(np.rint(hints * 255), np.uint8)


KINDS: dict[str, type[DrawnMouth | DrawnEye]] = {MOUTH.name: DrawnMouth, EYE.name: DrawnEye}
