"""Meta-learning of size `fast`: one update of E, G and the two discriminators."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from avatar.core.errors import InputError
from avatar.learning.dataset.pack import Pack
from avatar.learning.fast_losses import (
    Batch,
    LossWeights,
    Views,
    discriminator_loss,
    discriminator_views,
    draw_regions,
    fooling_losses,
    picture_losses,
    region_targets,
)
from avatar.learning.losses import ContentNet
from avatar.learning.objective import average, mean_of, update
from avatar.learning.pair_dataset import PairDataset
from avatar.learning.parallel import Parallel, accumulating, frozen
from avatar.learning.sheet import save_sheet
from avatar.model.checkpoint import build_networks, save_discriminators, save_weights
from avatar.model.config import ModelConfig
from avatar.model.discriminator import Discriminator, PersonVectors
from avatar.model.embedder import Embedder
from avatar.model.generator import Generator

MAX_GRADIENT = 5.0


@dataclass(frozen=True)
class FastOptions:
    """How `fast` is trained. The names of the rates are older than these words: checkpoints know them."""

    rate_makers: float = 5e-4  # of E and G
    rate_judges: float = 4e-4  # of both discriminators and the people's vectors
    ema: float = 0.998
    adversarial_from_step: int = 1000
    weights: LossWeights = field(default_factory=LossWeights)


class _EmbedderAndGenerator(nn.Module):
    """E and G in one pass, so that their gradients are averaged together. The discriminators are held, not owned."""

    def __init__(self, objective: FastObjective) -> None:
        super().__init__()
        self.embedder, self.generator = objective.embedder, objective.generator
        self._of = (objective,)

    def forward(self, batch: Batch, adversarial: bool) -> tuple[dict[str, Tensor], Views, Tensor]:
        of = self._of[0]
        embedding = self.embedder.embed(batch["source"], batch["source_drawing"])
        regions = draw_regions(self.generator, batch, self.embedder.psi(embedding))
        targets = region_targets(batch)
        losses = picture_losses(regions, targets, batch, of.content, of.options.weights)
        views = discriminator_views(regions, targets, batch)
        if adversarial:
            person = of.people(batch["identity"]).detach()
            losses |= fooling_losses((of.face_discriminator, of.mouth_discriminator), views, person, of.options.weights)
            losses["match"] = of.options.weights.match * F.l1_loss(embedding, person)
        return losses, views, embedding


class _Discriminators(nn.Module):
    """Both discriminators and the people's vectors in one pass."""

    def __init__(self, face: Discriminator, mouth: Discriminator, people: PersonVectors, match: float) -> None:
        super().__init__()
        self.face, self.mouth, self.people, self.match = face, mouth, people, match

    def forward(self, views: Views, identity: Tensor, embedding: Tensor) -> tuple[Tensor, Tensor]:
        person = self.people(identity)
        loss = discriminator_loss((self.face, self.mouth), views, person)
        # the match loss draws both ways: E towards Wᵢ, and here Wᵢ towards E
        return loss, loss + self.match * F.l1_loss(person, embedding)


