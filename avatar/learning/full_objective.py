"""Meta-learning of size `full`: its losses, their weights, and one step of all networks (paper, §3.2 and §4)."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from avatar.core.errors import InputError, UsageError
from avatar.learning.content_losses import FullContent
from avatar.learning.dataset.pack import Pack
from avatar.learning.few_shot_dataset import FewShotDataset
from avatar.learning.losses import hinge_discriminator
from avatar.learning.objective import Batch, average, mean_of, update
from avatar.learning.parallel import Parallel, accumulating, frozen
from avatar.model.full.checkpoint import FullNetworks, save_full
from avatar.model.full.config import FullConfig
from avatar.model.full.discriminator import FullDiscriminator, FullPersonVectors

SHEET_ROWS = 8


@dataclass(frozen=True)
class FullWeights:
    """Weights of the generator's losses. The adversarial score has weight 1 in the paper."""

    imagenet: float
    pixels: float
    identity: float
    match: float
    feature_matching: float = 10.0  # sum over the blocks of D, both versions
    adversarial: float = 1.0


# The paper's two versions differ in the weights: VGG19 1e-2, VGGFace 2e-3, match 80 in the first (May 2019), and VGG19
# 1.5e-1, VGGFace 2.5e-2, match 10 in the second (September 2019). Those of the content are for activations of Caffe's
# VGG, in the hundreds; our distances are relative, about 1. So v2 is set to have content make two thirds of the sum at
# the start, v1's content is 15 (ImageNet) and 12.5 times (identity) less, as in the paper, and the rest is the paper's.
RECIPES = {
    "paper_v1": FullWeights(imagenet=10 / 15, pixels=5 / 15, identity=5 / 12.5, match=80.0),
    "paper_v2": FullWeights(imagenet=10.0, pixels=5.0, identity=5.0, match=10.0),
}


@dataclass(frozen=True)
class FullOptions:
    """How `full` is trained (paper, §4, but betas and ema, of which it says nothing).

    The names of the rates are older than these words: checkpoints know them.
    """

    recipe: str = "paper_v2"
    k: int = 8
    rate_makers: float = 5e-5  # of E and G
    rate_judges: float = 2e-4  # of D
    judge_steps: int = 2  # of D for one of E and G
    beta1: float = 0.0  # both betas as in the self-attention GAN, which the paper follows
    beta2: float = 0.9
    ema: float = 0.999  # of the weights of E and G that are saved; 0 saves the last ones, as in the paper

    @property
    def weights(self) -> FullWeights:
        if self.recipe not in RECIPES:
            raise UsageError(f"There is no recipe '{self.recipe}'. Choose from: {', '.join(RECIPES)}.")
        return RECIPES[self.recipe]


class _EmbedderAndGenerator(nn.Module):
    """E and G in one pass, so that their gradients are averaged together. The discriminator is held, not owned."""

    def __init__(self, objective: FullObjective) -> None:
        super().__init__()
        self.embedder, self.generator = objective.networks.embedder, objective.networks.generator
        self._of = (objective,)

    def forward(self, batch: Batch) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        of = self._of[0]
        embedding, picture = draw(of.networks, batch)
        of.people.meet(of.group.gather(batch["identity"]), of.group.gather(embedding))
        person = of.people(batch["identity"]).detach()
        w = person + of.networks.discriminator.w0.detach()
        losses = generator_losses(of.networks, of.content, of.weights, batch, picture, w)
        losses["match"] = of.weights.match * F.l1_loss(embedding, person)
        return losses, picture, embedding


class _Discriminators(nn.Module):
    """D and the people's vectors in one pass."""

    def __init__(self, discriminator: FullDiscriminator, people: FullPersonVectors, match: float) -> None:
        super().__init__()
        self.discriminator, self.people, self.match = discriminator, people, match

    def forward(self, batch: Batch, picture: Tensor, embedding: Tensor) -> tuple[Tensor, Tensor]:
        person = self.people(batch["identity"])
        loss = discriminator_loss(self.discriminator, batch, picture, person + self.discriminator.w0)
        # the match loss draws both ways: E towards Wᵢ, and here Wᵢ towards E
        return loss, loss + self.match * F.l1_loss(person, embedding)


