"""How large the networks are and what they cost: parameters and FLOPs of the sizes `fast` and `full`.

FLOPs are counted on a traced run, on torch's `meta` device, which knows shapes only: two for each multiply-accumulate
of convolutions, matrix products and attention, as torch counts them. Sampling a picture through a flow has no such
product and stands apart: four taps, so eight for each sampled value. Norms, activations, resizing: not counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from rich.table import Table
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from avatar.core.errors import UsageError
from avatar.model.checkpoint import build_networks
from avatar.model.config import ModelConfig
from avatar.model.discriminator import Discriminator
from avatar.model.full.checkpoint import FullNetworks
from avatar.model.full.config import FullConfig
from avatar.model.generator import Conditioning
from avatar.render.conditioning import MOUTH_SIZE
from export.example import example_inputs

FULL_SIZES = {"full": FullConfig(), "full-128": FullConfig.at(128)}
SIZES = ("fast", *FULL_SIZES)
_SHAPES = torch.device("meta")
_SAMPLE = torch.ops.aten.grid_sampler_2d


@dataclass(frozen=True)
class SummaryRow:
    """One network of one size, run once."""

    size: str
    network: str
    runs: str  # what one run is
    parameters: int
    gflop: float  # 10⁹, convolutions and products
    sampling_gflop: float  # 10⁹, of bilinear sampling


def summarise(size: str) -> list[SummaryRow]:
    """The networks of one of SIZES, built anew. Raises UsageError for another size."""
    if size == "fast":
        return _fast(ModelConfig())
    if size in FULL_SIZES:
        return _full(size, FULL_SIZES[size])
    raise UsageError(f"There is no size '{size}'. Choose from: {', '.join(SIZES)}.")


def summarise_all() -> list[SummaryRow]:
    return [row for size in SIZES for row in summarise(size)]


def summary_table(rows: Sequence[SummaryRow]) -> Table:
    table = Table("size", "network", "one run", box=None, pad_edge=False)
    for heading in ("parameters", "GFLOP", "+ sampling"):
        table.add_column(heading, justify="right")
    for row in rows:
        sampling = f"{row.sampling_gflop:.3f}" if row.sampling_gflop else ""
        table.add_row(row.size, row.network, row.runs, f"{row.parameters / 1e6:.2f} M", f"{row.gflop:.2f}", sampling)
    return table


def _fast(config: ModelConfig) -> list[SummaryRow]:
    generator, embedder = build_networks(config)
    face_discriminator, mouth_discriminator = Discriminator(config), Discriminator(config)
    fed = {name: value.to(_SHAPES) for name, value in example_inputs(config).items()}
    drawing, given = fed["source_drawing"], Conditioning.of(fed)
    psi = torch.zeros(1, generator.psi_size, device=_SHAPES)
    person = torch.zeros(1, config.embedding, device=_SHAPES)
    mouth = torch.zeros(1, 3, *MOUTH_SIZE, device=_SHAPES)
    return [
        _row("fast", "generator", "a 256² frame", generator, lambda: generator(psi, given)),
        _row("fast", "embedder with P", "a photo", embedder, lambda: embedder(given.source, drawing)),
        _row(
            "fast",
            "discriminator, face",
            "a 128² picture",
            face_discriminator,
            lambda: face_discriminator(drawing, drawing, person),
        ),
        _row(
            "fast",
            "discriminator, mouth",
            "a 64×96 crop",
            mouth_discriminator,
            lambda: mouth_discriminator(mouth, mouth, person),
        ),
    ]


def _full(size: str, config: FullConfig) -> list[SummaryRow]:
    nets = FullNetworks.build(config)
    side = config.picture_size_px
    picture = torch.zeros(1, 3, side, side, device=_SHAPES)
    psi = torch.zeros(1, nets.generator.psi_size, device=_SHAPES)
    person = torch.zeros(1, config.embedding, device=_SHAPES)
    return [
        _row(size, "generator with P", f"a {side}² frame", nets.generator, lambda: nets.generator(picture, psi)),
        _row(size, "embedder", "a photo", nets.embedder, lambda: nets.embedder(picture, picture)),
        _row(
            size, "discriminator", f"a {side}² picture", nets.discriminator,
            lambda: nets.discriminator(picture, picture, person),
        ),
    ]  # fmt: skip


def _row(size: str, name: str, runs: str, network: nn.Module, run: Callable[[], Any]) -> SummaryRow:
    network.eval().to(_SHAPES)
    counter = FlopCounterMode(display=False, custom_mapping={_SAMPLE: _sampling})
    with counter, torch.no_grad():
        run()
    by_operator = counter.get_flop_counts()["Global"]
    sampling = sum(count for operator, count in by_operator.items() if operator is _SAMPLE)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    total = counter.get_total_flops()
    return SummaryRow(size, name, runs, parameters, (total - sampling) / 1e9, sampling / 1e9)


def _sampling(picture: Any, places: Any, *_: Any, out_shape: Any = None, **__: Any) -> int:
    """picture (B, C, H, W) at places (B, h, w, 2); torch gives the shapes of the tensors."""
    batch, channels = (int(n) for n in picture[:2])
    height, width = (int(n) for n in places[1:3])
    return 8 * batch * channels * height * width
