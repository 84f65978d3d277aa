"""Hyper-parameters that define the networks. Stored in every checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

# What a checkpoint may ask for: one that asks for more would only fill the memory
MAX_CHANNELS, MAX_BLOCKS, MAX_EMBEDDING, MAX_PICTURE_PX = 1024, 16, 4096, 2048


@dataclass(frozen=True)
class RegionConfig:
    """One region (face, mouth or eye) of the generator."""

    channels: tuple[int, ...]  # at half, quarter, … of the region's size
    residual_blocks: int = 2  # with AdaIN, at the lowest resolution

    def __post_init__(self) -> None:
        _check("channels", self.channels, MAX_CHANNELS)
        _check("residual_blocks", [self.residual_blocks], MAX_BLOCKS)


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

    def __post_init__(self) -> None:
        """Raises ValueError for sizes that no network of this kind has."""
        _check("picture_size_px", [self.picture_size_px], MAX_PICTURE_PX)
        _check("embedding", [self.embedding], MAX_EMBEDDING)
        for name in ("embedder_channels", "discriminator_channels"):
            _check(name, getattr(self, name), MAX_CHANNELS)

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


def _check(name: str, values: Sequence[int], most: int) -> None:
    if not 0 < len(values) <= MAX_BLOCKS or not all(isinstance(v, int) and 0 < v <= most for v in values):
        raise ValueError(f"{name} is {values}: 1 to {most} is possible")
