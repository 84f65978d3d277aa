"""From Driving to the avatar's picture: the generator with one person's parameters."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.identity.avatar import Avatar
from avatar.retarget.conditioning import conditioning
from avatar.retarget.driving import Driving
from engines.engine import Engine


class Renderer:
    """Draws one avatar. All that it is given of the driver is Driving, so no camera pixel can come out."""

    def __init__(self, avatar: Avatar, engine: Engine, size_px: int = 512) -> None:
        self._engine, self._size_px = engine, size_px
        self._landmarks = avatar.landmarks[0]
        source_px = engine.inputs["source"][-1]
        portrait = cv2.resize(avatar.portraits[0], (source_px, source_px), interpolation=cv2.INTER_AREA)
        self._person = {
            "source": np.ascontiguousarray(portrait.transpose(2, 0, 1)[None], np.float32) / np.float32(255),
            "psi": avatar.psi[None].astype(np.float32),
        }

    def render(self, driving: Driving) -> NDArray[np.uint8]:
        """The picture (size_px, size_px, 3) for one frame. Raises EngineFailure when the engine fails."""
        fed = {name: value[None] for name, value in conditioning(self._landmarks, driving.landmarks).items()}
        face = self._engine.infer({**self._person, **fed})["face"][0]  # (3, H, W) in [0, 1]
        picture = np.ascontiguousarray((face * 255.0 + 0.5).astype(np.uint8).transpose(1, 2, 0))
        if picture.shape[0] == self._size_px:
            return picture
        shrinks = picture.shape[0] > self._size_px
        method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
        return np.asarray(cv2.resize(picture, (self._size_px, self._size_px), interpolation=method), np.uint8)
