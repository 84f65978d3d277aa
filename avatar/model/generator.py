"""G, size `fast`: the person's pictures are warped by the landmarks' flow; small nets correct it and paint what is new.

After Zakharov et al., "Fast Bi-layer Neural Synthesis of One-Shot Realistic Head Avatars", ECCV 2020, with the coarse
flow given by the landmarks, and own nets for mouth and eyes, where people look.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from avatar.model.blocks import sample, upsample
from avatar.model.config import ModelConfig, RegionConfig
from avatar.model.person_unet import Layers, PersonUNet

REGIONS = ("face", "mouth", "eyes")
DRAWING_CHANNELS = 3
TRUST = 0.5  # share of the painting prior that is left where the texture fits as it is
TEARS_FROM = 0.25  # log of the stretch in area from which the texture counts as torn


class Conditioning(NamedTuple):
    """What the generator is fed beside ψ: portraits, and what `avatar.render.conditioning` gives.

    The portraits are of any size, one each for face, mouth and eyes: of K photos, those that fit the moment best.
    """

    source: Tensor  # (B, 3, S, S)
    mouth_source: Tensor
    eyes_source: Tensor
    face_flow: Tensor  # (B, 2, 64, 64)
    face_drawing: Tensor  # (B, 3, 128, 128)
    mouth_flow: Tensor  # (B, 2, 32, 48)
    mouth_drawing: Tensor  # (B, 3, 64, 96)
    eyes_flow: Tensor  # (B, 2, 2, 16, 24)
    eyes_drawing: Tensor  # (B, 2, 3, 32, 48)

    @classmethod
    def of(cls, batch: Mapping[str, Tensor]) -> Conditioning:
        """Out of tensors by name, among which others may be."""
        return cls(*(batch[name] for name in cls._fields))


class Seen(NamedTuple):
    """What one region net sees, at the drawing's resolution (h, w) or half of it.

    No coordinate is in it: numbers of 8 or 11 bits, as the live loop may use, would move the picture.
    """

    texture: Tensor  # (B, 3, h, w) the source at the coarse flow
    stretch: Tensor  # (B, 1, h/2, w/2) of that flow
    drawing: Tensor  # (B, 3, h, w)


@dataclass
class Region:
    """A region's layers put together. All at the output's resolution but `paint`, which is at the drawing's."""

    picture: Tensor  # (B, 3, H, W) the warped source with shading, with the painted layer over it
    warped: Tensor  # (B, 3, H, W) the warped source alone
    paint: Tensor  # (B, 3, h, w)


class RegionNet(PersonUNet):
    """Sees a drawing and the coarsely warped source: residual flow, shading, painted layer and its mask."""

    def __init__(self, config: RegionConfig, paint_prior: tuple[float, float]) -> None:
        """`paint_prior` is the mask's logit outside and inside of the drawing's first channel at the start."""
        super().__init__(config, 4 * (3 + DRAWING_CHANNELS) + 1)
        self.prior_outside, prior_inside = paint_prior
        self.prior_step = prior_inside - self.prior_outside

    def layers(self, seen: Seen, psi: Tensor) -> Layers:
        x = F.pixel_unshuffle(torch.cat([seen.texture * 2 - 1, seen.drawing], dim=1), 2)
        # a texture pulled to more than its size shows nothing true inside of a mouth or an eye: paint all the more
        torn = upsample((-seen.stretch - TEARS_FROM).clamp(0.0, 1.0), 2)
        prior = self.prior_outside + self.prior_step * seen.drawing[:, :1] * (TRUST + (2.0 - TRUST) * torn)
        return self.layers_of(torch.cat([x, seen.stretch], dim=1), psi, prior)

    def forward(self, source: Tensor, flow: Tensor, drawing: Tensor, psi: Tensor, scale: int) -> Region:
        """source (B, 3, S, S), flow (B, 2, h/2, w/2), drawing (B, 3, h, w), psi (B, …); output is scale·(h, w)."""
        layers = self.layers(Seen(sample(source, upsample(flow, 2)), flow_stretch(flow), drawing), psi)
        warped = sample(source, upsample(flow + layers.offset, 2 * scale))
        keep, added = layers.keep, layers.added
        if scale > 1:
            keep, added = upsample(keep, scale), upsample(added, scale)
        return Region(keep * warped + added, warped, layers.paint)


