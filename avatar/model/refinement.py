"""G of `fast-3`: what the layers have drawn is corrected, shaded and painted over by one small net for each region.

The layers (`avatar.render`) hold the geometry, so a net sees the picture as they drew it and answers with what is to be
changed in it. After the inference network of Zakharov et al., "Fast Bi-layer Neural Synthesis of One-Shot Realistic
Head Avatars", ECCV 2020, with AdaIN by the person's parameters as in the paper of 2019.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from avatar.model.blocks import SLOPE, AdaINConv, AdaINResidual, sample, upsample
from avatar.model.config import RegionConfig

DRAWING_CHANNELS = 3
FLOW_REACH = 0.12  # how far a net may move what is drawn, in the region's [-1, 1]
SHADE_REACH = 0.3


class Drawn(NamedTuple):
    """What one net sees, all in [0, 1] and of one size."""

    picture: Tensor  # (B, 3, h, w) the region as the layers drew it
    drawing: Tensor  # (B, 3, h, w) the landmarks'
    hints: Tensor  # (B, n, h, w) where which layer lies; the first one: where little is known, and much to be painted


@dataclass
class Changes:
    """What one net gives. The result is keep · (picture moved by offset) + added, each enlarged to any size."""

    offset: Tensor  # (B, 2, h/2, w/2) of a backward flow, (x, y), within ±FLOW_REACH where the region is [-1, 1]
    keep: Tensor  # (B, 1, h, w) share of the picture
    added: Tensor  # (B, 3, h, w) shading and paint
    paint: Tensor  # (B, 3, h, w) the painted layer alone

    def applied(self, picture: Tensor) -> Tensor:
        """To the (B, 3, h, w) picture that the net saw."""
        return self.keep * sample(picture, upsample(self.offset, 2) + _grid(picture)) + self.added


class RefinementNet(nn.Module):
    """A U-Net at half the region's size, with the person's parameters at its lowest resolutions."""

    def __init__(self, config: RegionConfig, hints: int, paint_prior: tuple[float, float]) -> None:
        """`paint_prior`: the mask's logit at the start, where the first hint is 0 and where it is 1."""
        super().__init__()
        channels = config.channels
        self.hints, (self.prior_outside, inside) = hints, paint_prior
        self.prior_step = inside - self.prior_outside
        self.stem = nn.Conv2d(4 * (3 + DRAWING_CHANNELS + hints), channels[0], 3, padding=1)
        self.down = nn.ModuleList(nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in pairwise(channels))
        residual = [AdaINResidual(channels[-1]) for _ in range(config.residual_blocks)]
        self.residual = nn.ModuleList(residual)
        steps = list(zip(reversed(channels[1:]), reversed(channels[:-1]), strict=True))
        self.up_adain = AdaINConv(steps[0][0] + steps[0][1], steps[0][1])
        self.up = nn.ModuleList(nn.Conv2d(a + b, b, 3, padding=1) for a, b in steps[1:])
        self.head = nn.Conv2d(channels[0], 2 + 3 + 4 + 12, 3, padding=1)
        nn.init.normal_(self.head.weight, std=0.01)
        if self.head.bias is not None:
            nn.init.zeros_(self.head.bias)
        self.psi_sizes: list[int] = [block.parameters_needed for block in residual] + [self.up_adain.parameters_needed]

    @property
    def psi_size(self) -> int:
        return sum(self.psi_sizes)

    def forward(self, drawn: Drawn, psi: Tensor) -> Changes:
        """psi (B, psi_size): the person's AdaIN parameters."""
        seen = torch.cat([drawn.picture * 2 - 1, drawn.drawing, drawn.hints], dim=1)
        x = F.leaky_relu(self.stem(F.pixel_unshuffle(seen, 2)), SLOPE)
        skips = []
        for down in self.down:
            skips.append(x)
            x = F.leaky_relu(down(x), SLOPE)
        person = psi.split(self.psi_sizes, dim=1)
        for block, part in zip(self.residual, person, strict=False):
            x = block(x, part)
        x = self.up_adain(torch.cat([upsample(x, 2), skips.pop()], dim=1), person[-1])
        for up in self.up:
            x = F.leaky_relu(up(torch.cat([upsample(x, 2), skips.pop()], dim=1)), SLOPE)
        residual, shade, mask, paint = self.head(x).split([2, 3, 4, 12], dim=1)
        paint = torch.sigmoid(F.pixel_shuffle(paint, 2))
        prior = self.prior_outside + self.prior_step * drawn.hints[:, :1]
        mask = torch.sigmoid(F.pixel_shuffle(mask, 2) + prior)  # share of the painted layer
        keep = 1.0 - mask
        added = keep * (SHADE_REACH * upsample(torch.tanh(shade), 2)) + mask * paint
        return Changes(FLOW_REACH * torch.tanh(residual), keep, added, paint)


def _grid(picture: Tensor) -> Tensor:
    """(1, 2, h, w) centres of the pixels, (x, y) in [-1, 1]."""
    height, width = picture.shape[-2:]
    y, x = ((torch.arange(n, dtype=picture.dtype, device=picture.device) + 0.5) * (2 / n) - 1 for n in (height, width))
    return torch.stack(torch.meshgrid(x, y, indexing="xy"))[None]
