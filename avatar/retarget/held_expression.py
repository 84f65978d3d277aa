"""What a portrait shows already, painted into its skin: the folds of a smile stay when lips purse, and a brow's arch
stays when it is lowered. Whoever does the opposite has to do more of it, to be seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from avatar.core.arrays import Array
from avatar.face.state import BLENDSHAPE_INDEX

_SMILE = [BLENDSHAPE_INDEX[f"{name}{side}"] for name in ("mouthSmile", "mouthPress") for side in ("Left", "Right")]
_INNER, _OUTER = BLENDSHAPE_INDEX["browInnerUp"], [BLENDSHAPE_INDEX[f"browOuterUp{side}"] for side in ("Left", "Right")]
FULL_SMILE, FULL_BROWS = 0.6, 0.5  # scores from which an expression is held in full


@dataclass(frozen=True, slots=True)
class HeldExpression:
    """Shares in [0, 1]."""

    smile: float = 0.0  # or pressed lips, which are as wide
    raised_brows: float = 0.0

    @classmethod
    def of(cls, blendshapes: Array) -> HeldExpression:
        """Of a portrait's (52,) scores."""
        smile = float(blendshapes[_SMILE].sum()) / 2
        brows = float(blendshapes[_INNER] + blendshapes[_OUTER].mean())
        return cls(float(np.clip(smile / FULL_SMILE, 0, 1)), float(np.clip(brows / FULL_BROWS, 0, 1)))
