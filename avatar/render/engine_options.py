"""Which network draws an avatar, and which engine runs it."""

from __future__ import annotations

from dataclasses import dataclass

from avatar.core.avatar import Avatar
from avatar.render.full_network import FullNetwork
from avatar.render.generator import OpenTorch, open_generator
from engines import Engine, Say, on_stderr


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """backend, precision, threads: as of `engines.open_engine`; `backend` may also be "torch", where `open_torch` is
    given.

    full: draws instead of the network that comes with visavis.
    """

    backend: str = "auto"
    precision: str = "auto"
    threads: int | None = None
    full: FullNetwork | None = None
    open_torch: OpenTorch | None = None

    def person(self, avatar: Avatar) -> Avatar:
        """The avatar with its parameters of the network that draws. Raises InputError without that network."""
        return avatar if self.full is None else self.full.person(avatar)

    def open(self, avatar: Avatar, say: Say = on_stderr) -> Engine:
        """The engine that draws what `person` gave. Raises as `open_generator` does."""
        if self.full is not None:
            return self.full.open(avatar, self.backend, self.threads, precision=self.precision, say=say)
        return open_generator(
            avatar, self.backend, self.threads, precision=self.precision, say=say, open_torch=self.open_torch
        )
