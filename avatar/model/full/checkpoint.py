"""Trained `full` networks as one safetensors file with the configuration in its header. No pickle."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from avatar.core.whole_file import whole_file
from avatar.model.checkpoint import read_header, read_tensors, reading
from avatar.model.full.config import FullConfig
from avatar.model.full.discriminator import FullDiscriminator
from avatar.model.full.embedder import FullEmbedder
from avatar.model.full.generator import FullGenerator


@dataclass
class FullNetworks:
    """What meta-learning leaves behind: all that a person's own stage starts from."""

    embedder: FullEmbedder
    generator: FullGenerator
    discriminator: FullDiscriminator

    @staticmethod
    def build(config: FullConfig) -> FullNetworks:
        return FullNetworks(FullEmbedder(config), FullGenerator(config), FullDiscriminator(config))

    def parts(self) -> dict[str, nn.Module]:
        return {"embedder": self.embedder, "generator": self.generator, "discriminator": self.discriminator}


def save_full(path: Path, networks: FullNetworks, about: dict[str, Any]) -> None:
    """Write E, G and D in half precision, with the vectors of spectral normalisation: training can go on from it."""
    tensors: dict[str, torch.Tensor] = {}
    for name, network in networks.parts().items():
        tensors |= {f"{name}.{k}": v.detach().half().contiguous() for k, v in network.state_dict().items()}
    header = {"config": json.dumps(networks.generator.config.to_dict()), "about": json.dumps(about)}
    with whole_file(path) as part:
        save_file(tensors, part, metadata=header)


def load_full(path: Path) -> tuple[FullNetworks, dict[str, Any]]:
    """Read what `save_full` wrote, in evaluation mode. Raises InputError naming the file."""
    with reading(path, "holds no `full` networks", "Train them with `visavis train --size full`."):
        config, about = read_header(path)
        tensors = read_tensors(path)
        networks = FullNetworks.build(FullConfig.from_dict(config))
        for name, network in networks.parts().items():
            own = {k.removeprefix(f"{name}."): v for k, v in tensors.items() if k.startswith(f"{name}.")}
            network.load_state_dict(own)
            network.eval()
    return networks, about
