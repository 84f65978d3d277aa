"""The person's own stage of size `full`: adversarial fine-tuning on K photos (paper, §3.3).

ψ starts at P·ê and becomes a free parameter, and D's vector starts at w′ = w₀ + ê: no Wᵢ of a new person is needed,
because the match loss has drawn Wᵢ and ê together. G, ψ, V, w′ and b are then trained on the photos themselves.

No command leads here: `visavis finetune` is for `fast`. Python callers use it, and the tests keep it true.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from avatar.core.arrays import Array
from avatar.core.errors import InputError, VisavisError
from avatar.core.resizing import resized
from avatar.learning.content_losses import FullContent
from avatar.learning.full_objective import FullOptions, discriminator_loss, generator_losses
from avatar.learning.objective import Batch
from avatar.model.full.checkpoint import FullNetworks
from avatar.render.landmark_image import draw_landmarks

EPOCHS = 40  # paper, §4
BATCH = 4


@dataclass
class PersonalNetworks:
    """One person's talking head: `picture` needs a landmark image and nothing else."""

    networks: FullNetworks
    psi: Tensor  # (1, psi_size)
    w: Tensor  # (1, 512): w′
    losses: list[dict[str, float]]  # means over the photos, one per epoch

    @torch.no_grad()
    def picture(self, drawings: Tensor) -> Tensor:
        """Landmark images (B, 3, S, S) in [0, 1] to pictures (B, 3, S, S) in [0, 1]."""
        result: Tensor = self.networks.generator(drawings, self.psi.expand(len(drawings), -1))
        return result


@torch.no_grad()
def feed_forward(networks: FullNetworks, photos: Batch) -> PersonalNetworks:
    """Without fine-tuning: ψ = P·ê and w′ = w₀ + ê. `photos` as `photo_batch` makes them."""
    for network in networks.parts().values():
        network.eval()
    embedding = networks.embedder.embed(photos["target"][None], photos["drawing"][None])
    return PersonalNetworks(
        networks, networks.generator.psi(embedding), embedding + networks.discriminator.w0, losses=[]
    )


def personalise(
    networks: FullNetworks,
    pictures: list[NDArray[np.uint8]],
    landmarks: list[Array],
    *,
    options: FullOptions | None = None,
    epochs: int = EPOCHS,
    content: FullContent | None = None,
    progress: Callable[[float, str], None] = lambda share, line: None,
) -> PersonalNetworks:
    """Fine-tune copies of `networks` on K square pictures (H, H, 3) with landmarks (478, 3) in [0, 1].

    `progress` is told the share done in [0, 1] and one line. Raises InputError without photos, VisavisError when a
    loss is no number.
    """
    o = options or FullOptions()
    photos = photo_batch(pictures, landmarks, networks.generator.config.picture_size_px)
    start = feed_forward(networks, photos)
    own = deepcopy(networks)
    own.embedder.requires_grad_(False)
    own.discriminator.w0.requires_grad_(False)  # w′ has taken its place
    own.generator.projection.requires_grad_(False)  # and ψ that of P
    own.generator.train()
    own.discriminator.train()
    psi, w = nn.Parameter(start.psi.clone()), nn.Parameter(start.w.clone())
    content = content or FullContent()
    betas = (o.beta1, o.beta2)
    generator_optimiser = torch.optim.Adam([*_trained(own.generator), psi], o.rate_makers, betas=betas)
    discriminator_optimiser = torch.optim.Adam([*_trained(own.discriminator), w], o.rate_judges, betas=betas)
    history: list[dict[str, float]] = []
    rows = torch.Generator().manual_seed(1)
    for epoch in range(epochs):
        sums: dict[str, float] = {}
        for part in torch.randperm(len(pictures), generator=rows).split(BATCH):
            batch = {name: value[part] for name, value in photos.items()}
            picture = own.generator(batch["drawing"], psi.expand(len(part), -1))
            theirs = w.expand(len(part), -1)
            losses = generator_losses(own, content, o.weights, batch, picture, theirs.detach())
            generator_optimiser.zero_grad(set_to_none=True)
            torch.stack(list(losses.values())).sum().backward()
            generator_optimiser.step()
            for _ in range(o.judge_steps):
                discriminator_optimiser.zero_grad(set_to_none=True)
                loss = discriminator_loss(own.discriminator, batch, picture.detach(), w.expand(len(part), -1))
                loss.backward()
                discriminator_optimiser.step()
                losses["discriminator"] = loss
            for name, value in losses.items():
                sums[name] = sums.get(name, 0.0) + float(value.detach()) * len(part) / len(pictures)
        if not math.isfinite(sum(sums.values())):
            raise VisavisError(f"Fine-tuning, epoch {epoch + 1}: a loss is no number ({sums}). Use a lower rate.")
        history.append(sums)
        progress((epoch + 1) / epochs, f"epoch {epoch + 1}/{epochs}  imagenet {sums['imagenet']:.3f}")
    for network in own.parts().values():
        network.eval()
    return PersonalNetworks(own, psi.detach(), w.detach(), history)


def photo_batch(pictures: list[NDArray[np.uint8]], landmarks: list[Array], size_px: int) -> Batch:
    """The photos as targets: target and drawing (K, 3, S, S) in [0, 1], landmarks (K, 478, 3)."""
    if not pictures or len(pictures) != len(landmarks):
        raise InputError(f"{len(pictures)} photos with {len(landmarks)} sets of landmarks: give one for each photo.")
    small = np.stack([resized(picture, size_px).transpose(2, 0, 1) for picture in pictures])
    drawn = np.stack([draw_landmarks(points, size_px) for points in landmarks])
    return {
        "target": torch.from_numpy(small).float() / 255,
        "drawing": torch.from_numpy(drawn).float() / 255,
        "landmarks": torch.from_numpy(np.stack(landmarks).astype(np.float32)),
    }


def _trained(network: nn.Module) -> list[nn.Parameter]:
    return [parameter for parameter in network.parameters() if parameter.requires_grad]
