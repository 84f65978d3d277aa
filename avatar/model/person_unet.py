"""The net that every region of `fast` has: what it sees, and a person's parameters, to what is to be changed."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from avatar.model.blocks import SLOPE, AdaINConv, AdaINResidual, upsample
from avatar.model.config import RegionConfig

FLOW_REACH = 0.12  # how far a net may move a place, in [-1, 1]
SHADE_REACH = 0.3


class Layers(NamedTuple):
    """What one net gives, at the resolution (h, w) of what it sees or half of it: small, whatever the output's size.

    A picture of any size is keep · (what was there, moved by offset) + added, with each layer upsampled bilinearly.
    """

    offset: Tensor  # (B, 2, h/2, w/2) of the backward flow, (x, y), within ±FLOW_REACH where what was there is [-1, 1]
    keep: Tensor  # (B, 1, h, w) share of what was there
    added: Tensor  # (B, 3, h, w) shading and paint
    paint: Tensor  # (B, 3, h, w) the painted layer alone


class PersonUNet(nn.Module):
    """A U-Net at half the size of what is seen, with AdaIN at its lowest resolutions."""

    def __init__(self, config: RegionConfig, inputs: int) -> None:
        """`inputs`: channels at half the size."""
        super().__init__()
        channels = config.channels
        self.stem = nn.Conv2d(inputs, channels[0], 3, padding=1)
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

    def layers_of(self, seen: Tensor, psi: Tensor, prior: Tensor, reach: Tensor | None = None) -> Layers:
        """seen (B, inputs, h/2, w/2), psi (B, psi_size), prior (B, 1, h, w): added to the logit of paint.

        reach: (B, 1, h, w) in [0, 1], how much of a change each place allows. Such a net paints on pictures that are
        larger than what it sees, so its mask is smoothed: each of its pixels by itself would show as a square.
        """
        x = F.leaky_relu(self.stem(seen), SLOPE)
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
        mask = torch.sigmoid(F.pixel_shuffle(mask, 2) + prior)  # share of the painted layer
        offset, shade = FLOW_REACH * torch.tanh(residual), SHADE_REACH * upsample(torch.tanh(shade), 2)
        if reach is not None:
            mask = reach * F.avg_pool2d(mask, 3, 1, 1)
            offset, shade = F.avg_pool2d(reach, 2) * offset, reach * shade
        keep = 1.0 - mask
        return Layers(offset, keep, keep * shade + mask * paint, paint)
