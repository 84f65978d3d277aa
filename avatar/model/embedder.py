"""E: photos of a person with their landmark images to one vector, and P: that vector to the generator's ψ."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from avatar.model.blocks import SLOPE
from avatar.model.config import ModelConfig


class Embedder(nn.Module):
    """E(x, y) of the paper, §3.1, at 128²; the K embeddings are averaged. P projects the mean to ψ (§3.2)."""

    def __init__(self, config: ModelConfig, psi_size: int) -> None:
        super().__init__()
        stages: list[nn.Module] = []
        channels_in = 6
        for channels in config.embedder_channels:
            stages += [nn.Conv2d(channels_in, channels, 3, stride=2, padding=1), nn.LeakyReLU(SLOPE)]
            channels_in = channels
        self.features = nn.Sequential(*stages)
        self.head = nn.Linear(channels_in, config.embedding)
        self.projection = nn.Linear(config.embedding, psi_size)
        nn.init.normal_(self.projection.weight, std=0.01)
        nn.init.zeros_(self.projection.bias)

    def embed(self, pictures: Tensor, drawings: Tensor) -> Tensor:
        """pictures (N, 3, 256, 256) in [0, 1] and their landmark images (N, 3, 128, 128) to (N, 512)."""
        small = F.avg_pool2d(pictures, 2)
        x = self.features(torch.cat([small * 2 - 1, drawings], dim=1))
        embedding: Tensor = self.head(x.mean(dim=(2, 3)))
        return embedding

    def psi(self, embedding: Tensor) -> Tensor:
        """(B, 512) to (B, psi_size)."""
        psi: Tensor = self.projection(embedding)
        return psi

    def forward(self, pictures: Tensor, drawings: Tensor) -> tuple[Tensor, Tensor]:
        """K photos of one person to their embeddings (K, 512) and each one's ψ (K, P). P is affine: means commute."""
        embedding = self.embed(pictures, drawings)
        return embedding, self.psi(embedding)
