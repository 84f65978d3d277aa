"""Which network draws an avatar, and which engine runs it."""

from __future__ import annotations

from dataclasses import dataclass

from avatar.core.avatar import Avatar
from avatar.core.avatar_name import file_stem
from avatar.core.errors import VisavisError
from avatar.core.model_files import model_file
from avatar.render.full_network import FullNetwork
from avatar.render.layered_network import NETWORK, TRAINED, lost_weights, measure_layered_network, open_layered_network
from avatar.render.own_weights import OpenTorch, weight_names
from engines import Engine, Say, on_stderr


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """backend, precision, threads: as of `engines.open_engine`; `backend` may also be "torch", where `open_torch` is
    given.

    full: draws instead of the network that comes with visavis. measured_later: a first picture does not wait for the
    engines to be measured: where they never were, the first that loads draws. `measure` makes up for it.
    """

    backend: str = "auto"
    precision: str = "auto"
    threads: int | None = None
    full: FullNetwork | None = None
    open_torch: OpenTorch | None = None
    measured_later: bool = False

    def measure(self, say: Say) -> None:
        """Find out which engine is the fastest here, unless that is known, or one was asked for: takes seconds."""
        if self.backend == "auto" and self.full is None:
            measure_layered_network(self.threads, say)

    def person(self, avatar: Avatar) -> Avatar:
        """The avatar with its parameters of the network that draws. Raises InputError without that network."""
        return avatar if self.full is None else self.full.person(avatar)

    def open(self, avatar: Avatar, say: Say = on_stderr) -> Engine:
        """The engine that draws what `person` gave. Raises as `engines.open_engine` does."""
        if self.full is not None:
            return self.full.open(avatar, self.backend, self.threads, precision=self.precision, say=say)
        if lost_weights(avatar):
            say(
                f"{avatar.name} was fine-tuned for another network than the installed one, which all avatars share "
                f"now. To make it its own again: `visavis finetune {file_stem(avatar.name)}`."
            )
        kind, _, device = self.backend.partition(":")
        if kind == "torch":
            if self.open_torch is None:
                raise VisavisError("No generator runs by torch here: choose another engine.")
            own = (weight_names(model_file(NETWORK)), avatar.weights) if avatar.fine_tuned else None
            digits = self.precision.replace("auto", "fp32")
            return self.open_torch(model_file(TRAINED), device or None, digits, own, self.threads)
        return open_layered_network(
            avatar, self.backend, self.threads, precision=self.precision, later=self.measured_later, say=say
        )