class FullObjective:
    """The networks of one run with their optimisers. See `avatar.learning.objective.Objective`."""

    size = "full"

    def __init__(
        self,
        config: FullConfig,
        options: FullOptions,
        people: int,
        group: Parallel | None = None,
        bf16: bool = False,
        content: FullContent | None = None,
    ) -> None:
        """`content`: None for the installed weights."""
        self.config, self.options, self.weights = config, options, options.weights
        self.group, self.bf16 = group or Parallel(), bf16
        device = self.group.device
        self.networks = FullNetworks.build(config)
        for network in self.networks.parts().values():
            network.to(device)
        self.averaged = deepcopy(self.networks)
        for network in self.averaged.parts().values():
            network.requires_grad_(False)
        self.people = FullPersonVectors(people, config).to(device)
        self.content = (content or FullContent()).to(device)
        self.embedder_and_generator = nn.ModuleList([self.networks.embedder, self.networks.generator])
        self.discriminators = nn.ModuleList([self.networks.discriminator, self.people])
        betas = (options.beta1, options.beta2)
        self.generator_optimiser = torch.optim.Adam(
            self.embedder_and_generator.parameters(), options.rate_makers, betas=betas
        )
        self.discriminator_optimiser = torch.optim.Adam(
            self.discriminators.parameters(), options.rate_judges, betas=betas
        )
        self._generator_pass = self.group.wrap(_EmbedderAndGenerator(self))
        self._discriminator_pass = self.group.wrap(
            _Discriminators(self.networks.discriminator, self.people, self.weights.match)
        )

    def start_from(self, trained: FullNetworks) -> None:
        """Begin with trained networks. Raises InputError where they are of other sizes."""
        for name, network in self.networks.parts().items():
            try:
                network.load_state_dict(trained.parts()[name].state_dict())
            except RuntimeError as error:
                raise InputError(
                    f"The {name} to start from is of another size ({str(error).splitlines()[-1].strip()[:200]})."
                ) from error
            self.averaged.parts()[name].load_state_dict(network.state_dict())

    def samples(self, pack: Pack, seed: int) -> FewShotDataset:
        """As of `TrainingData`."""
        return FewShotDataset(pack, self.config.picture_size_px, self.options.k, seed)

    def step(self, batches: Sequence[Batch], number: int, share: float = 1.0) -> dict[str, float]:
        """One update of E and G and `judge_steps` of D, on the same fakes."""
        made: list[tuple[Batch, Tensor, Tensor]] = []
        sums = []
        self.generator_optimiser.zero_grad(set_to_none=True)
        with frozen(self.discriminators):
            for i, batch in enumerate(batches):
                with accumulating(self._generator_pass, i == len(batches) - 1):
                    with self._precision():
                        losses, picture, embedding = self._generator_pass(batch)
                    (torch.stack(list(losses.values())).sum() / len(batches)).backward()
                made.append((batch, picture.detach(), embedding.detach()))
                sums.append(losses)
        figures = self.group.mean(mean_of(sums))
        update(self.generator_optimiser, figures, share * self.options.rate_makers)
        scored = [self._discriminator_step(made, share) for _ in range(self.options.judge_steps)]
        figures["discriminator"] = sum(scored) / max(len(scored), 1)
        for kept, new in zip(self.averaged.parts().values(), self.networks.parts().values(), strict=True):
            # the buffers are singular vectors, which follow the weights: an average of them would not
            average(kept, new, self.options.ema, number)
        return figures

    def _discriminator_step(self, made: Sequence[tuple[Batch, Tensor, Tensor]], share: float) -> float:
        losses = []
        self.discriminator_optimiser.zero_grad(set_to_none=True)
        for i, (batch, picture, embedding) in enumerate(made):
            with accumulating(self._discriminator_pass, i == len(made) - 1):
                with self._precision():
                    loss, total = self._discriminator_pass(batch, picture, embedding)
                (total / len(made)).backward()
            losses.append({"discriminator": loss})
        figures = self.group.mean(mean_of(losses))
        update(self.discriminator_optimiser, figures, share * self.options.rate_judges)
        return figures["discriminator"]

    def _precision(self) -> torch.autocast:
        return torch.autocast(self.group.device.type, torch.bfloat16, enabled=self.bf16)

    @torch.no_grad()
    def validate(self, batch: Batch) -> dict[str, Tensor]:
        _, picture = self._draw_averaged(batch)
        distances = self.content(picture, batch["target"], batch["landmarks"])
        return {"l1": F.l1_loss(picture, batch["target"]), **distances}

    def compilable(self) -> Sequence[nn.Module]:
        return [self.networks.generator, self.networks.embedder, self.content.imagenet.network]

    def save(self, folder: Path, about: dict[str, Any]) -> Path:
        save_full(folder / "full.safetensors", self.averaged, about)
        return folder / "full.safetensors"

    @torch.no_grad()
    def save_sheet(self, path: Path, batch: Batch) -> None:
        """One row per sample, of the first few: a photo, the target's landmark image, output, target."""
        batch = {name: value[:SHEET_ROWS] for name, value in batch.items()}
        _, picture = self._draw_averaged(batch)
        columns = [batch["photos"][:, 0], batch["drawing"], picture, batch["target"]]
        lines = [torch.cat([column[i] for column in columns], dim=2) for i in range(len(picture))]
        sheet = (torch.cat(lines, dim=1) * 255).round().clamp(0, 255).byte().permute(1, 2, 0)
        Image.fromarray(sheet.cpu().numpy()).save(path)

    def _draw_averaged(self, batch: Batch) -> tuple[Tensor, Tensor]:
        for network in self.averaged.parts().values():
            network.eval()
        return draw(self.averaged, batch)

    def state_dict(self) -> dict[str, Any]:
        state = {name: getattr(self, attribute).state_dict() for name, attribute in _STATE.items()}
        return state | {"averaged": {k: v.state_dict() for k, v in self.averaged.parts().items()}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name, attribute in _STATE.items():
            getattr(self, attribute).load_state_dict(state[name])
        for name, network in self.averaged.parts().items():
            network.load_state_dict(state["averaged"][name])


_STATE = {  # names in a checkpoint, which stay, and what they are
    "makers": "embedder_and_generator",
    "judges": "discriminators",
    "makers_optimiser": "generator_optimiser",
    "judges_optimiser": "discriminator_optimiser",
}


def draw(networks: FullNetworks, batch: Batch) -> tuple[Tensor, Tensor]:
    """ê (B, 512) of the K photos and the picture (B, 3, S, S) for the target's landmark image."""
    embedding = networks.embedder.embed(batch["photos"], batch["photo_drawings"])
    return embedding, networks.generator(batch["drawing"], networks.generator.psi(embedding))


def generator_losses(
    networks: FullNetworks, content: FullContent, weights: FullWeights, batch: Batch, picture: Tensor, w: Tensor
) -> dict[str, Tensor]:
    """L_CNT and L_ADV of the paper, each term weighted; w (B, 512) is Wᵢ + w₀, or w′ of one person."""
    distances = content(picture, batch["target"], batch["landmarks"])
    losses = {name: getattr(weights, name) * value for name, value in distances.items()}
    scores, fake = networks.discriminator.score(picture, batch["drawing"], w)
    with torch.no_grad():
        _, real = networks.discriminator.score(batch["target"], batch["drawing"], w)
    matching = torch.stack([F.l1_loss(a, b) for a, b in zip(fake, real, strict=True)]).sum()
    losses["feature_matching"] = weights.feature_matching * matching
    losses["adversarial"] = -weights.adversarial * scores.mean()
    return losses


def discriminator_loss(discriminator: FullDiscriminator, batch: Batch, picture: Tensor, w: Tensor) -> Tensor:
    """L_DSC of the paper, the hinge loss."""
    pictures = torch.cat([batch["target"], picture])
    scores, _ = discriminator.score(pictures, torch.cat([batch["drawing"]] * 2), torch.cat([w] * 2))
    return hinge_discriminator(*scores.chunk(2))
