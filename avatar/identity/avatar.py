"""A person (or painting) made ready to be driven."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Avatar:
    """Everything that the live loop needs of one person. See `avatar.identity.bundle` for the file.

    The first of the T portraits is the one that is animated; all K photos shaped the embedding.
    """

    name: str
    model_id: str  # which meta-learned generator the parameters belong to, e.g. "fast-1"
    portraits: NDArray[np.uint8]  # (T, 512, 512, 3) RGB crops
    landmarks: NDArray[np.float32]  # (T, 478, 3) in [0, 1] of the crop
    blendshapes: NDArray[np.float32]  # (T, 52)
    embedding: NDArray[np.float32]  # (512,) mean of E over the K photos
    psi: NDArray[np.float32]  # (generator's parameter count,) AdaIN parameters, P · embedding
    provenance: dict[str, Any] = field(default_factory=dict)  # photos used and left out, date, version
    consent: dict[str, Any] = field(default_factory=dict)  # who said yes to what, and when
