"""What a network answers, as a picture."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from avatar.core.arrays import Picture
from avatar.core.errors import InputError
from engines.engine import Tensors


def check_numbers(answer: Tensors, name: str) -> None:
    """Raises InputError where a network's answer for the avatar `name` is no picture."""
    if not all(np.isfinite(layer).all() for layer in answer.values()):
        raise InputError(
            f"The network gives no picture of {name}, only values that are no numbers. Enrol the photos again, or "
            "let it compute more exactly: `--precision fp32`."
        )


def to_bytes(picture: NDArray[Any]) -> Picture:
    """(3, H, W) in [0, 1] to (H, W, 3)."""
    return np.ascontiguousarray((picture * 255.0 + 0.5).astype(np.uint8).transpose(1, 2, 0))
