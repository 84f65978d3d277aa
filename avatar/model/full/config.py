"""Hyper-parameters that define the `full` networks (paper, §4). Stored in every checkpoint."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from avatar.core.errors import UsageError

# What a checkpoint may ask for: one that asks for more would only fill the memory
MAX_WIDTH, MAX_BLOCKS = 2048, 32
LAST_PX = 4  # side at which E and D end


@dataclass(frozen=True)
class FullConfig:
    """The paper's sizes as they stand; `at` gives the same networks for smaller pictures."""

    size: str = "full"
    picture_size_px: int = 256
    embedding: int = 512  # N of the paper, also the channels of the last block of E and D
    channels_min: int = 64
    channels_max: int = 512
    down_blocks: int = 4  # of the generator: its bottleneck has 16² places in a picture of 256²
    residual_blocks: int = 5
    attention_down_px: int = 32
    attention_up_px: int = 64

    def __post_init__(self) -> None:
        most = max(self.embedding, self.channels_min, self.channels_max, self.picture_size_px)
        least = min(self.embedding, self.channels_min, self.channels_max, self.residual_blocks)
        if least < 1 or most > MAX_WIDTH or self.residual_blocks > MAX_BLOCKS:
            raise UsageError(f"A network of at most {MAX_WIDTH} px, channels and numbers is possible.")
        downs = self.sides_down(self.embedder_blocks)
        if self.picture_size_px != LAST_PX << self.embedder_blocks or not 1 <= self.down_blocks <= len(downs):
            raise UsageError(
                f"Pictures of {self.picture_size_px} px with {self.down_blocks} halvings do not fit: the side must be "
                f"a power of two from {LAST_PX << self.down_blocks} px."
            )
        ups = [2 * side for side in self.sides_down(self.down_blocks)]
        if self.attention_down_px not in self.sides_down(self.down_blocks) or self.attention_up_px not in ups:
            raise UsageError(
                f"Self-attention at {self.attention_down_px} and {self.attention_up_px} px does not fit: going down "
                f"there are {self.sides_down(self.down_blocks)}, going up {ups}."
            )

    @staticmethod
    def at(picture_size_px: int, **changes: int) -> FullConfig:
        """For pictures of this side: the same blocks, with self-attention at no more than half of it."""
        half = picture_size_px // 2
        fitted: dict[str, Any] = {"attention_down_px": min(32, half), "attention_up_px": min(64, half)}
        return FullConfig(picture_size_px=picture_size_px, **(fitted | changes))

    @property
    def embedder_blocks(self) -> int:
        """Halvings from the picture to 4×4."""
        return max((self.picture_size_px // LAST_PX).bit_length() - 1, 0)

    @property
    def embedder_channels(self) -> tuple[int, ...]:
        """Of the blocks of E and D."""
        return (*self.channels(self.embedder_blocks)[:-1], self.embedding)

    @property
    def generator_channels(self) -> tuple[int, ...]:
        """Of the generator's downsampling blocks; the last is the bottleneck's."""
        return self.channels(self.down_blocks)

    def channels(self, blocks: int) -> tuple[int, ...]:
        return tuple(min(self.channels_min << i, self.channels_max) for i in range(blocks))

    def sides_down(self, blocks: int) -> list[int]:
        """Side in px after each halving."""
        return [self.picture_size_px >> (i + 1) for i in range(blocks)]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_dict(values: dict[str, Any]) -> FullConfig:
        """Inverse of `to_dict`, also after a trip through JSON."""
        return FullConfig(**values)
