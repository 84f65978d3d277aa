"""An avatar that was enrolled by liveness moves for its own person alone: for anybody else it idles."""

from __future__ import annotations

from avatar.retarget.likeness import Whose

UNKNOWN_S = 6.0  # how long a face drives that cannot be described: turned away, far, in the dark
OTHER_S = 1.5  # how long one that is somebody else's by its descriptors, which a bad light can change


class IdentityLock:
    """Counts only the time in which a face is there to be looked at."""

    def __init__(self, on: bool) -> None:
        self.on = on
        self.shut = False
        self._doubtful_s = 0.0

    def shut_at_first(self) -> None:
        """No time is given: for an avatar that comes on while somebody drives already."""
        self.shut = self.on

    def update(self, whose: Whose, found: bool, step_s: float) -> bool:
        """`shut`, `step_s` after the last frame. It opens at once for the avatar's own person."""
        if not self.on or whose == "own":
            self.shut, self._doubtful_s = False, 0.0
        elif found:
            self._doubtful_s += step_s
            self.shut = self.shut or self._doubtful_s > (OTHER_S if whose == "other" else UNKNOWN_S)
        return self.shut