class FastObjective:
    """See `avatar.learning.objective.Objective`."""

    size = "fast"

    def __init__(
        self,
        config: ModelConfig,
        options: FastOptions,
        people: int,
        group: Parallel,
        bf16: bool = False,
        content: ContentNet | None = None,
    ) -> None:
        """`content`: None for the installed weights."""
        self.config, self.options, self.group, self.bf16 = config, options, group, bf16
        generator, embedder = build_networks(config)
        self.generator, self.embedder = generator, embedder
        self.embedder_and_generator = nn.ModuleList([generator, embedder]).to(group.device)
        self.embedder_and_generator.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.face_discriminator, self.mouth_discriminator = Discriminator(config), Discriminator(config)
        self.people = PersonVectors(people, config)
        self.discriminators = nn.ModuleList([self.face_discriminator, self.mouth_discriminator, self.people]).to(
            group.device
        )
        self.content = (content or ContentNet()).to(group.device)
        self.averaged = deepcopy(self.embedder_and_generator).requires_grad_(False)
        self.generator_optimiser = torch.optim.Adam(
            self.embedder_and_generator.parameters(), options.rate_makers, betas=(0.5, 0.99)
        )
        self.discriminator_optimiser = torch.optim.Adam(
            self.discriminators.parameters(), options.rate_judges, betas=(0.0, 0.99)
        )
        self._generator_pass = group.wrap(_EmbedderAndGenerator(self))
        both = _Discriminators(self.face_discriminator, self.mouth_discriminator, self.people, options.weights.match)
        self._discriminator_pass = group.wrap(both)

    def start_from(self, drawing: tuple[Generator, Embedder], both: tuple[Discriminator, Discriminator]) -> None:
        """Begin with trained networks; `both` are the discriminators of face and mouth.

        Raises InputError where they are of other sizes.
        """
        try:
            own = self.generator, self.embedder, self.face_discriminator, self.mouth_discriminator
            for network, trained in zip(own, (*drawing, *both), strict=True):
                network.load_state_dict(trained.state_dict())
        except RuntimeError as error:
            raise InputError(
                f"The weights to start from are of another size ({str(error).splitlines()[-1].strip()[:200]})."
            ) from error
        self.averaged.load_state_dict(self.embedder_and_generator.state_dict())

    def dataset(self, pack: Pack, seed: int) -> PairDataset:
        return PairDataset(pack, seed)

    def step(self, batches: Sequence[Batch], number: int, share: float) -> dict[str, float]:
        adversarial = number >= self.options.adversarial_from_step
        made: list[tuple[dict[str, Tensor], Views, Tensor]] = []
        self.generator_optimiser.zero_grad(set_to_none=True)
        with frozen(self.discriminators):
            for i, batch in enumerate(batches):
                with accumulating(self._generator_pass, i == len(batches) - 1):
                    with self._precision():
                        losses, views, embedding = self._generator_pass(batch, adversarial)
                    (torch.stack(list(losses.values())).sum() / len(batches)).backward()
                made.append((losses, [(fake.detach(), *rest) for fake, *rest in views], embedding.detach()))
        figures = self.group.mean(mean_of([losses for losses, _, _ in made]))
        update(self.generator_optimiser, figures, share * self.options.rate_makers, MAX_GRADIENT)
        average(self.averaged, self.embedder_and_generator, self.options.ema, number)
        if adversarial:
            figures |= self._discriminator_step(batches, [(views, embedding) for _, views, embedding in made], share)
        return figures

    def _discriminator_step(
        self, batches: Sequence[Batch], made: Sequence[tuple[Views, Tensor]], share: float
    ) -> dict[str, float]:
        losses = []
        self.discriminator_optimiser.zero_grad(set_to_none=True)
        for i, (batch, (views, embedding)) in enumerate(zip(batches, made, strict=True)):
            with accumulating(self._discriminator_pass, i == len(batches) - 1):
                with self._precision():
                    loss, total = self._discriminator_pass(views, batch["identity"], embedding)
                (total / len(batches)).backward()
            losses.append({"discriminator": loss})
        figures = self.group.mean(mean_of(losses))
        update(self.discriminator_optimiser, figures, share * self.options.rate_judges)
        return figures

    def _precision(self) -> torch.autocast:
        return torch.autocast(self.group.device.type, torch.bfloat16, enabled=self.bf16)

    @torch.no_grad()
    def validate(self, batch: Batch) -> dict[str, Tensor]:
        generator, embedder = self._averaged()
        regions = draw_regions(generator, batch, embedder.psi(embedder.embed(batch["source"], batch["source_drawing"])))
        targets = region_targets(batch)
        (face, mouth, _), (true_face, true_mouth, _) = regions, targets
        return {
            "l1": F.l1_loss(face.picture, true_face),
            "face_features": self.content(face.picture, true_face),
            "mouth_features": self.content(mouth.picture, true_mouth),
        }

    def compilable(self) -> Sequence[nn.Module]:
        return [self.generator.face, self.generator.mouth, self.generator.eye, self.content.network]

    def save(self, folder: Path, about: dict[str, Any]) -> Path:
        generator, embedder = self._averaged()
        save_weights(folder / "fast.safetensors", generator, embedder, about)
        save_discriminators(folder / "judges.safetensors", self.face_discriminator, self.mouth_discriminator)
        return folder / "fast.safetensors"

    def save_sheet(self, path: Path, batch: Batch) -> None:
        generator, embedder = self._averaged()
        save_sheet(path, generator, embedder, batch)

    def state_dict(self) -> dict[str, Any]:
        return {name: getattr(self, attribute).state_dict() for name, attribute in _STATE.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name, attribute in _STATE.items():
            getattr(self, attribute).load_state_dict(state[name])

    def _averaged(self) -> tuple[Generator, Embedder]:
        generator, embedder = self.averaged
        assert isinstance(generator, Generator) and isinstance(embedder, Embedder)
        return generator, embedder


_STATE = {  # names in a checkpoint, which stay, and what they are
    "makers": "embedder_and_generator",
    "judges": "discriminators",
    "averaged": "averaged",
    "makers_optimiser": "generator_optimiser",
    "judges_optimiser": "discriminator_optimiser",
}
