"""A discriminator on frozen features: it judges what a network for pictures sees, and so needs little data itself.

Source: Sauer et al., "Projected GANs Converge Faster", NeurIPS 2021 (frozen features, mixed by fixed random
projections, one small head for each scale), with the augmentation of Zhao et al., "Differentiable Augmentation for
Data-Efficient GAN Training", NeurIPS 2020.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from avatar.model.blocks import SLOPE

MIXED, HIDDEN = 48, 48  # channels of a projection, and of a head
SHIFT = 0.06  # of the sides, at most
BRIGHTNESS, CONTRAST, SATURATION = 0.15, 0.3, 0.5  # half ranges


class ProjectedDiscriminator(nn.Module):
    """Local scores at every scale of the features that it is given, beside a drawing of the landmarks."""

    def __init__(self, channels: Sequence[int], drawing_channels: int = 3) -> None:
        """`channels`: of each scale's features."""
        super().__init__()
        self.projections = nn.ModuleList(nn.Conv2d(n, MIXED, 1) for n in channels)
        self.projections.requires_grad_(False)
        self.heads = nn.ModuleList(
            nn.Sequential(
                spectral_norm(nn.Conv2d(MIXED + drawing_channels, HIDDEN, 3, padding=1)),
                nn.LeakyReLU(SLOPE),
                spectral_norm(nn.Conv2d(HIDDEN, HIDDEN, 3, padding=1)),
                nn.LeakyReLU(SLOPE),
                spectral_norm(nn.Conv2d(HIDDEN, 1, 1)),
            )
            for _ in channels
        )

    def forward(self, features: Sequence[Tensor], drawing: Tensor) -> Tensor:
        """features: one (B, C, h, w) for each scale; drawing (B, 3, H, W). Returns (B, n) scores."""
        scores = []
        for head, projection, feature in zip(self.heads, self.projections, features, strict=True):
            # features of different layers differ in size by orders of magnitude
            mixed = projection(feature / feature.detach().abs().mean((1, 2, 3), keepdim=True).clamp_min(1e-3))
            small = F.adaptive_avg_pool2d(drawing, (feature.shape[-2], feature.shape[-1]))
            scores.append(head(torch.cat([mixed, small], dim=1)).flatten(1))
        return torch.cat(scores, dim=1)


def augmented(picture: Tensor, drawing: Tensor) -> tuple[Tensor, Tensor]:
    """(B, 3, h, w) each: light, colour and place changed at random, for each sample anew and for both alike."""
    rows = len(picture)

    def random(half: float) -> Tensor:
        return (torch.rand(rows, 1, 1, 1, device=picture.device) * 2 - 1) * half

    picture = picture + random(BRIGHTNESS)
    grey = picture.mean(1, keepdim=True)
    picture = grey + (picture - grey) * (1 + random(SATURATION))
    middle = picture.mean((1, 2, 3), keepdim=True)
    picture = middle + (picture - middle) * (1 + random(CONTRAST))
    shift = (torch.rand(rows, 2, device=picture.device) * 2 - 1) * 2 * SHIFT
    theta = torch.eye(2, 3, device=picture.device).repeat(rows, 1, 1)
    theta[:, :, 2] = shift
    places = F.affine_grid(theta, [rows, 1, *picture.shape[-2:]], align_corners=False)
    both = F.grid_sample(torch.cat([picture, drawing], 1), places, padding_mode="border", align_corners=False)
    return both[:, :3], both[:, 3:]
