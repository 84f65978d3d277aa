"""G of `fast-3`: what the layers have drawn is corrected, shaded and painted over by one small net for each region.

The layers (`avatar.render`) hold the geometry, so a net sees the picture as they drew it and answers with what is to be
changed in it. After the inference network of Zakharov et al., "Fast Bi-layer Neural Synthesis of One-Shot Realistic
Head Avatars", ECCV 2020, with AdaIN by the person's parameters as in the paper of 2019.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from avatar.model.blocks import sample, upsample
from avatar.model.config import RegionConfig
from avatar.model.person_unet import Layers, PersonUNet

DRAWING_CHANNELS = 3


class Drawn(NamedTuple):
    """What one net sees, all in [0, 1] and of one size."""

    picture: Tensor  # (B, 3, h, w) the region as the layers drew it
    drawing: Tensor  # (B, 3, h, w) the landmarks'
    hints: Tensor  # (B, n, h, w) where which layer lies; the first one: where little is known, and much to be painted


class Changes(Layers):
    """Of what the layers of `avatar.render` have drawn."""

    __slots__ = ()

    def applied(self, picture: Tensor) -> Tensor:
        """To the (B, 3, n·h, n·w) picture of which the net saw (B, 3, h, w)."""
        times = picture.shape[-1] // self.keep.shape[-1]
        keep, added = (part if times == 1 else upsample(part, times) for part in (self.keep, self.added))
        return keep * sample(picture, upsample(self.offset, 2 * times) + _grid(picture)) + added


class RefinementNet(PersonUNet):
    """Sees a region as the layers drew it."""

    def __init__(
        self, config: RegionConfig, hints: int, paint_prior: tuple[float, float], confined: bool = False
    ) -> None:
        """`paint_prior`: the mask's logit at the start, where the first hint is 0 and where it is 1.

        `confined`: nothing changes where the second hint is 0.
        """
        super().__init__(config, 4 * (3 + DRAWING_CHANNELS + hints))
        self.confined = confined
        self.prior_outside, inside = paint_prior
        self.prior_step = inside - self.prior_outside

    def forward(self, drawn: Drawn, psi: Tensor) -> Changes:
        """psi (B, psi_size): the person's AdaIN parameters."""
        seen = torch.cat([drawn.picture * 2 - 1, drawn.drawing, drawn.hints], dim=1)
        prior = self.prior_outside + self.prior_step * drawn.hints[:, :1]
        reach = drawn.hints[:, 1:2] if self.confined else None
        return Changes(*self.layers_of(F.pixel_unshuffle(seen, 2), psi, prior, reach))


def _grid(picture: Tensor) -> Tensor:
    """(1, 2, h, w) centres of the pixels, (x, y) in [-1, 1]."""
    height, width = picture.shape[-2:]
    y, x = ((torch.arange(n, dtype=picture.dtype, device=picture.device) + 0.5) * (2 / n) - 1 for n in (height, width))
    return torch.stack(torch.meshgrid(x, y, indexing="xy"))[None]
