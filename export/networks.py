"""What is exported: the networks of a checkpoint, and the graphs that are made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from avatar.core.arrays import Array
from avatar.core.errors import InputError, UsageError
from avatar.core.model_files import model_file
from avatar.model.checkpoint import read_header, reading
from avatar.model.embedder import PICTURE_PX, Embedder, load_embedder
from avatar.model.full.blocks import without_spectral_norm
from avatar.model.full.checkpoint import load_full
from avatar.model.full.config import FullConfig
from avatar.model.full.embedder import FullEmbedder
from avatar.model.full.generator import FullGenerator
from avatar.model.layered_generator import REGIONS, LayeredGenerator, load_region
from avatar.render.landmark_image import mean_face_image

MAX_PIXELS = 2048 * 2048  # in one output, all pictures of a batch together
EMBEDDER = "embedder.safetensors"


@dataclass(frozen=True)
class Networks:
    """A generator and the embedder that knows the person: of size `fast`, or `full`."""

    generator: LayeredGenerator | FullGenerator
    embedder: Embedder | FullEmbedder

    @property
    def size(self) -> str:
        return "full" if isinstance(self.generator, FullGenerator) else "fast"


@dataclass(frozen=True)
class Traced:
    """A network with an example of its inputs, by name and in order, and the names of its outputs."""

    network: nn.Module
    inputs: dict[str, Tensor]
    outputs: list[str]


def load_networks(path: Path) -> Networks:
    """The networks of a checkpoint: of `full`, or of one region of `fast` with those that lie beside it.

    Where no embedder lies beside a region, it is the one that comes with visavis, which all are trained with.
    Raises InputError naming the file.
    """
    with reading(path, "is no visavis checkpoint", "Train one with `visavis train`."):
        config = read_header(path)[0]
    if config.get("size") == "full":
        networks, _ = load_full(path)
        return _full(networks.generator, networks.embedder)
    beside = regions_beside(path)
    regions = [load_region(one) for one in (beside if path in beside else [path])]
    embedder = path.parent / EMBEDDER
    return Networks(
        LayeredGenerator(regions).eval(),
        load_embedder(embedder if embedder.is_file() else model_file(f"fast-3/{EMBEDDER}")),
    )


def regions_beside(checkpoint: Path) -> list[Path]:
    """The checkpoints of all regions that lie in its folder, in the order of the graph."""
    return [path for one in REGIONS if (path := checkpoint.parent / f"{one.name}.safetensors").is_file()]


def untrained_full(picture_px: int) -> Networks:
    """The paper's networks with random weights, always the same: for timing."""
    torch.manual_seed(1)
    config = FullConfig.at(picture_px)
    return _full(FullGenerator(config), FullEmbedder(config))


def _full(generator: FullGenerator, embedder: FullEmbedder) -> Networks:
    plain = without_spectral_norm(generator), without_spectral_norm(embedder)
    return Networks(cast(FullGenerator, plain[0]), cast(FullEmbedder, plain[1]))


def put_weights(network: nn.Module, names: Sequence[str], values: Array) -> None:
    """Put a person's learned tensors, (n,) numbers in the order of `names`, into a generator.

    Raises InputError when they do not fit.
    """
    state = network.state_dict()
    sizes = [state[name].numel() if name in state else 0 for name in names]
    if 0 in sizes or sum(sizes) != values.size:
        raise InputError(
            f"This avatar's fine-tuned network has {values.size} weights, the checkpoint {sum(sizes)}. "
            "Enrol the photos again: `visavis enroll PHOTO… --name NAME --force`, then `visavis finetune NAME`."
        )
    parts = torch.from_numpy(values).split(sizes)
    network.load_state_dict(
        {name: part.view_as(state[name]) for name, part in zip(names, parts, strict=True)}, strict=False
    )


def trace_generator(networks: Networks, size_px: int | None = None, batch: int = 1) -> Traced:
    """The generator as it is exported; what it knows of a person is an input, so that one graph serves everybody.

    size_px: of the pictures of `full`, None for its own; `fast` gives layers for an output of any size. Raises
    UsageError for a size that does not fit.
    """
    generator = networks.generator
    if not isinstance(generator, FullGenerator):
        if size_px is not None:
            raise UsageError("`fast` gives layers for pictures of any size: leave the size out.")
        return _batched(Traced(generator, generator.example(), generator.outputs), batch)
    own = generator.config.picture_size_px
    if size_px not in (None, own):
        raise UsageError(
            f"This network of size `full` draws {own}², and its weights fit no other size, such as {size_px}²."
        )
    if batch * own**2 > MAX_PIXELS:
        raise UsageError(f"{batch} pictures of {own}² in one batch are more than networks are built for.")
    noise = np.random.default_rng(3).normal(0, 0.1, (1, generator.psi_size))
    given = {"drawing": _full_drawing(own), "psi": torch.from_numpy(noise.astype(np.float32))}
    return _batched(Traced(generator, given, ["picture"]), batch)


def trace_embedder(networks: Networks) -> Traced:
    """A photo with its landmark image to the embedding; of `full` to ψ as well."""
    if isinstance(networks.generator, FullGenerator):
        side = networks.generator.config.picture_size_px
        given = {"picture": _smooth_noise(7, side), "drawing": _full_drawing(side)}
        return Traced(_Projected(networks.embedder, networks.generator.projection).eval(), given, ["embedding", "psi"])
    given = {"picture": _smooth_noise(7, PICTURE_PX), "drawing": _smooth_noise(8, PICTURE_PX // 2)}
    return Traced(networks.embedder, given, ["embedding"])


class _Projected(nn.Module):
    """E, and P, which belongs to the generator of `full`."""

    def __init__(self, embedder: nn.Module, projection: nn.Module) -> None:
        super().__init__()
        self.embedder, self.projection = embedder, projection

    def forward(self, picture: Tensor, drawing: Tensor) -> tuple[Tensor, Tensor]:
        embedding = self.embedder(picture, drawing)
        return embedding, self.projection(embedding)


def _batched(traced: Traced, batch: int) -> Traced:
    inputs = {name: value.repeat(batch, *[1] * (value.dim() - 1)) for name, value in traced.inputs.items()}
    return Traced(traced.network, inputs, traced.outputs)


def _smooth_noise(seed: int, side_px: int) -> Tensor:
    """(1, 3, side, side) in [0, 1]."""
    rough = np.random.default_rng(seed).random((1, 3, side_px // 8, side_px // 8), np.float32)
    return nn.functional.interpolate(
        torch.from_numpy(rough), size=(side_px, side_px), mode="bilinear", align_corners=False
    )


def _full_drawing(side_px: int) -> Tensor:
    return torch.from_numpy(mean_face_image(side_px))[None]
