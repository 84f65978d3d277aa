"""Cross-reenactment: one person's clip drives another person, by the live product's own chain.

Motion is relative and smoothed, as in a call; the driver's neutral face is learnt from its first frames. There is no
true picture to compare with: what counts is whether the person stays who they are, and moves as the driver does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from avatar.core.arrays import Array
from avatar.evaluation.clip import DriverClip, Pictures, Tick
from avatar.evaluation.person import FF, Person, draw_all
from avatar.retarget.retargeter import Retargeter


@dataclass(frozen=True)
class CrossRun:
    """The pictures go by the driver's target frames."""

    person: Person
    driver: DriverClip
    goals: Array  # (N, 478, 3) where the avatar's landmarks shall be, in [0, 1]
    pictures: dict[str, Pictures]  # by system

    @property
    def name(self) -> str:
        return f"{self.person.clip.name}_driven_by_{self.driver.name}"


def cross_reenact(person: Person, driver: DriverClip, tick: Tick = lambda share: None) -> CrossRun:
    """Every system's pictures of `person`, moved by `driver`. The baselines go where its landmarks shall be."""
    retargeter = Retargeter(person.avatars[FF], mode="relative", frame_crop=driver.crop)
    drivings = [retargeter.drive(state) for state in driver.states]
    goals = np.stack([drivings[i].landmarks for i in driver.target_frames])
    drawn = draw_all(person, drivings, goals, driver.target_frames, tick)
    return CrossRun(person, driver, goals, {system: one.pictures for system, one in drawn.items()})
