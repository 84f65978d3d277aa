"""Meta-learning of size `full`: its losses, their weights, and one step of all networks (paper, §3.2 and §4)."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from avatar.errors import UsageError
from avatar.learning.content_losses import FullContent
from avatar.learning.losses import hinge_discriminator
from avatar.model.full.checkpoint import FullNetworks
from avatar.model.full.config import FullConfig
from avatar.model.full.discriminator import FullPersonVectors

Batch = dict[str, Tensor]


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
    """How `full` is trained (paper, §4, but batch, betas and ema, of which it says nothing)."""

    recipe: str = "paper_v2"
    k: int = 8
    batch: int = 4
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


class FullObjective:
    """The networks of one run with their optimisers, and what a step does with a batch of `FewShotDataset`."""

    def __init__(self, config: FullConfig, options: FullOptions, people: int) -> None:
        self.config, self.options, self.weights = config, options, options.weights
        self.networks = FullNetworks.build(config)
        self.averaged = deepcopy(self.networks)
        self.people = FullPersonVectors(people, config)
        self.content = FullContent()
        makers = nn.ModuleList([self.networks.embedder, self.networks.generator])
        judges = nn.ModuleList([self.networks.discriminator, self.people])
        self.makers, self.judges = makers, judges
        betas = (options.beta1, options.beta2)
        self.makers_optimiser = torch.optim.Adam(makers.parameters(), options.rate_makers, betas=betas)
        self.judges_optimiser = torch.optim.Adam(judges.parameters(), options.rate_judges, betas=betas)

    def step(self, batch: Batch, number: int) -> dict[str, float]:
        """One update of E and G and `judge_steps` of D, on the same fakes. Returns each loss, weighted."""
        embedding, picture = draw(self.networks, batch)
        self.people.meet(batch["identity"], embedding)
        person = self.people(batch["identity"])
        losses = maker_losses(self.networks, self.content, self.weights, batch, picture, person.detach() + self._w0())
        losses["match"] = self.weights.match * F.l1_loss(embedding, person.detach())
        self.makers_optimiser.zero_grad(set_to_none=True)
        torch.stack(list(losses.values())).sum().backward()
        self.makers_optimiser.step()
        figures = {name: float(value.detach()) for name, value in losses.items()}
        fixed = picture.detach(), embedding.detach()
        judged = [self._judge_step(batch, *fixed) for _ in range(self.options.judge_steps)]
        figures["discriminator"] = sum(judged) / max(len(judged), 1)
        self._average(number)
        return figures

    def _w0(self) -> Tensor:
        return self.networks.discriminator.w0.detach()

    def _judge_step(self, batch: Batch, picture: Tensor, embedding: Tensor) -> float:
        person = self.people(batch["identity"])
        loss = judge_loss(self.networks, batch, picture, person + self.networks.discriminator.w0)
        # the match loss draws both ways: E towards Wᵢ, and here Wᵢ towards E
        total = loss + self.weights.match * F.l1_loss(person, embedding)
        self.judges_optimiser.zero_grad(set_to_none=True)
        total.backward()
        self.judges_optimiser.step()
        return float(loss.detach())

    @torch.no_grad()
    def _average(self, number: int) -> None:
        decay = min(self.options.ema, number / (number + 10))
        for kept, new in zip(self.averaged.parts().values(), self.networks.parts().values(), strict=True):
            for mine, theirs in zip(kept.parameters(), new.parameters(), strict=True):
                mine.lerp_(theirs, 1 - decay)
            for copied, latest in zip(kept.buffers(), new.buffers(), strict=True):
                copied.copy_(latest)  # singular vectors: they follow the weights, which an average of them would not

    def state_dict(self) -> dict[str, Any]:
        """All that an exact resume needs, but torch's random state."""
        state: dict[str, Any] = {"options": asdict(self.options)}
        for name in ("makers", "judges", "makers_optimiser", "judges_optimiser"):
            state[name] = getattr(self, name).state_dict()
        return state | {"averaged": {k: v.state_dict() for k, v in self.averaged.parts().items()}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name in ("makers", "judges", "makers_optimiser", "judges_optimiser"):
            getattr(self, name).load_state_dict(state[name])
        for name, network in self.averaged.parts().items():
            network.load_state_dict(state["averaged"][name])


def draw(networks: FullNetworks, batch: Batch) -> tuple[Tensor, Tensor]:
    """ê (B, 512) of the K photos and the picture (B, 3, S, S) for the target's landmark image."""
    embedding = networks.embedder.embed(batch["photos"], batch["photo_drawings"])
    return embedding, networks.generator(batch["drawing"], networks.generator.psi(embedding))


def maker_losses(
    networks: FullNetworks, content: FullContent, weights: FullWeights, batch: Batch, picture: Tensor, w: Tensor
) -> dict[str, Tensor]:
    """L_CNT and L_ADV of the paper, each term weighted; w (B, 512) is Wᵢ + w₀, or w′ of one person."""
    distances = content(picture, batch["target"], batch["landmarks"])
    losses = {name: getattr(weights, name) * value for name, value in distances.items()}
    scores, fake = networks.discriminator.judge(picture, batch["drawing"], w)
    with torch.no_grad():
        _, real = networks.discriminator.judge(batch["target"], batch["drawing"], w)
    matching = torch.stack([F.l1_loss(a, b) for a, b in zip(fake, real, strict=True)]).sum()
    losses["feature_matching"] = weights.feature_matching * matching
    losses["adversarial"] = -weights.adversarial * scores.mean()
    return losses


def judge_loss(networks: FullNetworks, batch: Batch, picture: Tensor, w: Tensor) -> Tensor:
    """L_DSC of the paper, the hinge loss."""
    pictures = torch.cat([batch["target"], picture])
    scores, _ = networks.discriminator.judge(pictures, torch.cat([batch["drawing"]] * 2), torch.cat([w] * 2))
    return hinge_discriminator(*scores.chunk(2))
