"""The face identity network in torch: features and descriptors through which a gradient flows, for losses.

The weights are those of the shipped ONNX file (`export/face_identity.py` writes it), so no dlib is needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from avatar.core.arrays import Array
from avatar.core.model_files import model_file
from avatar.face.face_descriptor import ALIGNMENT, CHIP_PX, NETWORK, TEMPLATE_PX


class FaceIdentityNet(nn.Module):
    """dlib's ResNet with 29 convolutions. Frozen, always in evaluation mode."""

    mean: Tensor
    final: Tensor

    def __init__(self, path: Path | None = None) -> None:
        """`path`: an ONNX file of `export/face_identity.py`, or a safetensors file of what `stored_weights` reads from
        one; None: the shipped ONNX file."""
        super().__init__()
        path = path or model_file(NETWORK)
        stored = load_file(path) if path.suffix == ".safetensors" else stored_weights(path)
        count = sum(name.endswith(".strides") for name in stored)
        convolutions = [_convolution(stored, i) for i in range(count)]
        self.stem = convolutions[0]
        self.blocks = nn.ModuleList(_Block(*pair) for pair in zip(convolutions[1::2], convolutions[2::2], strict=True))
        self.register_buffer("mean", torch.from_numpy(stored["mean"].copy()))
        self.register_buffer("final", torch.from_numpy(_weight("final", stored)))
        self.eval().requires_grad_(False)

    def train(self, mode: bool = True) -> FaceIdentityNet:
        return super().train(False)

    def features(self, picture: Tensor) -> list[Tensor]:
        """Aligned faces (B, 3, 150, 150), RGB in [0, 1], to (B, 32, 35, 35), (B, 64, 17, 17), (B, 128, 8, 8) and
        (B, 256, 4, 4): what goes into each halving."""
        return self._run(picture)[0]

    def forward(self, picture: Tensor) -> Tensor:
        """Aligned faces (B, 3, 150, 150), RGB in [0, 1], to descriptors (B, 128)."""
        return F.linear(self._run(picture)[1].mean((2, 3)), self.final)

    def _run(self, picture: Tensor) -> tuple[list[Tensor], Tensor]:
        if picture.shape[1:] != (3, CHIP_PX, CHIP_PX):
            raise ValueError(f"aligned faces must be (B, 3, {CHIP_PX}, {CHIP_PX}), not {tuple(picture.shape)}")
        x = F.max_pool2d(F.relu(self.stem((picture * 255.0 - self.mean) / 256.0)), 3, 2)
        kept = []
        for block in self.blocks:
            if block.halves:
                kept.append(x)
            x = block(x)
        return kept, x


class _Block(nn.Module):
    """Residual block. Halving ones average the input; tensors are added as if the smaller went on with zeros."""

    def __init__(self, first: nn.Conv2d, second: nn.Conv2d) -> None:
        super().__init__()
        self.first, self.second = first, second
        self.halves = first.stride[0] == 2

    def forward(self, x: Tensor) -> Tensor:
        skip = F.avg_pool2d(x, 2) if self.halves else x
        y = self.second(F.relu(self.first(x)))
        size = max(y.shape[-1], skip.shape[-1])
        return F.relu(_grown(y, y.shape[1], size) + _grown(skip, y.shape[1], size))


def _grown(x: Tensor, channels: int, size: int) -> Tensor:
    below, right = size - x.shape[2], size - x.shape[3]
    return F.pad(x, (0, right, 0, below, 0, channels - x.shape[1]))


def stored_weights(path: Path) -> dict[str, NDArray[np.generic]]:
    """What its ONNX file holds: weights as bytes with a scale, and the convolutions' settings."""
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(path).graph
    stored = {tensor.name: np.asarray(numpy_helper.to_array(tensor)) for tensor in graph.initializer}
    for i, node in enumerate(node for node in graph.node if node.op_type == "Conv"):
        for attribute in node.attribute:
            if attribute.name in ("strides", "pads"):
                stored[f"convolution_{i}.{attribute.name}"] = np.array(attribute.ints, np.int64)
    return stored


def _convolution(stored: Mapping[str, NDArray[np.generic]], number: int) -> nn.Conv2d:
    name = f"convolution_{number}"
    weight = torch.from_numpy(_weight(name, stored))
    stride, padding = (int(stored[f"{name}.{setting}"][0]) for setting in ("strides", "pads"))
    made = nn.Conv2d(weight.shape[1], weight.shape[0], weight.shape[2], stride, padding)
    made.weight.data = weight
    made.bias = nn.Parameter(torch.from_numpy(np.array(stored[f"{name}.bias"], np.float32)))
    return made


def _weight(name: str, stored: Mapping[str, NDArray[np.generic]]) -> Array:
    scale = np.asarray(stored.get(f"{name}.scale", np.float32(1)), np.float32)
    return np.asarray(stored[name], np.float32) * scale


def align(pictures: Tensor, landmarks: Tensor) -> Tensor:
    """(B, 3, H, W) and landmarks (B, 478, 3), x and y in [0, 1], to the aligned faces (B, 3, 150, 150).

    Gradients flow to the pictures and to the landmarks. What `avatar.identity.face_identity.chip` does, but pictures
    are shrunk by averaging whole pixels, by one factor for the batch; black where the picture ends.
    """
    with torch.autocast(pictures.device.type, enabled=False):  # bf16 would move faces by a pixel
        return _aligned(pictures.to(landmarks.dtype), landmarks)


def _aligned(pictures: Tensor, landmarks: Tensor) -> Tensor:
    height, width = pictures.shape[-2:]
    size_px = torch.tensor([width, height], dtype=landmarks.dtype, device=landmarks.device)
    points = landmarks[:, list(ALIGNMENT), :2] * size_px  # (B, 5, 2)
    template = torch.as_tensor(TEMPLATE_PX, dtype=points.dtype, device=points.device)
    # Least squares over similarities, as complex numbers: points = turn · template + shift
    a = template - template.mean(0)
    centre = points.mean(1)
    b = points - centre[:, None]
    real = (a * b).sum((1, 2)) / (a * a).sum()
    imaginary = (a[:, 0] * b[..., 1] - a[:, 1] * b[..., 0]).sum(1) / (a * a).sum()
    turn = torch.stack([torch.stack([real, -imaginary], 1), torch.stack([imaginary, real], 1)], 1)  # (B, 2, 2)
    shift = centre - turn @ template.mean(0)
    # affine_grid counts from -1 at one edge to 1 at the other, in the chip and in the picture
    half = CHIP_PX / 2
    to_edges = (2 / size_px)[:, None]
    scaled = turn * half * to_edges
    moved = (turn @ torch.full_like(template[0], half) + shift) * to_edges[:, 0] - 1
    factor = int(torch.hypot(real, imaginary).detach().min().clamp(1, min(height, width)))
    if factor > 1 and height % factor == 0 and width % factor == 0:
        pictures = F.avg_pool2d(pictures, factor)
    theta = torch.cat([scaled, moved[..., None]], 2).to(pictures.dtype)
    grid = F.affine_grid(theta, [len(pictures), 3, CHIP_PX, CHIP_PX], align_corners=False)
    return F.grid_sample(pictures, grid, align_corners=False)
