"""Training of one region's net by itself: its crops are small, so two cores see hundreds of thousands."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from avatar.learning.losses import ContentNet, hinge_discriminator, weighted_l1
from avatar.learning.objective import Batch, average, mean_of, update
from avatar.learning.parallel import CPU, Parallel, frozen
from avatar.learning.projected_discriminator import augmented
from avatar.learning.region_judge import SCALES, judge_name, region_judge, save_judge
from avatar.learning.region_sheet import save_region_sheet
from avatar.model.blocks import upsample
from avatar.model.layered_generator import Region, RegionGenerator, save_region
from avatar.model.refinement import Changes, Drawn

MAX_GRADIENT = 5.0


@dataclass(frozen=True)
class RegionWeights:
    """Of the losses."""

    l1: float = 10.0
    paint: float = 5.0
    content: float = 4.0
    adversarial: float = 0.25
    inside: float = 3.0  # of what the first hint marks against its surroundings
    painting: float = 0.0  # what it costs to paint over what is there: pictures are sharper than those learned from


@dataclass(frozen=True)
class RegionOptions:
    """How one region's net is trained."""

    rate: float = 6e-4
    rate_discriminator: float = 4e-4
    ema: float = 0.998
    adversarial_from_step: int = 1500
    crops: int = 20_000  # drawn of the people to learn from
    weights: RegionWeights = field(default_factory=RegionWeights)


class Judged(NamedTuple):
    """What the discriminator sees."""

    result: Tensor  # (B, 3, h, w)
    target: Tensor
    drawing: Tensor


