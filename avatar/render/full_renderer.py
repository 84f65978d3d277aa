"""From Driving to the avatar's picture by the paper's own network, size `full`: a landmark image in, a picture out."""

from __future__ import annotations

import numpy as np

from avatar.core.arrays import Picture
from avatar.core.avatar import Avatar
from avatar.core.resizing import resized
from avatar.face.driving import Driving
from avatar.render.landmark_image import landmark_image
from avatar.render.network_answer import check_numbers, to_bytes
from avatar.render.relief import Relief
from avatar.render.view import View
from engines.engine import Engine


class FullRenderer:
    """Draws one avatar, everything in the picture anew: the photos speak through ψ alone (paper, §3.1)."""

    def __init__(self, avatar: Avatar, engine: Engine, size_px: int = 512) -> None:
        """`avatar`: of `FullNetwork.person`."""
        self._engine, self._size_px, self._name = engine, size_px, avatar.name
        self._psi = avatar.psi[None].astype(np.float32)
        self._drawing_px = engine.inputs["drawing"][-1]
        self._matte = resized(avatar.mattes[0], size_px) if len(avatar.mattes) else None
        self._relief = Relief(avatar.landmarks[0])  # which moves the matte
        self._landmarks = avatar.landmarks[0]  # of the last picture

    def render(self, driving: Driving) -> Picture:
        """As of `Painter`."""
        drawn = self._engine.infer(
            {"drawing": landmark_image(driving.landmarks, self._drawing_px)[None], "psi": self._psi}
        )
        check_numbers(drawn, self._name)
        self._landmarks = driving.landmarks
        return resized(to_bytes(drawn["picture"][0]), self._size_px)

    def matte(self) -> Picture | None:
        """As of `Painter`: the reference portrait's, moved to where the landmarks of the last picture are."""
        if self._matte is None:
            return None
        seen = self._relief.draw(self._relief.place(self._landmarks), View.whole(self._size_px))
        return np.where(seen.covered, seen.sample(self._matte), self._matte)

    def plate(self) -> None:
        """As of `Painter`: what it paints behind the person is its own."""

    def flow(self) -> None:
        """As of `Painter`: it paints every pixel anew."""
