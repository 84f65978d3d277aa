"""What crosses from the driver to the avatar: numbers only."""

from dataclasses import dataclass

from avatar.core.arrays import Array


@dataclass(frozen=True, slots=True)
class Driving:
    """The avatar's own landmarks for one frame. No pixel of the driver's camera is in it, by construction."""

    landmarks: Array  # (478, 3): x right, y down, in [0, 1] of the avatar's crop; z in the same scale
    capture_ns: int
    live: bool = True  # False while no face drives the avatar (idle pose)