class RegionObjective:
    """See `avatar.learning.objective.Objective`. Batches: of `RegionCrops`."""

    def __init__(
        self,
        region: Region,
        options: RegionOptions,
        group: Parallel | None = None,
        bf16: bool = False,
        content: ContentNet | None = None,
    ) -> None:
        self.region, self.options, self.bf16 = region, options, bf16
        self.group = group or Parallel(device=CPU)
        device = self.group.device
        self.generator = RegionGenerator(region).to(device)
        self.generator.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.averaged = deepcopy(self.generator).requires_grad_(False)
        self.discriminator = region_judge().to(device)
        self.content = (content or ContentNet()).to(device)
        self.optimiser = torch.optim.Adam(self.generator.parameters(), options.rate, betas=(0.5, 0.99))
        learned = [p for p in self.discriminator.parameters() if p.requires_grad]
        self.discriminator_optimiser = torch.optim.Adam(learned, options.rate_discriminator, betas=(0.0, 0.99))

    def start_from(self, net: dict[str, Tensor], projection: dict[str, Tensor]) -> None:
        """Begin with trained weights: those whose shapes fit; a stem's first channels, where it sees more now."""
        for network, weights in ((self.generator.net, net), (self.generator.projection, projection)):
            own = network.state_dict()
            for name, value in weights.items():
                if name in own and own[name].shape == value.shape:
                    own[name] = value
                elif name == "stem.weight":
                    seen = 4 * 6  # picture and drawing; what an older net saw beside them means something else
                    own[name] = torch.zeros_like(own[name])
                    own[name][:, :seen] = value[:, :seen]
            network.load_state_dict(own)
        self.averaged.load_state_dict(self.generator.state_dict())

    def step(self, batches: Sequence[Batch], number: int, share: float) -> dict[str, float]:
        adversarial = number >= self.options.adversarial_from_step
        made, parts = [], []
        self.optimiser.zero_grad(set_to_none=True)
        with frozen(nn.ModuleList([self.discriminator])):
            for batch in batches:
                with self._precision():
                    result, changes = self._drawn(self.generator, batch)
                target = self._within_reach(batch)
                losses = self._losses(result.float(), changes, target, batch)
                fake = Judged(self._reduced(result.float()), self._reduced(target), batch["drawing"])
                if adversarial:
                    scores = self.discriminator(*self._judged(fake.result, fake.drawing))
                    losses["adversarial"] = -self.options.weights.adversarial * scores.mean()
                (torch.stack(list(losses.values())).sum() / len(batches)).backward()
                parts.append(losses)
                made.append(fake._replace(result=fake.result.detach()))
        figures = {name: float(value) for name, value in mean_of(parts).items()}
        update(self.optimiser, figures, share * self.options.rate, MAX_GRADIENT)
        average(self.averaged, self.generator, self.options.ema, number)
        if adversarial:
            figures |= self._discriminator_step(made, share)
        return figures

    def _losses(self, result: Tensor, changes: Changes, target: Tensor, batch: Batch) -> dict[str, Tensor]:
        weights, inside, part = self.options.weights, self._inside(batch), self._part()
        losses = {
            "l1": weights.l1 * weighted_l1(result, target, self._enlarged(inside)),
            "paint": weights.paint * weighted_l1(changes.paint.float(), self._reduced(target), inside),
            "content": weights.content * self.content(result[part], target[part]),
        }
        if weights.painting:
            losses["painting"] = weights.painting * (1 - changes.keep.float()).mean() / inside.mean().clamp_min(1e-4)
        return losses

    def _inside(self, batch: Batch) -> Tensor:
        """(B, 1, h, w) how much a place weighs."""
        anywhere = batch["hints"][:, 1:2] if self.region.confined else 1.0
        return anywhere + self.options.weights.inside * batch["hints"][:, :1]

    def _within_reach(self, batch: Batch) -> Tensor:
        """The target, as drawn where the net changes nothing: what it cannot mend is not to disturb its lesson."""
        if not self.region.confined:
            return batch["target"]
        return batch["picture"] + self._enlarged(batch["hints"][:, 1:2]) * (batch["target"] - batch["picture"])

    def _enlarged(self, layer: Tensor) -> Tensor:
        return layer if self.region.detail == 1 else upsample(layer, self.region.detail)

    def _part(self) -> Any:
        """A random window as large as what the net sees: features of all of a larger picture take time."""
        height, width = self.region.size
        top, left = (int(torch.randint(n * (self.region.detail - 1) + 1, ())) for n in (height, width))
        return np.s_[..., top : top + height, left : left + width]

    def _reduced(self, picture: Tensor) -> Tensor:
        """To what the net sees: no discriminator may ask for more, or it is answered with squares."""
        return picture if self.region.detail == 1 else F.avg_pool2d(picture, self.region.detail)

    def _discriminator_step(self, made: Sequence[Judged], share: float) -> dict[str, float]:
        losses = []
        self.discriminator_optimiser.zero_grad(set_to_none=True)
        for one in made:
            with torch.no_grad():
                pictures = torch.cat([one.target, one.result])
                features, drawing = self._judged(pictures, torch.cat([one.drawing] * 2))
            loss = hinge_discriminator(*self.discriminator(features, drawing).chunk(2))
            (loss / len(made)).backward()
            losses.append({"discriminator": loss.detach()})
        figures = {name: float(value) for name, value in mean_of(losses).items()}
        update(self.discriminator_optimiser, figures, share * self.options.rate_discriminator)
        return figures

    def _judged(self, picture: Tensor, drawing: Tensor) -> tuple[list[Tensor], Tensor]:
        picture, drawing = augmented(picture, drawing)
        features = self.content.features(picture)
        return [features[i] for i in SCALES], drawing

    def _drawn(self, generator: nn.Module, batch: Batch) -> tuple[Tensor, Changes]:
        picture = batch["picture"]
        drawn = Drawn(self._reduced(picture), batch["drawing"], batch["hints"])
        changes = Changes(*generator(batch["embedding"], drawn))
        return changes.applied(picture), changes

    def _precision(self) -> torch.autocast:
        return torch.autocast(self.group.device.type, torch.bfloat16, enabled=self.bf16)

    @torch.no_grad()
    def validate(self, batch: Batch) -> dict[str, Tensor]:
        result, _ = self._drawn(self.averaged, batch)
        inside, target = self._enlarged(batch["hints"][:, :1]) + 1e-3, self._within_reach(batch)
        return {
            "l1": F.l1_loss(result, target),
            "l1_inside": weighted_l1(result, target, inside),
            "l1_inside_of_the_layers": weighted_l1(batch["picture"], target, inside),
            "features": self.content(result, target),
            "features_of_the_layers": self.content(batch["picture"], target),
        }

    def compilable(self) -> Sequence[nn.Module]:
        return [self.generator, self.content.network]

    def save(self, folder: Path, about: dict[str, Any]) -> Path:
        path = folder / f"{self.region.name}.safetensors"
        save_region(path, self.averaged, about)
        save_judge(folder / judge_name(self.region.name), self.discriminator)
        return path

    @torch.no_grad()
    def save_sheet(self, path: Path, batch: Batch) -> None:
        result, changes = self._drawn(self.averaged, batch)
        paint = self._enlarged(changes.paint)
        save_region_sheet(path, [batch["picture"], paint, result, self._within_reach(batch)])

    def state_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name).state_dict() for name in _STATE}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name in _STATE:
            getattr(self, name).load_state_dict(state[name])


_STATE = ("generator", "averaged", "discriminator", "optimiser", "discriminator_optimiser")
