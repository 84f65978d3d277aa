"""How large the networks are and what they cost: parameters and FLOPs of the sizes `fast` and `full`.

FLOPs are counted on a traced run, on torch's `meta` device, which knows shapes only: two for each multiply-accumulate
of convolutions, matrix products and attention, as torch counts them. Norms, activations, resizing: not counted.
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
from avatar.model.config import EmbedderConfig
from avatar.model.embedder import PICTURE_PX, Embedder
from avatar.model.full.checkpoint import FullNetworks
from avatar.model.full.config import FullConfig
from avatar.model.layered_generator import REGIONS, LayeredGenerator, RegionGenerator

FULL_SIZES = {"full": FullConfig(), "full-128": FullConfig.at(128)}
SIZES = ("fast", *FULL_SIZES)
_SHAPES = torch.device("meta")


@dataclass(frozen=True)
class SummaryRow:
    """One network of one size, run once."""

    size: str
    network: str
    runs: str  # what one run is
    parameters: int
    gflop: float  # 10⁹, convolutions and products


def summarise(size: str) -> list[SummaryRow]:
    """The networks of one of SIZES, built anew. Raises UsageError for another size."""
    if size == "fast":
        return _fast()
    if size in FULL_SIZES:
        return _full(size, FULL_SIZES[size])
    raise UsageError(f"There is no size '{size}'. Choose from: {', '.join(SIZES)}.")


def summarise_all() -> list[SummaryRow]:
    return [row for size in SIZES for row in summarise(size)]


def summary_table(rows: Sequence[SummaryRow]) -> Table:
    table = Table("size", "network", "one run", box=None, pad_edge=False)
    for heading in ("parameters", "GFLOP"):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(row.size, row.network, row.runs, f"{row.parameters / 1e6:.2f} M", f"{row.gflop:.2f}")
    return table


def _fast() -> list[SummaryRow]:
    generator, embedder = (
        LayeredGenerator([RegionGenerator(one) for one in REGIONS]),
        Embedder(EmbedderConfig()),
    )
    picture = torch.zeros(1, 3, PICTURE_PX, PICTURE_PX, device=_SHAPES)
    drawing = torch.zeros(1, 3, PICTURE_PX // 2, PICTURE_PX // 2, device=_SHAPES)
    fed = {name: value.to(_SHAPES) for name, value in generator.example().items()}
    return [
        _row("fast", "generator", "a frame", generator, lambda: generator(*fed.values())),
        _row("fast", "embedder", "a photo", embedder, lambda: embedder(picture, drawing)),
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
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        run()
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return SummaryRow(size, name, runs, parameters, counter.get_total_flops() / 1e9)
