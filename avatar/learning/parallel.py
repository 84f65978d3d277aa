"""Data-parallel training: one process, or those that torchrun starts, on GPUs or on CPUs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Parallel:
    """This process among those of a run."""

    rank: int = 0
    world: int = 1
    device: torch.device = CPU

    @property
    def first(self) -> bool:
        """Whether this process writes files and talks."""
        return self.rank == 0

    def wrap(self, module: nn.Module) -> nn.Module:
        """The module, its gradients averaged over all processes during backward."""
        if self.world == 1:
            return module
        return DistributedDataParallel(module, device_ids=[self.device] if self.device.type == "cuda" else None)

    def gather(self, value: Tensor) -> Tensor:
        """(B, …) of this process to (world·B, …) of all, the same everywhere and without gradients."""
        value = value.detach().contiguous()
        if self.world == 1:
            return value
        parts = [torch.empty_like(value) for _ in range(self.world)]
        dist.all_gather(parts, value)
        return torch.cat(parts)

    def mean(self, figures: dict[str, Tensor]) -> dict[str, float]:
        """Each scalar averaged over the processes, the same everywhere."""
        values = torch.stack([value.detach().float() for value in figures.values()])
        if self.world > 1:
            dist.all_reduce(values)
        return dict(zip(figures, (values / self.world).tolist(), strict=True))

    def wait(self) -> None:
        if self.world > 1:
            dist.barrier()


@contextmanager
def parallel() -> Iterator[Parallel]:
    """The group that torchrun's environment describes; without one, this process alone."""
    world, local = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("LOCAL_RANK", "0"))
    device = torch.device("cuda", local) if torch.cuda.is_available() else CPU
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if world == 1:
        yield Parallel(device=device)
        return
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Parallel(dist.get_rank(), world, device)
    finally:
        dist.destroy_process_group()


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """No gradients for the module's parameters: discriminators do not learn while the generator does."""
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)


@contextmanager
def accumulating(module: nn.Module, last: bool) -> Iterator[None]:
    """Gradients of several passes add up in this process, and are averaged over the others in the last one."""
    if last or not isinstance(module, DistributedDataParallel):
        yield
        return
    with module.no_sync():
        yield


def to_device(batch: dict[str, Any], device: torch.device) -> dict[str, Tensor]:
    """Pictures as numbers in [0, 1]: they travel as bytes."""
    moved = {name: value.to(device, non_blocking=True) for name, value in batch.items()}
    return {name: value.float() / 255 if value.dtype == torch.uint8 else value for name, value in moved.items()}
