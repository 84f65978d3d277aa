"""What is amiss in a live run, in one sentence, with the change that helps where there is one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from avatar.dashboard.live_choices import SMALLEST, Wish

Figures = dict[str, Any]
AMISS_S = 3  # in a row, before it is said
SHORT_S = 6
SHORT = {
    "tracker": "Finding your face takes this computer long, so the avatar follows you less closely.",
    "drawing": "Drawing takes this computer long, so the picture is coarser.",
    "publishing": "Whoever takes the pictures is slow, so some are left out.",
    "computer": "This computer is busy, so the avatar is less close or coarser.",
}


def hint(seconds: Sequence[Figures], wish: Wish, camera: str) -> Figures | None:
    """{text, change}: change is what PATCH /live takes, or null. None: all is well.

    seconds: as of LiveFigures. camera: its name.
    """
    if wish.camera and _all(seconds, AMISS_S, "idle"):
        text = f"No pictures come from {camera}. Check its cable, and whether another program or page uses it."
        return {"text": text, "change": None}
    if wish.camera and _all(seconds, AMISS_S, "faceless"):
        return {"text": "The camera sees no face. Sit in front of it, in good light.", "change": None}
    if _all(seconds, SHORT_S, "short"):
        short = seconds[-1]["short"]
        if short == "tracker" or wish.size == SMALLEST:  # the tracker's work is the same for any picture
            return {"text": f"{SHORT[short]} Close other programs.", "change": None}
        return {"text": f"{SHORT[short]} A smaller picture is less work.", "change": {"size": SMALLEST}}
    return None


def _all(seconds: Sequence[Figures], count: int, what: str) -> bool:
    newest = list(seconds)[-count:]
    return len(newest) == count and all(second[what] for second in newest)
