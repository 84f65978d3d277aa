"""E(x, y): a photo with its landmark image to the person's vector e (paper, §3.1 and §4)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from avatar.model.full.blocks import Down, SelfAttention
from avatar.model.full.config import FullConfig


class FullEmbedder(nn.Module):
    """Residual halvings to 4×4 with self-attention, global sum pooling, ReLU: about 15 million parameters."""

    def __init__(self, config: FullConfig) -> None:
        super().__init__()
        self.config = config
        self.layers = nn.Sequential(*down_layers(config))

    def forward(self, picture: Tensor, drawing: Tensor) -> Tensor:
        """picture (B, 3, S, S) in [0, 1] and drawing (B, 3, S, S) in [0, 1] to (B, 512), not negative."""
        x = self.layers(torch.cat([picture, drawing], dim=1) * 2 - 1)
        return F.relu(x.float().sum(dim=(2, 3)))  # in bf16, sums lose digits

    def embed(self, pictures: Tensor, drawings: Tensor) -> Tensor:
        """K photos of each person, (B, K, 3, S, S), and their landmark images to the mean ê (B, 512)."""
        each = self(pictures.flatten(0, 1), drawings.flatten(0, 1))
        mean: Tensor = each.unflatten(0, pictures.shape[:2]).mean(1)
        return mean


def down_layers(config: FullConfig) -> list[nn.Module]:
    """The convolutional part that E and D share."""
    layers: list[nn.Module] = []
    channels_in = 6
    for side, channels in zip(config.sides_down(config.embedder_blocks), config.embedder_channels, strict=True):
        layers.append(Down(channels_in, channels, first=not layers))
        if side == config.attention_down_px:
            layers.append(SelfAttention(channels))
        channels_in = channels
    return layers
