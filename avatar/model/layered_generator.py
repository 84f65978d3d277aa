"""G of `fast-3` as it runs live: the refinement nets of all regions in one graph, with each person's embedding."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from avatar.model.checkpoint import read_header, read_tensors, reading
from avatar.model.config import RegionConfig
from avatar.model.refinement import Drawn, RefinementNet

PARTS = Drawn._fields  # of what a net sees
CHANGES = ("offset", "keep", "added")  # of what it gives


@dataclass(frozen=True)
class Region:
    """What kind of net a region has."""

    name: str
    size: tuple[int, int]  # height and width of what it sees
    config: RegionConfig
    hints: int
    paint_prior: tuple[float, float]
    of_each: int = 1  # how many of them a face has, all drawn at once
    embedding: int = 512
    detail: int = 1  # how many times larger the picture is that its training corrects than what it sees
    confined: bool = False  # to where its second hint is: beyond, it changes nothing

    @staticmethod
    def from_dict(values: dict[str, Any]) -> Region:
        """Inverse of `asdict`, also after a trip through JSON. Raises ValueError for sizes of no such network."""
        config = values["config"]
        own = values | {
            "config": RegionConfig(tuple(config["channels"]), config["residual_blocks"]),
            "size": tuple(values["size"]),
            "paint_prior": tuple(values["paint_prior"]),
        }
        return Region(**own)


FACE = Region("face", (128, 128), RegionConfig((32, 64, 128)), 6, (-5.0, -0.5), detail=2, confined=True)
MOUTH = Region("mouth", (64, 96), RegionConfig((48, 96, 128)), 4, (-3.0, 0.0))
EYE = Region("eye", (32, 48), RegionConfig((32, 64, 96)), 2, (-3.0, -1.0), of_each=2)
REGIONS = (MOUTH, EYE, FACE)  # in the order of the graph


class RegionGenerator(nn.Module):
    """One region's net, and the projection P of a person's embedding to the net's AdaIN parameters."""

    def __init__(self, region: Region) -> None:
        super().__init__()
        self.region = region
        self.net = RefinementNet(region.config, region.hints, region.paint_prior, region.confined)
        self.projection = nn.Linear(region.embedding, self.net.psi_size)
        nn.init.normal_(self.projection.weight, std=0.01)
        nn.init.zeros_(self.projection.bias)

    def forward(self, embedding: Tensor, drawn: Drawn) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """embedding (B, 512). Offset, keep, added and paint, as of `Changes`."""
        return self.refine(self.projection(embedding), drawn)

    def refine(self, psi: Tensor, drawn: Drawn) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """As `forward`, from AdaIN parameters (B, n)."""
        changes = self.net(drawn, psi)
        return changes.offset, changes.keep, changes.added, changes.paint


class LayeredGenerator(nn.Module):
    """Flat inputs and outputs, as those of a graph are: `inputs` and `outputs` name them, in this order.

    Those of a region that a face has twice are (B, 2, …).
    """

    def __init__(self, regions: Sequence[RegionGenerator]) -> None:
        super().__init__()
        self._regions = list(regions)  # as what they are
        self.regions = nn.ModuleList(regions)
        self.inputs = ["embedding", *(f"{one.region.name}_{part}" for one in regions for part in PARTS)]
        self.outputs = [f"{one.region.name}_{change}" for one in regions for change in CHANGES]

    def forward(self, embedding: Tensor, *drawn: Tensor) -> tuple[Tensor, ...]:
        results: list[Tensor] = []
        for number, one in enumerate(self._regions):
            parts, several = drawn[len(PARTS) * number : len(PARTS) * (number + 1)], one.region.of_each
            if several == 1:
                results += one(embedding, Drawn(*parts))[: len(CHANGES)]
            else:
                each = Drawn(*(part.flatten(0, 1) for part in parts))
                # projected once: TensorRT for RTX has no float32 product with several rows for Turing
                psi = one.projection(embedding).repeat_interleave(several, dim=0)
                changes = one.refine(psi, each)[: len(CHANGES)]
                results += [change.unflatten(0, (-1, several)) for change in changes]
        return tuple(results)

    def example(self) -> dict[str, Tensor]:
        """Noise of the inputs' shapes, always the same."""
        noise = torch.Generator().manual_seed(3)
        given = {"embedding": torch.randn(1, self._regions[0].region.embedding, generator=noise)}
        for one in self._regions:
            channels = dict(zip(PARTS, (3, 3, one.region.hints), strict=True))
            for part in PARTS:
                several = () if one.region.of_each == 1 else (one.region.of_each,)
                shape = (1, *several, channels[part], *one.region.size)
                given[f"{one.region.name}_{part}"] = torch.rand(shape, generator=noise)
        return given


def save_region(path: Path, network: RegionGenerator, about: dict[str, Any]) -> None:
    """Write one region's weights as a safetensors file, in half precision: the export widens them again."""
    tensors = {name: value.half().contiguous() for name, value in network.state_dict().items()}
    header = {"config": json.dumps(asdict(network.region)), "about": json.dumps(about)}
    beside = path.with_name(path.name + ".part")
    save_file(tensors, beside, metadata=header)
    beside.replace(path)


def load_region(path: Path) -> RegionGenerator:
    """Read what `save_region` wrote. Raises InputError naming the file."""
    with reading(path, "holds no region of a generator", "Train one with `visavis train`."):
        network = RegionGenerator(Region.from_dict(read_header(path)[0]))
        network.load_state_dict(read_tensors(path))
    return network.eval()
