"""Hyper-parameters that define the networks. Stored in every checkpoint."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class RegionConfig:
    """One region (face, mouth or eye) of the generator."""

    channels: tuple[int, ...]  # at half, quarter, … of the region's size
    residual_blocks: int = 2  # with AdaIN, at the lowest resolution


@dataclass(frozen=True)
class ModelConfig:
    """The `fast` generator with its embedder and discriminators."""

    size: str = "fast"
    picture_size_px: int = 256
    embedding: int = 512  # N of the paper
    embedder_channels: tuple[int, ...] = (32, 64, 128, 256, 384)
    face: RegionConfig = field(default_factory=lambda: RegionConfig((32, 64, 128)))
    mouth: RegionConfig = field(default_factory=lambda: RegionConfig((48, 96, 128)))
    eye: RegionConfig = field(default_factory=lambda: RegionConfig((32, 64, 96)))
    discriminator_channels: tuple[int, ...] = (32, 64, 128, 192)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_dict(values: dict[str, Any]) -> ModelConfig:
        """Inverse of `to_dict`, also after a trip through JSON."""
        plain: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        for name in ("face", "mouth", "eye"):
            region: dict[str, Any] = plain[name]
            plain[name] = RegionConfig(tuple(region["channels"]), region["residual_blocks"])
        return ModelConfig(**plain)
