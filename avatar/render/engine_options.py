"""Which network draws an avatar, and which engine runs it."""

from __future__ import annotations

from dataclasses import dataclass

from avatar.core.avatar import Avatar
from avatar.render.full_network import FullNetwork
from avatar.render.generator import OpenTorch, open_generator
from avatar.render.layered_network import FAST_2, FAST_3, lost_weights, open_layered_network, without_own_weights
from engines import Engine, Say, on_stderr


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """backend, precision, threads: as of `engines.open_engine`; `backend` may also be "torch", where `open_torch` is
    given.

    full: draws instead of the network that comes with visavis. renderer: one of RENDERERS, how that one draws.
    """

    backend: str = "auto"
    precision: str = "auto"
    threads: int | None = None
    full: FullNetwork | None = None
    open_torch: OpenTorch | None = None
    renderer: str = FAST_3

    def person(self, avatar: Avatar) -> Avatar:
        """The avatar with its parameters of the network that draws. Raises InputError without that network."""
        if self.full is not None:
            return self.full.person(avatar)
        return without_own_weights(avatar) if self.renderer == FAST_2 else avatar

    def open(self, avatar: Avatar, say: Say = on_stderr) -> Engine:
        """The engine that draws what `person` gave. Raises as `open_generator` does."""
        if self.full is not None:
            return self.full.open(avatar, self.backend, self.threads, precision=self.precision, say=say)
        if self.renderer == FAST_3:
            if lost_weights(avatar):
                say(
                    f"{avatar.name} was fine-tuned for another network than the installed one, which all avatars share "
                    f"now. To make it its own again: `visavis finetune {avatar.name}`."
                )
            return open_layered_network(avatar, self.backend, self.threads, precision=self.precision, say=say)
        return open_generator(
            avatar, self.backend, self.threads, precision=self.precision, say=say, open_torch=self.open_torch
        )
