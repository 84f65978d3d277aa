"""What the trainer needs of a size of the networks, and what all sizes share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from avatar.core.errors import VisavisError
from avatar.learning.parallel import Parallel

Batch = dict[str, Tensor]


class NotFiniteError(VisavisError):
    """A loss or a gradient is no number."""


class Objective(Protocol):
    """Networks with their optimisers and losses."""

    options: Any  # a dataclass
    group: Parallel  # the processes that train together

    def step(self, batches: Sequence[Batch], number: int, share: float) -> dict[str, float]:
        """Update all networks once, on one batch or on several whose gradients add up.

        `number` counts updates from 0, `share` scales the learning rates. Returns each loss, weighted, averaged over
        all processes. Raises NotFiniteError before the networks take up what is no number.
        """

    def validate(self, batch: Batch) -> dict[str, Tensor]:
        """Distances of the averaged networks' pictures from the true ones: scalars."""

    def compilable(self) -> Sequence[nn.Module]:
        """Networks whose forward pass may be compiled: where most of the time goes."""

    def save(self, folder: Path, about: dict[str, Any]) -> Path:
        """Write the averaged networks. Returns the file to export."""

    def save_sheet(self, path: Path, batch: Batch) -> None:
        """A contact sheet of a batch, one row per sample."""

    def state_dict(self) -> dict[str, Any]:
        """All that an exact resume needs."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Inverse of `state_dict`."""


def update(optimiser: torch.optim.Optimizer, figures: dict[str, float], rate: float, most: float = math.inf) -> None:
    """One step, the gradient's norm held at `most`. Raises NotFiniteError before anything has changed."""
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    norm = float(nn.utils.clip_grad_norm_(parameters, most))
    if not math.isfinite(norm + sum(figures.values())):
        shown = ", ".join(f"{name} {value:.4g}" for name, value in figures.items())
        raise NotFiniteError(f"a loss or its gradient is no number ({shown}; norm of the gradient {norm:.4g})")
    for group in optimiser.param_groups:
        group["lr"] = rate
    optimiser.step()


@torch.no_grad()
def average(kept: nn.Module, new: nn.Module, decay: float, number: int) -> None:
    """Exponential moving average of the parameters, shorter at the start; buffers are the latest."""
    decay = min(decay, (number + 1) / (number + 10))
    for mine, theirs in zip(kept.parameters(), new.parameters(), strict=True):
        mine.lerp_(theirs, 1 - decay)
    for copied, latest in zip(kept.buffers(), new.buffers(), strict=True):
        copied.copy_(latest)


def mean_of(parts: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of each scalar over micro-batches."""
    return {name: torch.stack([part[name].detach() for part in parts]).mean() for name in parts[0]}
