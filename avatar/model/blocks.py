"""Building blocks that the networks share."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SLOPE = 0.2  # of every leaky ReLU


class AdaIN(nn.Module):
    """Instance normalisation whose scale and shift come from the person's parameters (Huang & Belongie, ICCV 2017)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.parameters_needed = 2 * channels

    def forward(self, x: Tensor, psi: Tensor) -> Tensor:
        """x (B, C, H, W), psi (B, 2·C): scale − 1, then shift."""
        scale, shift = psi[:, :, None, None].chunk(2, dim=1)
        mean = x.mean(dim=(2, 3), keepdim=True)
        centred = x - mean
        variance = (centred * centred).mean(dim=(2, 3), keepdim=True)
        result: Tensor = centred * torch.rsqrt(variance + 1e-5) * (scale + 1.0) + shift
        return result


class AdaINResidual(nn.Module):
    """Two 3×3 convolutions with AdaIN and a shortcut, as in the paper's bottleneck."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.second = (nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))
        self.norm_first, self.norm_second = AdaIN(channels), AdaIN(channels)
        self.parameters_needed = 4 * channels

    def forward(self, x: Tensor, psi: Tensor) -> Tensor:
        half = self.norm_first.parameters_needed
        y = F.leaky_relu(self.norm_first(self.first(x), psi[:, :half]), SLOPE)
        change: Tensor = self.norm_second(self.second(y), psi[:, half:])
        return x + change


class AdaINConv(nn.Module):
    """3×3 convolution, AdaIN, activation."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels_out, 3, padding=1)
        self.norm = AdaIN(channels_out)
        self.parameters_needed = self.norm.parameters_needed

    def forward(self, x: Tensor, psi: Tensor) -> Tensor:
        return F.leaky_relu(self.norm(self.conv(x), psi), SLOPE)


def upsample(x: Tensor, factor: int) -> Tensor:
    """Bilinear, which every engine runs alike."""
    return F.interpolate(x, scale_factor=float(factor), mode="bilinear", align_corners=False)


def sample(picture: Tensor, places: Tensor) -> Tensor:
    """picture (B, C, H, W) at places (B, 2, h, w) in [-1, 1]; beyond the border, the border's colour.

    Clamping to the centres of the outer pixels says the same as padding_mode="border", and ONNX Runtime runs it three
    times faster.
    """
    height, width = picture.shape[-2:]
    reach = torch.tensor([1 - 1 / width, 1 - 1 / height], dtype=picture.dtype, device=picture.device)[:, None, None]
    places = torch.minimum(torch.maximum(places, -reach), reach)
    return F.grid_sample(picture, places.permute(0, 2, 3, 1), padding_mode="zeros", align_corners=False)
