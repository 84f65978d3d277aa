"""Losses that the sizes share (paper, §3.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from avatar.learning.efficientnet_lite import EfficientNetLite0

FEATURE_BLOCKS = (0, 2, 4, 7)  # of EfficientNet-Lite0: strides 2, 4, 8, 16


class ContentNet(nn.Module):
    """Features of EfficientNet-Lite0 trained on ImageNet, in place of the paper's VGG19: packages carry its weights.

    The distance of each layer is divided by the target's mean feature, which balances layers without tuned weights.
    """

    def __init__(self, network: EfficientNetLite0 | None = None) -> None:
        """`network`: None for the one whose weights the installed package has."""
        super().__init__()
        self.network = network or EfficientNetLite0()

    def features(self, picture: Tensor) -> list[Tensor]:
        """(B, 3, H, W) in [0, 1] to one tensor per layer."""
        features: list[Tensor] = self.network(picture, FEATURE_BLOCKS)
        return features

    def forward(self, picture: Tensor, target: Tensor) -> Tensor:
        """Mean relative L1 distance over the layers."""
        with torch.no_grad():
            wanted = self.features(target)
        pairs = zip(self.features(picture), wanted, strict=True)
        return torch.stack([F.l1_loss(a, b) / b.abs().mean().clamp_min(1e-4) for a, b in pairs]).mean()


def hinge_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """L_DSC of the paper, eq. 7."""
    return F.relu(1.0 - real).mean() + F.relu(1.0 + fake).mean()


def weighted_l1(picture: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """L1 with a (B, 1, H, W) weight per pixel."""
    return ((picture - target).abs() * weight).mean() / weight.mean().clamp_min(1e-4)
