"""Losses of `fast` on one batch: shared by meta-training and by the fine-tuning of one person."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from avatar.learning.losses import ContentNet, feature_matching, hinge_discriminator, weighted_l1
from avatar.model.blocks import sample
from avatar.model.discriminator import Discriminator
from avatar.model.generator import REGIONS, Conditioning, Generator, Region

SOURCES = ("source", "mouth_source", "eyes_source")
SHARES = {"face": 1.0, "mouth": 1.0, "eyes": 0.7}
FACE_PAINT_SHARE = 0.3  # the face's painted layer only fills in behind the head
CONTENT_CROP_PX = 128

Batch = dict[str, Tensor]
Views = list[tuple[Tensor, Tensor, Tensor]]  # (fake, real, drawing) for each discriminator: face, mouth


@dataclass(frozen=True)
class LossWeights:
    """Set so that no single term exceeds a third of the sum of losses at the start."""

    l1: float = 10.0
    paint: float = 8.0
    warped: float = 3.0
    content: float = 3.0
    adversarial: float = 0.2
    feature_matching: float = 4.0
    match: float = 0.5
    inside: float = 4.0  # of mouth and eye interiors against their surroundings


def draw_regions(generator: Generator, batch: Batch, psi: Tensor) -> tuple[Region, Region, Region]:
    """G on a batch of `PairDataset`, textures enlarged to the size of stored portraits, where they stay sharp.

    Those of `PersonPairs` have that size already.
    """
    small = batch["target"].shape[-1]
    sources = {n: as_stored(batch[n]) if batch[n].shape[-1] == small else batch[n] for n in SOURCES}
    return generator.regions(psi, Conditioning.of(batch)._replace(**sources))


def as_stored(picture: Tensor) -> Tensor:
    """(B, 3, 256, 256) to (B, 3, 512, 512)."""
    return F.interpolate(picture, scale_factor=2.0, mode="bicubic", align_corners=False).clamp(0.0, 1.0)


def region_targets(batch: Batch) -> list[Tensor]:
    """The target as face, mouth and eyes see it."""
    target = batch["target"]
    mouth = sample(target, _crop_places(batch["mouth_paste"], batch["mouth_drawing"]))
    eyes_drawing = batch["eyes_drawing"].flatten(0, 1)
    places = _crop_places(batch["eyes_paste"].flatten(0, 1), eyes_drawing)
    return [target, mouth, sample(target.repeat_interleave(2, dim=0), places)]


def picture_losses(
    regions: tuple[Region, Region, Region],
    targets: list[Tensor],
    batch: Batch,
    content: ContentNet,
    weights: LossWeights,
) -> dict[str, Tensor]:
    """L1 of picture, warped texture and painted layer in each region, and the content loss of face and mouth."""
    drawings = [batch["face_drawing"], batch["mouth_drawing"], batch["eyes_drawing"].flatten(0, 1)]
    losses: dict[str, Tensor] = {}
    for name, region, target, drawing in zip(REGIONS, regions, targets, drawings, strict=True):
        share, small = SHARES[name], target
        inside = 1.0 + weights.inside * drawing[:, :1]
        if name == "face":
            small, inside = F.avg_pool2d(target, 2), torch.ones_like(drawing[:, :1])
        weight = F.interpolate(inside, size=target.shape[-2:])
        losses[f"{name}_l1"] = share * weights.l1 * weighted_l1(region.picture, target, weight)
        losses[f"{name}_warped"] = share * weights.warped * F.l1_loss(region.warped, target)
        paint_share = FACE_PAINT_SHARE if name == "face" else share
        losses[f"{name}_paint"] = paint_share * weights.paint * weighted_l1(region.paint, small, inside)
    face, mouth, _ = regions
    # a random part of the picture's middle: the whole costs four times as much
    free = targets[0].shape[-1] - CONTENT_CROP_PX
    x, y = (int(v) for v in torch.randint(free // 4, free - free // 4 + 1, (2,)))
    part = (..., slice(y, y + CONTENT_CROP_PX), slice(x, x + CONTENT_CROP_PX))
    losses["face_content"] = weights.content * content(face.picture[part], targets[0][part])
    losses["mouth_content"] = weights.content * content(mouth.picture, targets[1])
    return losses


def discriminator_views(regions: tuple[Region, Region, Region], targets: list[Tensor], batch: Batch) -> Views:
    """What the two discriminators see: the face at half size, and the mouth."""
    face, mouth, _ = regions
    return [
        (F.avg_pool2d(face.picture, 2), F.avg_pool2d(targets[0], 2), batch["face_drawing"]),
        (mouth.picture, targets[1], batch["mouth_drawing"]),
    ]


def fooling_losses(
    discriminators: tuple[Discriminator, Discriminator], views: Views, person: Tensor, weights: LossWeights
) -> dict[str, Tensor]:
    """Adversarial and feature-matching loss for G. `person` (B, 512): Wᵢ, or e of a new person."""
    fooling, matching = [], []
    for discriminator, (fake, real, drawing) in zip(discriminators, views, strict=True):
        scores, fake_features = discriminator(fake, drawing, person)
        with torch.no_grad():
            _, real_features = discriminator(real, drawing, person)
        fooling.append(-scores.mean())
        matching.append(feature_matching(fake_features, real_features))
    return {
        "adversarial": weights.adversarial * torch.stack(fooling).mean(),
        "feature_matching": weights.feature_matching * torch.stack(matching).mean(),
    }


def discriminator_loss(discriminators: tuple[Discriminator, Discriminator], views: Views, person: Tensor) -> Tensor:
    """Hinge loss for both discriminators."""
    losses = []
    for discriminator, (fake, real, drawing) in zip(discriminators, views, strict=True):
        both, _ = discriminator(torch.cat([real, fake.detach()]), torch.cat([drawing] * 2), torch.cat([person] * 2))
        losses.append(hinge_discriminator(*both.chunk(2)))
    return torch.stack(losses).mean()


def _crop_places(to_crop: Tensor, drawing: Tensor) -> Tensor:
    """(B, 2, h, w) places in the picture of the pixels of a crop, from the (B, 2, 3) matrix picture → crop."""
    with torch.autocast(to_crop.device.type, enabled=False):  # bf16 would move a crop by half a pixel
        linear = torch.linalg.inv(to_crop[:, :, :2])
        back = torch.cat([linear, -linear @ to_crop[:, :, 2:]], dim=2)
        return F.affine_grid(back, list(drawing.shape), align_corners=False).permute(0, 3, 1, 2)