class Generator(nn.Module):
    """G(y; ψ) with the source picture as texture. Inputs as made by `avatar.render.conditioning`."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.output_px = config.picture_size_px  # may be set to a multiple: the texture is warped at that size
        self.face = RegionNet(config.face, paint_prior=(-4.0, -4.0))
        self.mouth = RegionNet(config.mouth, paint_prior=(-3.0, 2.0))
        self.eye = RegionNet(config.eye, paint_prior=(-2.0, 0.5))
        self.psi_sizes = [self.face.psi_size, self.mouth.psi_size, self.eye.psi_size]

    @property
    def psi_size(self) -> int:
        return sum(self.psi_sizes)

    def regions(self, psi: Tensor, fed: Conditioning) -> tuple[Region, Region, Region]:
        """Face, mouth and eyes ((2·B) rows, right and left of each picture in turn), not yet put together."""
        face_psi, mouth_psi, eye_psi = psi.split(self.psi_sizes, dim=1)
        face = self.face(
            fed.source, fed.face_flow, fed.face_drawing, face_psi, self.output_px // fed.face_drawing.shape[-1]
        )
        scale = max(self.output_px // self.config.picture_size_px, 1)
        mouth = self.mouth(fed.mouth_source, fed.mouth_flow, fed.mouth_drawing, mouth_psi, scale)
        both = fed.eyes_source.repeat_interleave(2, dim=0), eye_psi.repeat_interleave(2, dim=0)
        eyes = self.eye(both[0], fed.eyes_flow.flatten(0, 1), fed.eyes_drawing.flatten(0, 1), both[1], scale)
        return face, mouth, eyes

    def forward(self, psi: Tensor, fed: Conditioning) -> tuple[Tensor, Tensor, Tensor]:
        """Face (B, 3, H, H), mouth (B, 3, h, w), eyes (B, 2, 3, h, w) in [0, 1], for `avatar.render.assemble`."""
        pictures = [region.picture.clamp(0.0, 1.0) for region in self.regions(psi, fed)]
        return pictures[0], pictures[1], pictures[2].unflatten(0, (-1, 2))


class PictureGenerator(Generator):
    """The generator as it is exported with its warps inside: its inputs are flat, as those of a graph are."""

    INPUTS = (*Conditioning._fields[:3], "psi", *Conditioning._fields[3:])

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # type: ignore[override]
        """inputs: of INPUTS, in this order."""
        given = dict(zip(self.INPUTS, inputs, strict=True))
        return super().forward(given["psi"], Conditioning.of(given))


class LayerGenerator(Generator):
    """The generator as it runs live: it gives the layers, and `avatar.render.assemble` warps the portraits.

    No picture of the output's size and no flow enters or leaves the network, so one exported graph serves every size of
    output, and does so in halves too.
    """

    INPUTS = ("psi", *(f"{region}_{part}" for region in REGIONS for part in Seen._fields))
    OUTPUTS = tuple(f"{region}_{layer}" for region in REGIONS for layer in ("offset", "keep", "added"))

    def forward(self, psi: Tensor, *seen: Tensor) -> tuple[Tensor, ...]:  # type: ignore[override]
        """Offset (B, 2, h/2, w/2), keep (B, 1, h, w), added (B, 3, h, w) of face and mouth, (B, 2, …) of the eyes.

        seen: in the order of INPUTS, those of the eyes (B, 2, …).
        """
        face_psi, mouth_psi, eye_psi = psi.split(self.psi_sizes, dim=1)
        face = self.face.layers(Seen(*seen[:3]), face_psi)
        mouth = self.mouth.layers(Seen(*seen[3:6]), mouth_psi)
        each = Seen(*(layer.flatten(0, 1) for layer in seen[6:]))
        eyes = self.eye.layers(each, eye_psi.repeat_interleave(2, dim=0))
        both = (layer.unflatten(0, (-1, 2)) for layer in (eyes.offset, eyes.keep, eyes.added))
        return face.offset, face.keep, face.added, mouth.offset, mouth.keep, mouth.added, *both


def flow_stretch(flow: Tensor) -> Tensor:
    """log |det J| of a flow (B, 2, h, w) as (B, 1, h, w), clipped: where the warp stretches or crushes a texture.

    `avatar.render.assemble.flow_stretch` is the same for the live loop.
    """
    height, width = flow.shape[-2:]
    padded = F.pad(flow, (0, 1, 0, 1), mode="replicate")
    along_x = (padded[:, :, :-1, 1:] - flow) * (width / 2)
    along_y = (padded[:, :, 1:, :-1] - flow) * (height / 2)
    det = along_x[:, :1] * along_y[:, 1:] - along_x[:, 1:] * along_y[:, :1]
    return torch.log(det.abs().clamp(0.05, 20.0))
