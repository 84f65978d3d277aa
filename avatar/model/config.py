"""Hyper-parameters that define the networks. Stored in every checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

# What a checkpoint may ask for: one that asks for more would only fill the memory
MAX_CHANNELS, MAX_BLOCKS, MAX_EMBEDDING = 1024, 16, 4096


@dataclass(frozen=True)
class RegionConfig:
    """One region (face, mouth or eye) of the generator."""

    channels: tuple[int, ...]  # at half, quarter, … of the region's size
    residual_blocks: int = 2  # with AdaIN, at the lowest resolution

    def __post_init__(self) -> None:
        _check("channels", self.channels, MAX_CHANNELS)
        _check("residual_blocks", [self.residual_blocks], MAX_BLOCKS)


@dataclass(frozen=True)
class EmbedderConfig:
    """The embedder."""

    channels: tuple[int, ...] = (32, 64, 128, 256, 384)  # at half, quarter, … of 128²
    embedding: int = 512  # N of the paper

    def __post_init__(self) -> None:
        """Raises ValueError for sizes that no network of this kind has."""
        _check("channels", self.channels, MAX_CHANNELS)
        _check("embedding", [self.embedding], MAX_EMBEDDING)

    @staticmethod
    def from_dict(values: dict[str, Any]) -> EmbedderConfig:
        """Inverse of `asdict`, also after a trip through JSON."""
        return EmbedderConfig(**(values | {"channels": tuple(values["channels"])}))


def _check(name: str, values: Sequence[int], most: int) -> None:
    if not 0 < len(values) <= MAX_BLOCKS or not all(isinstance(v, int) and 0 < v <= most for v in values):
        raise ValueError(f"{name} is {values}: 1 to {most} is possible")
