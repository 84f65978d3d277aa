"""The nets on their way to becoming one person's own."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from avatar.core.arrays import Array
from avatar.core.model_files import model_file, shipped_sums
from avatar.learning.drawn_regions import KINDS
from avatar.learning.losses import ContentNet
from avatar.learning.objective import Batch
from avatar.learning.region_judge import judge_name, load_judge
from avatar.learning.region_objective import RegionObjective, RegionOptions
from avatar.model.layered_generator import REGIONS, LayeredGenerator, RegionGenerator, load_region
from avatar.render.layered_network import NETWORK
from avatar.render.own_weights import weight_names

OPTIONS = RegionOptions(rate=1e-4, rate_discriminator=2e-4, ema=0.97, adversarial_from_step=0)


class PersonNets:
    """A region whose crops nobody can draw of one person keeps the net that all share."""

    def __init__(self) -> None:
        content = ContentNet()
        self._tuned: dict[str, RegionObjective] = {}
        drawing: list[RegionGenerator] = []
        for net in shipped_regions():
            name = net.region.name
            if name in KINDS:
                tuned = RegionObjective(net.region, OPTIONS, content=content)
                tuned.generator.load_state_dict(net.state_dict())
                tuned.averaged.load_state_dict(net.state_dict())
                tuned.discriminator.load_state_dict(load_judge(model_file(f"fast-3/{judge_name(name)}")).state_dict())
                # its offset alone is as free as ψ: with one person there is one embedding
                tuned.generator.projection.weight.requires_grad_(False)
                self._tuned[name] = tuned
                net = tuned.averaged
            drawing.append(net)
        self.averaged = LayeredGenerator(drawing).eval()

    def step(self, batch: Mapping[str, Batch], number: int) -> None:
        """Update the nets of all regions. Raises NotFiniteError."""
        for name, tuned in self._tuned.items():
            tuned.step([batch[name]], number, 1.0)

    def snapshot(self) -> dict[str, Tensor]:
        return {name: value.clone() for name, value in self.averaged.state_dict().items()}

    @staticmethod
    def weights(kept: Mapping[str, Tensor]) -> Array:
        """(n,) a snapshot's tensors in the order of the exported network."""
        flat = [kept[name].flatten() for name in weight_names(model_file(NETWORK))]
        return np.array(torch.cat(flat).numpy(), np.float32)


def shipped_regions() -> list[RegionGenerator]:
    """The nets that come with visavis, in the order of the graph."""
    files = [f"fast-3/{region.name}.safetensors" for region in REGIONS]
    return [load_region(model_file(file)) for file in files if file in shipped_sums()]
