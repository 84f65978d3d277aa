"""G(y; ψ, P): a landmark image to the person's picture (paper, §3.1 and §4)."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from avatar.model.blocks import AdaIN
from avatar.model.full.blocks import AdaINBlock, Down, SelfAttention, conv
from avatar.model.full.config import FullConfig


class FullGenerator(nn.Module):
    """Halvings with instance norm, residual blocks and doublings with AdaIN: about 38 million parameters with P."""

    def __init__(self, config: FullConfig) -> None:
        super().__init__()
        self.config = config
        channels = config.generator_channels
        down: list[nn.Module] = []
        channels_in = 3
        for side, width in zip(config.sides_down(config.down_blocks), channels, strict=True):
            down.append(Down(channels_in, width, first=not down, normalise=True))
            if side == config.attention_down_px:
                down.append(SelfAttention(width))
            channels_in = width
        self.down = nn.Sequential(*down)
        self.residual = nn.ModuleList(AdaINBlock(channels[-1], channels[-1]) for _ in range(config.residual_blocks))
        widths = [*reversed(channels), channels[0]]
        sides = [2 * side for side in reversed(config.sides_down(config.down_blocks))]
        self.up = nn.ModuleList(AdaINBlock(a, b, double=True) for a, b in pairwise(widths))
        self.attention = SelfAttention(widths[1 + sides.index(config.attention_up_px)])
        self.attention_after = sides.index(config.attention_up_px)
        self.norm = AdaIN(channels[0])
        self.to_picture = conv(channels[0], 3, 3)
        blocks = [*self.residual, *self.up, self.norm]
        self.psi_sizes: list[int] = [int(block.parameters_needed) for block in blocks]
        self.projection = spectral_norm(nn.Linear(config.embedding, sum(self.psi_sizes), bias=False))  # P

    @property
    def psi_size(self) -> int:
        return sum(self.psi_sizes)

    def psi(self, embedding: Tensor) -> Tensor:
        """ψ̂ = P·ê: (B, 512) to (B, psi_size)."""
        psi: Tensor = self.projection(embedding)
        return psi

    def forward(self, drawing: Tensor, psi: Tensor) -> Tensor:
        """drawing (B, 3, S, S) in [0, 1] and psi (B, psi_size) to a picture (B, 3, S, S) in [0, 1]."""
        person = list(psi.split(self.psi_sizes, dim=1))
        x = self.down(drawing * 2 - 1)
        for i, block in enumerate([*self.residual, *self.up]):
            x = block(x, person[i])
            if i == len(self.residual) + self.attention_after:
                x = self.attention(x)
        return torch.sigmoid(self.to_picture(F.relu(self.norm(x, person[-1]))))
