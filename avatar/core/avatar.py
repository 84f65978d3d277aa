"""A person (or painting) made ready to be driven."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avatar.core.arrays import Array

FEWEST_TO_TUNE = 5  # portraits: with fewer, none can be held out, and nothing else tells overfitting from learning


def _none() -> Array:
    return np.zeros(0, np.float32)


def no_mattes() -> NDArray[np.uint8]:
    return np.zeros((0, 512, 512), np.uint8)


def no_descriptors() -> Array:
    return np.zeros((0, 128), np.float32)


@dataclass(frozen=True)
class Avatar:
    """Everything that the live loop needs of one person. See `avatar.identity.bundle` for the file.

    The first of the T portraits is the reference; the others lend their pixels where they fit a moment better.
    """

    name: str
    model_id: str  # which meta-learned generator the parameters belong to, e.g. "fast-3"
    portraits: NDArray[np.uint8]  # (T, 512, 512, 3) RGB crops
    landmarks: Array  # (T, 478, 3) in [0, 1] of the crop
    blendshapes: Array  # (T, 52)
    embedding: Array  # (512,) mean of E over the K photos
    psi: Array = field(default_factory=_none)  # (n,) AdaIN parameters of size `full`; (0,): `fast` has P in its network
    provenance: dict[str, Any] = field(default_factory=dict)  # photos used and left out, date, version
    consent: dict[str, Any] = field(default_factory=dict)  # who said yes to what, and when
    weights: Array = field(default_factory=_none)  # (n,) the person's own generator; (0,): the shared one
    network: str = ""  # whose weights those are, see `avatar.render.layered_network.network_name`
    # (T, 512, 512) of `usable_matte`, 255 where the person is; (0, …): not made yet, see `avatar.identity.mattes`
    mattes: NDArray[np.uint8] = field(default_factory=no_mattes)
    # (T, 128): whose faces the portraits show; (0, …): not made yet, see `avatar.identity.descriptors`
    descriptors: Array = field(default_factory=no_descriptors)

    @property
    def locked(self) -> bool:
        """Whether it moves for its own person alone: one who was enrolled alive, before a camera."""
        return bool(self.consent.get("liveness"))

    @property
    def fine_tuned(self) -> bool:
        return self.weights.size > 0
