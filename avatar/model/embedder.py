"""E: photos of a person with their landmark images to one vector, from which the generator takes the person."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from avatar.model.blocks import SLOPE
from avatar.model.checkpoint import read_header, read_tensors, reading
from avatar.model.config import EmbedderConfig

PICTURE_PX = 256  # of its photos; their landmark images have half of it


class Embedder(nn.Module):
    """E(x, y) of the paper, §3.1, at 128²; the K embeddings are averaged."""

    def __init__(self, config: EmbedderConfig) -> None:
        super().__init__()
        self.config = config
        stages: list[nn.Module] = []
        channels_in = 6
        for channels in config.channels:
            stages += [nn.Conv2d(channels_in, channels, 3, stride=2, padding=1), nn.LeakyReLU(SLOPE)]
            channels_in = channels
        self.features = nn.Sequential(*stages)
        self.head = nn.Linear(channels_in, config.embedding)

    def forward(self, pictures: Tensor, drawings: Tensor) -> Tensor:
        """pictures (N, 3, 256, 256) in [0, 1] and their landmark images (N, 3, 128, 128) to (N, 512)."""
        small = F.avg_pool2d(pictures, 2)
        x = self.features(torch.cat([small * 2 - 1, drawings], dim=1))
        embedding: Tensor = self.head(x.mean(dim=(2, 3)))
        return embedding


def load_embedder(path: Path) -> Embedder:
    """Of a safetensors file with the configuration in its header. Raises InputError naming the file."""
    with reading(path, "holds no embedder", "Install visavis again, or copy the file again."):
        embedder = Embedder(EmbedderConfig.from_dict(read_header(path)[0]))
        embedder.load_state_dict(read_tensors(path))
    return embedder.eval()
