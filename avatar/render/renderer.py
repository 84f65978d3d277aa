"""From Driving to the avatar's picture: the generator with one person's parameters and portraits."""

from __future__ import annotations

import cv2
import numpy as np

from avatar.core.arrays import Array, Picture
from avatar.core.avatar import Avatar
from avatar.core.errors import InputError
from avatar.core.resizing import resized
from avatar.face.driving import Driving
from avatar.render.assemble import Assembler, generator_inputs
from avatar.render.conditioning import conditioning
from avatar.render.portrait_choice import PortraitChoice
from avatar.render.skin_tone import gain, skin_tones
from avatar.render.warp import landmark_warp
from engines.engine import Engine, Tensors

TEXTURE_PX = 256  # of the portraits that the generator was trained with
FADE_NS = 160_000_000  # how long another portrait of the face takes to come through

Pair = tuple[Picture, Picture]


class Renderer:
    """Draws one avatar. All that it is given of the driver is Driving, so no camera pixel can come out.

    Of several portraits, each frame takes those that fit it best: one for the face, one for the mouth, one for the
    eyes. The face's fades in, since it brings hair and shoulders along. They are warped at the size of the output,
    which is free; what the generator sees of them is warped at the size of its training.
    """

    def __init__(self, avatar: Avatar, engine: Engine, size_px: int = 512) -> None:
        self._engine, self._assembler = engine, Assembler(size_px)
        self._name, self._landmarks = avatar.name, avatar.landmarks
        self._portraits = [resized(portrait, size_px) for portrait in avatar.portraits]
        self._mattes = [resized(matte, size_px) for matte in avatar.mattes]
        self._psi = avatar.psi[None].astype(np.float32)
        self._choice = PortraitChoice(avatar.landmarks)
        pairs = zip(self._portraits, self._landmarks, strict=True)
        self._tones = [skin_tones(portrait, points) for portrait, points in pairs]
        self._small: dict[int, Picture] = {}  # by portrait: at the generator's size
        self._matched: dict[str, tuple[tuple[int, int], Pair]] = {}  # by region: its portrait and the face's, result
        self._face: int | None = None
        self._fading: Picture | None = None  # the former portrait, warped onto the present one
        self._fade_start_ns = 0
        self._flow: tuple[Array, Array] | None = None  # of the last picture's face: the warp, and what was added

    def render(self, driving: Driving) -> Picture:
        """The picture (size_px, size_px, 3) for one frame. Raises EngineFailure when the engine fails, InputError when
        what it answers is no picture."""
        chosen = self._choice.choose(driving.landmarks)
        source, mouth, eyes = chosen["face"], chosen["mouth"], chosen["eyes"]
        frame = conditioning(self._landmarks[source], driving.landmarks, self._landmarks[mouth], self._landmarks[eyes])
        large, small = {}, {}
        large["face"], small["face"] = self._faded(source, driving.capture_ns)
        large["mouth"], small["mouth"] = self._match("mouth", mouth, source)
        large["eyes"], small["eyes"] = self._match("eyes", eyes, source)
        layers = self._engine.infer({"psi": self._psi, **generator_inputs(frame, small)})
        check_numbers(layers, self._name)
        drawn = {name: value[0] for name, value in layers.items()}
        self._flow = frame["face_flow"], drawn["face_offset"]
        return self._assembler.assemble(drawn, large, frame)

    def matte(self) -> Picture | None:
        """(size_px, size_px): where the person is in the last picture. None where the avatar has no mattes."""
        if not self._mattes or self._face is None:
            return None
        return self._assembler.moved(self._mattes[self._face])

    def flow(self) -> Array | None:
        """As of `Painter`: the spline's, and what the network added to it."""
        if self._flow is None:
            return None
        warp, added = self._flow
        return np.moveaxis(warp + added, 0, -1)

    def _pair(self, number: int) -> Pair:
        """A portrait at the output's size and at the generator's."""
        if number not in self._small:
            self._small[number] = resized(self._portraits[number], TEXTURE_PX)
        return self._portraits[number], self._small[number]

    def _match(self, region: str, number: int, face: int) -> Pair:
        """A region's portrait in the skin tone of the face's."""
        if number == face:
            return self._pair(number)
        kept = self._matched.get(region)
        if kept is None or kept[0] != (number, face):
            factors = gain(self._tones[number][region], self._tones[face][region])
            large, small = (
                np.rint(np.minimum(part * factors, np.float32(255))).astype(np.uint8) for part in self._pair(number)
            )
            kept = (number, face), (large, small)
            self._matched[region] = kept
        return kept[1]

    def _faded(self, number: int, now_ns: int) -> Pair:
        """The face's portrait. After a change, the former one shines through for a moment."""
        if self._face is not None and number != self._face:
            former = self._portraits[self._face]
            self._fading = landmark_warp(former, self._landmarks[self._face], self._landmarks[number])
            self._fade_start_ns = now_ns
        self._face = number
        share = (now_ns - self._fade_start_ns) / FADE_NS
        if self._fading is None or not 0 <= share < 1:
            self._fading = None
            return self._pair(number)
        share = max(share, 0.2)  # the first frame shows something of the new one already
        blend = np.asarray(cv2.addWeighted(self._portraits[number], share, self._fading, 1 - share, 0), np.uint8)
        return blend, resized(blend, TEXTURE_PX)


def check_numbers(layers: Tensors, name: str) -> None:
    """Raises InputError where a network's answer for the avatar `name` is no picture."""
    if not all(np.isfinite(layer).all() for layer in layers.values()):
        raise InputError(
            f"The network gives no picture of {name}, only values that are no numbers. Enrol the photos again, or "
            "let it compute more exactly: `--precision fp32`."
        )
