"""What draws an avatar: the renderer of the network that its parameters belong to."""

from __future__ import annotations

from typing import Protocol

from avatar.core.arrays import Array, Picture
from avatar.core.avatar import Avatar
from avatar.face.driving import Driving
from avatar.render.full_renderer import FullRenderer
from avatar.render.layered_network import is_layered
from avatar.render.layered_renderer import LayeredRenderer
from engines.engine import Engine


class Painter(Protocol):
    """Draws one avatar from numbers alone."""

    def render(self, driving: Driving) -> Picture:
        """The picture (size_px, size_px, 3) for one frame. Raises EngineFailure when the engine fails, InputError when
        what it answers is no picture."""
        ...

    def matte(self) -> Picture | None:
        """(size_px, size_px): where the person is in the last picture. None where the avatar has no mattes."""
        ...

    def plate(self) -> Picture | None:
        """(size_px, size_px, 3): what is behind the person, one array for all pictures. None where it cannot say."""
        ...

    def flow(self) -> Array | None:
        """(h, w, 2): where each place of the last picture comes from in the face's portrait, (x, y) in [-1, 1]; NaN
        where it comes from elsewhere. At a size of the renderer's own. None where it cannot say."""
        ...


def open_painter(
    avatar: Avatar, engine: Engine, size_px: int = 512, patient: bool = False, beside: Painter | None = None
) -> Painter:
    """The engine's network says which renderer it belongs to.

    `patient`: all portraits are made ready first, 0.4 s each, so that the same numbers give the same pictures.
    `beside`: draws the same avatar at another size, and lends the portraits that it has made ready; the new one goes on
    with the one that it shows.
    """
    if not is_layered(engine):
        return FullRenderer(avatar, engine, size_px)
    if not isinstance(beside, LayeredRenderer):
        return LayeredRenderer(avatar, engine, size_px, patient)
    painter = LayeredRenderer(avatar, engine, size_px, patient, beside.sheets)
    painter.go_on(beside)
    return painter
