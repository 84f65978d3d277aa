"""How strongly each part of the face follows the driver."""

from dataclasses import dataclass, fields

from avatar.core.errors import UsageError

MOST = 2.0


@dataclass(frozen=True, slots=True)
class Gains:
    """Factors from 0 (stays as in the portrait) over 1 (moves as the driver does) to 2. Raises UsageError beyond."""

    mouth: float = 1.0  # lips, jaw and cheeks
    eyes: float = 1.0  # lids and gaze
    brows: float = 1.0
    head: float = 1.0  # turns and moves

    def __post_init__(self) -> None:
        for field in fields(self):
            if not 0 <= getattr(self, field.name) <= MOST:
                raise UsageError(f"The gain of {field.name} is {getattr(self, field.name)}; give 0 to {MOST:g}.")


GAIN_REGIONS = tuple(field.name for field in fields(Gains))
