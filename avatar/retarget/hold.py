"""Bridges moments without a face that can be followed: the last pose stays, and only then comes the idle one."""

from __future__ import annotations

HOLD_S = 0.3  # how long the last pose is kept


class Hold:
    """Decides whether the driver's last believed pose is shown, or the idle one."""

    def __init__(self) -> None:
        self.driven = False  # the driver's pose is shown
        self.missing_s = 0.0  # since a face was last believed

    def update(self, believed: bool, may_hold: bool, step_s: float) -> bool:
        """`driven`, now that a face was `believed` or not. `may_hold` off ends it at once."""
        self.missing_s = 0.0 if believed else self.missing_s + step_s
        self.driven = believed or (self.driven and may_hold and self.missing_s <= HOLD_S)
        return self.driven
