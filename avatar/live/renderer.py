"""From Driving to the avatar's picture: the generator with one person's parameters and portraits."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.identity.avatar import Avatar
from avatar.retarget.compose import compose
from avatar.retarget.conditioning import conditioning
from avatar.retarget.driving import Driving
from avatar.retarget.portrait_choice import PortraitChoice
from avatar.retarget.skin_tone import gain, skin_tones
from avatar.retarget.warp import landmark_warp
from engines.engine import Engine

FADE_NS = 160_000_000  # how long another portrait of the face takes to come through

Picture = NDArray[np.uint8]
Texture = NDArray[np.float32]


class Renderer:
    """Draws one avatar. All that it is given of the driver is Driving, so no camera pixel can come out.

    Of several portraits, each frame takes those that fit it best: one for the face, one for the mouth, one for the
    eyes. The face's fades in, since it brings hair and shoulders along.
    """

    def __init__(self, avatar: Avatar, engine: Engine, size_px: int = 512) -> None:
        self._engine, self._size_px = engine, size_px
        self._landmarks = avatar.landmarks
        self._source_px = engine.inputs["source"][-1]
        self._portraits = [_resized(portrait, self._source_px) for portrait in avatar.portraits]
        self._textures: list[Texture | None] = [None] * len(self._portraits)
        self._psi = avatar.psi[None].astype(np.float32)
        self._choice = PortraitChoice(avatar.landmarks)
        pairs = zip(self._portraits, self._landmarks, strict=True)
        self._tones = [skin_tones(portrait, points) for portrait, points in pairs]
        self._matched: dict[str, tuple[int, int, Texture]] = {}  # by region: its portrait, the face's, what came of it
        self._face: int | None = None
        self._fading: Picture | None = None  # the former portrait, warped onto the present one
        self._fade_start_ns = 0

    def render(self, driving: Driving) -> Picture:
        """The picture (size_px, size_px, 3) for one frame. Raises EngineFailure when the engine fails."""
        chosen = self._choice.choose(driving.landmarks)
        source, mouth, eyes = chosen["face"], chosen["mouth"], chosen["eyes"]
        fed = conditioning(self._landmarks[source], driving.landmarks, self._landmarks[mouth], self._landmarks[eyes])
        pastes = {name: fed.pop(name) for name in ("mouth_paste", "eyes_paste")}
        given = {name: value[None] for name, value in fed.items()}
        given |= {"source": self._faded(source, driving.capture_ns), "psi": self._psi}
        given |= {"mouth_source": self._match("mouth", mouth, source), "eyes_source": self._match("eyes", eyes, source)}
        drawn = {name: value[0] for name, value in self._engine.infer(given).items()}
        return _resized(compose(drawn, pastes), self._size_px)

    def _texture(self, number: int) -> Texture:
        texture = self._textures[number]
        if texture is None:
            texture = self._textures[number] = _as_texture(self._portraits[number])
        return texture

    def _match(self, region: str, number: int, face: int) -> Texture:
        """A region's texture in the skin tone of the face's portrait."""
        if number == face:
            return self._texture(number)
        kept = self._matched.get(region)
        if kept is None or kept[:2] != (number, face):
            factors = gain(self._tones[number][region], self._tones[face][region])
            kept = number, face, np.minimum(self._texture(number) * factors[:, None, None], np.float32(1))
            self._matched[region] = kept
        return kept[2]

    def _faded(self, number: int, now_ns: int) -> Texture:
        """The face's texture. After a change, the former portrait shines through for a moment."""
        if self._face is not None and number != self._face:
            former = self._portraits[self._face]
            self._fading = landmark_warp(former, self._landmarks[self._face], self._landmarks[number])
            self._fade_start_ns = now_ns
        self._face = number
        share = (now_ns - self._fade_start_ns) / FADE_NS
        if self._fading is None or not 0 <= share < 1:
            self._fading = None
            return self._texture(number)
        share = max(share, 0.2)  # the first frame shows something of the new one already
        blend = cv2.addWeighted(self._portraits[number], share, self._fading, 1 - share, 0)
        return _as_texture(np.asarray(blend, np.uint8))


def _as_texture(picture: Picture) -> Texture:
    return np.ascontiguousarray(picture.transpose(2, 0, 1)[None], np.float32) / np.float32(255)


def _resized(picture: Picture, size_px: int) -> Picture:
    if picture.shape[0] == size_px:
        return picture
    method = cv2.INTER_AREA if picture.shape[0] > size_px else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, (size_px, size_px), interpolation=method), np.uint8)
