"""A picture with the time at which it was captured."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture on its way from a source to a publisher.

    `capture_ns` is stamped once, by the source, from `time.monotonic_ns()`, and travels unchanged to the publisher,
    so that latency is measured and never estimated. `media_s` is the presentation time inside a file (seconds).
    """

    rgb: NDArray[np.uint8]  # (H, W, 3)
    capture_ns: int
    index: int = 0
    media_s: float = 0.0

    @property
    def width(self) -> int:
        return int(self.rgb.shape[1])

    @property
    def height(self) -> int:
        return int(self.rgb.shape[0])


@dataclass(frozen=True, slots=True)
class NoPicture:
    """What a source hands out, some ten times a second, while it is alive but has no picture: an unplugged webcam."""

    capture_ns: int
