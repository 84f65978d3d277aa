"""Residual blocks and self-attention, with spectral normalisation in every layer (paper, §4)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import spectral_norm

from avatar.model.blocks import AdaIN


def conv(channels_in: int, channels_out: int, kernel: int, bias: bool = True) -> nn.Module:
    """A convolution that keeps the side, its largest singular value held at 1 (Miyato et al., ICLR 2018)."""
    return spectral_norm(nn.Conv2d(channels_in, channels_out, kernel, padding=kernel // 2, bias=bias))


class Down(nn.Module):
    """Two 3×3 convolutions and a halving, with a shortcut (BigGAN's discriminator block, figure 15b there)."""

    def __init__(self, channels_in: int, channels_out: int, first: bool = False, normalise: bool = False) -> None:
        """`first`: takes a picture, so there is no activation before it. `normalise`: instance norm, as in G."""
        super().__init__()
        self.first = first
        self.conv1, self.conv2 = conv(channels_in, channels_out, 3), conv(channels_out, channels_out, 3)
        self.skip = conv(channels_in, channels_out, 1)
        norm = normalise and not first
        self.norm1: nn.Module = nn.InstanceNorm2d(channels_in, affine=True) if norm else nn.Identity()
        self.norm2: nn.Module = nn.InstanceNorm2d(channels_out, affine=True) if normalise else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C', H/2, W/2)."""
        y = x if self.first else F.relu(self.norm1(x))
        y = F.avg_pool2d(self.conv2(F.relu(self.norm2(self.conv1(y)))), 2)
        shortcut: Tensor = self.skip(F.avg_pool2d(x, 2))
        return y + shortcut


class Residual(nn.Module):
    """Two 3×3 convolutions with a shortcut, without normalisation: the last block of D."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = conv(channels, channels, 3), conv(channels, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        change: Tensor = self.conv2(F.relu(self.conv1(F.relu(x))))
        return x + change


class AdaINBlock(nn.Module):
    """Residual block whose norms take the person's parameters; doubles the side where asked (BigGAN, figure 15a)."""

    def __init__(self, channels_in: int, channels_out: int, double: bool = False) -> None:
        super().__init__()
        self.doubles = double
        self.norm1, self.norm2 = AdaIN(channels_in), AdaIN(channels_out)
        self.conv1, self.conv2 = conv(channels_in, channels_out, 3), conv(channels_out, channels_out, 3)
        self.skip: nn.Module = conv(channels_in, channels_out, 1) if double else nn.Identity()
        self.parameters_needed = self.norm1.parameters_needed + self.norm2.parameters_needed

    def forward(self, x: Tensor, psi: Tensor) -> Tensor:
        """(B, C, H, W) and psi (B, parameters_needed) to (B, C', H, W) or (B, C', 2·H, 2·W)."""
        first, second = psi.split([self.norm1.parameters_needed, self.norm2.parameters_needed], dim=1)
        y = F.relu(self.norm1(x, first))
        y = self.conv1(F.interpolate(y, scale_factor=2.0, mode="nearest") if self.doubles else y)
        y = self.conv2(F.relu(self.norm2(y, second)))
        shortcut: Tensor = self.skip(x)  # a 1×1 convolution before the doubling is the same after it, for a quarter
        if self.doubles:
            shortcut = F.interpolate(shortcut, scale_factor=2.0, mode="nearest")
        result: Tensor = y + shortcut
        return result


class SelfAttention(nn.Module):
    """Every place looks at every other (Zhang et al., ICML 2019; keys and values halved as in its code)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query, self.key = (conv(channels, channels // 8, 1, bias=False) for _ in range(2))
        self.value = conv(channels, channels // 2, 1, bias=False)
        self.out = conv(channels // 2, channels, 1, bias=False)
        self.share = nn.Parameter(torch.zeros(()))  # γ: local first, then far

    def forward(self, x: Tensor) -> Tensor:
        query = self.query(x).flatten(2)  # (B, C/8, H·W)
        key = F.max_pool2d(self.key(x), 2).flatten(2)  # (B, C/8, H·W/4)
        value = F.max_pool2d(self.value(x), 2).flatten(2)
        attention = torch.softmax(query.transpose(1, 2) @ key, dim=-1)  # (B, H·W, H·W/4)
        seen = (value @ attention.transpose(1, 2)).unflatten(2, x.shape[2:])
        result: Tensor = x + self.share * self.out(seen)
        return result


def without_spectral_norm(network: nn.Module) -> nn.Module:
    """Write the normalised weights into the layers, in place: what inference and export need."""
    network.eval()
    for module in list(network.modules()):
        if parametrize.is_parametrized(module, "weight"):
            parametrize.remove_parametrizations(module, "weight", leave_parametrized=True)
    return network
