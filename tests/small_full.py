"""The paper's networks, but small and with random weights, as they come out of training and of `visavis export`."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

import torch

from avatar.model.full.checkpoint import FullNetworks, save_full
from avatar.model.full.config import FullConfig
from export.networks import load_networks
from export.package import PackageOptions, package

SIDE_PX = 32


def save_small(path: Path, channels_max: int = 24) -> Path:
    """A checkpoint."""
    torch.manual_seed(4)
    config = FullConfig.at(
        SIDE_PX, channels_min=8, channels_max=channels_max, embedding=24, down_blocks=2, residual_blocks=1
    )
    save_full(path, FullNetworks.build(config), {})
    return path


def exported(checkpoint: Path, out: Path, embedder: bool = True) -> Path:
    """The generator's file, in the folder `out`."""
    return package(load_networks(checkpoint), out, PackageOptions(embedder=embedder)).files[0].path


@cache
def small_full() -> tempfile.TemporaryDirectory[str]:
    """A folder with the checkpoint and, in `onnx`, what is exported of it: once for all tests."""
    folder = tempfile.TemporaryDirectory(prefix="visavis-full-")
    exported(save_small(Path(folder.name) / "full.safetensors"), Path(folder.name) / "onnx")
    return folder
