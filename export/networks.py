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
from avatar.model.checkpoint import DAMAGE, in_a_line, load_weights, read_header
from avatar.model.embedder import Embedder
from avatar.model.full.blocks import without_spectral_norm
from avatar.model.full.checkpoint import load_full
from avatar.model.full.config import FullConfig
from avatar.model.full.embedder import FullEmbedder
from avatar.model.full.generator import FullGenerator
from avatar.model.generator import REGIONS, Generator, LayerGenerator, PictureGenerator
from avatar.render.example import example_landmarks
from avatar.render.landmark_image import landmark_image
from export.example import example_inputs, layer_inputs, smooth_noise

MAX_PIXELS = 2048 * 2048  # in one output, all pictures of a batch together


@dataclass(frozen=True)
class Networks:
    """A generator and the embedder that gives its ψ: of size `fast`, or `full`."""

    generator: Generator | FullGenerator
    embedder: Embedder | FullEmbedder

    @property
    def size(self) -> str:
        return self.generator.config.size


@dataclass(frozen=True)
class Traced:
    """A network with an example of its inputs, by name and in order, and the names of its outputs."""

    network: nn.Module
    inputs: dict[str, Tensor]
    outputs: list[str]


def load_networks(path: Path) -> Networks:
    """The networks of a checkpoint of either size. Raises InputError naming the file."""
    try:
        size = read_header(path)[0].get("size")
    except DAMAGE as error:
        raise InputError(
            f"{path} is no visavis checkpoint ({in_a_line(error)}). Train one with `visavis train`."
        ) from error
    if size == "full":
        networks, _ = load_full(path)
        return _full(networks.generator, networks.embedder)
    generator, embedder, _ = load_weights(path)
    return Networks(generator, embedder)


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
    """The generator as it is exported; ψ is an input, so that one graph serves every person.

    size_px: None gives `fast` as it runs live: layers for an output of any size. Otherwise pictures of that side: then
    `fast` takes portraits of that side too, and warps them by itself. Raises UsageError for a size that does not fit.
    """
    generator = networks.generator
    own = generator.config.picture_size_px
    if batch * (size_px or own) ** 2 > MAX_PIXELS:
        raise UsageError(f"{batch} pictures of {size_px or own}² in one batch are more than networks are built for.")
    noise = np.random.default_rng(3).normal(0, 0.1, (1, generator.psi_size))
    psi = torch.from_numpy(noise.astype(np.float32))
    if isinstance(generator, FullGenerator):
        if size_px not in (None, own):
            raise UsageError(
                f"This network of size `full` draws {own}², and its weights fit no other size, such as {size_px}²."
            )
        return _batched(Traced(generator, {"drawing": _full_drawing(own), "psi": psi}, ["picture"]), batch)
    if size_px is None:
        live = LayerGenerator(generator.config)
        live.load_state_dict(generator.state_dict())
        return _batched(Traced(live.eval(), layer_inputs(generator), list(LayerGenerator.OUTPUTS)), batch)
    if size_px < own or size_px % own:
        raise UsageError(f"The output's size must be a multiple of {own}, not {size_px}.")
    pictures = PictureGenerator(generator.config)
    pictures.load_state_dict(generator.state_dict())
    pictures.output_px = size_px
    fed = {"psi": psi} | example_inputs(generator.config, size_px)
    given = {name: fed[name] for name in PictureGenerator.INPUTS}
    return _batched(Traced(pictures.eval(), given, list(REGIONS)), batch)


def trace_embedder(networks: Networks) -> Traced:
    """A photo with its landmark image to the embedding and to ψ."""
    if isinstance(networks.generator, FullGenerator):
        side = networks.generator.config.picture_size_px
        picture = torch.from_numpy(smooth_noise(np.random.default_rng(7), side))[None]
        given = {"picture": picture, "drawing": _full_drawing(side)}
        return Traced(_Projected(networks.embedder, networks.generator.projection).eval(), given, ["embedding", "psi"])
    fed = example_inputs(networks.generator.config)
    given = {"picture": fed["source"], "drawing": fed["source_drawing"]}
    return Traced(networks.embedder, given, ["embedding", "psi"])


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


def _full_drawing(side_px: int) -> Tensor:
    return torch.from_numpy(landmark_image(example_landmarks()[0], side_px))[None]
