"""D: the projection discriminator, V(x, y)ᵀ(Wᵢ + w₀) + b (paper, §3.1)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from avatar.model.blocks import SLOPE
from avatar.model.config import ModelConfig


class Discriminator(nn.Module):
    """Scores a picture with its drawing, given the person's vector Wᵢ. The vectors live in `PersonVectors`."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        layers: list[nn.Module] = []
        channels_in = 6
        for channels in config.discriminator_channels:
            layers.append(spectral_norm(nn.Conv2d(channels_in, channels, 4, stride=2, padding=1)))
            channels_in = channels
        self.layers = nn.ModuleList(layers)
        self.to_vector = spectral_norm(nn.Linear(channels_in, config.embedding))
        self.w0 = nn.Parameter(torch.randn(config.embedding) * 0.05)
        self.bias = nn.Parameter(torch.zeros(()))
        self.local = spectral_norm(nn.Conv2d(channels_in, 1, 3, padding=1))

    def forward(self, picture: Tensor, drawing: Tensor, person: Tensor) -> tuple[Tensor, list[Tensor]]:
        """picture and drawing (B, 3, h, w), person (B, 512) → scores (B, …) and the features for feature matching.

        Beside the projection's score stands a map of local realism scores, which steadies small crops.
        """
        x = torch.cat([picture * 2 - 1, drawing], dim=1)
        features = []
        for layer in self.layers:
            x = F.leaky_relu(layer(x), SLOPE)
            features.append(x)
        vector = self.to_vector(x.mean(dim=(2, 3)))
        score = (vector * (person + self.w0)).sum(1) + self.bias
        return score[:, None] + self.local(x).flatten(1), features


class PersonVectors(nn.Module):
    """Wᵢ: one learned vector per training person, drawn to that person's embedding by the match loss."""

    def __init__(self, people: int, config: ModelConfig) -> None:
        super().__init__()
        self.table = nn.Embedding(people, config.embedding)
        nn.init.normal_(self.table.weight, std=0.05)

    def forward(self, identity: Tensor) -> Tensor:
        """(B,) indices to (B, 512)."""
        vectors: Tensor = self.table(identity)
        return vectors
