"""What is amiss in a live run, in one sentence, with the change that helps where there is one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from avatar.dashboard.live_choices import SMALLEST, Wish

Figures = dict[str, Any]
AMISS_S = 3  # in a row, before it is said
SLOW_S = 6


def hint(seconds: Sequence[Figures], wish: Wish, camera: str) -> Figures | None:
    """{text, change}: change is what PATCH /live takes, or null. None: all is well.

    seconds: as of LiveFigures. camera: its name.
    """
    if wish.camera and _all(seconds, AMISS_S, "idle"):
        text = f"No pictures come from {camera}. Check its cable, and whether another program or page uses it."
        return {"text": text, "change": None}
    if wish.camera and _all(seconds, AMISS_S, "faceless"):
        return {"text": "The camera sees no face. Sit in front of it, in good light.", "change": None}
    if _all(seconds, SLOW_S, "slow"):
        if wish.size != SMALLEST:
            text = "This computer is busy, so the picture is coarser. A smaller one is less work."
            return {"text": text, "change": {"size": SMALLEST}}
        return {"text": "This computer is busy, so the picture is coarser. Close other programs.", "change": None}
    return None


def _all(seconds: Sequence[Figures], count: int, what: str) -> bool:
    newest = list(seconds)[-count:]
    return len(newest) == count and all(second[what] for second in newest)
