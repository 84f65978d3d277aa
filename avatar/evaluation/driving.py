"""Does what the driver means arrive? Drivers move portraits by the live chain, and what it drew is tracked again.

Each driver comes twice: as the clip begins, and with the smile of its smiliest second first. Then the clip goes on,
there and back, until the smile is FORGIVEN_S ago.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.core.avatar import Avatar
from avatar.evaluation.clip import Tick, spread
from avatar.evaluation.driving_signals import (
    APART,
    FLOORS,
    NARROW,
    OF_IRISES,
    SHUT,
    SIGNALS,
    TOUCHING,
    FaceSigns,
    Following,
    face_signs,
    following,
)
from avatar.evaluation.first_seconds import left_of_a_smile, mouth_lag_ms, there_and_back
from avatar.evaluation.person import draw
from avatar.face.driving import Driving
from avatar.face.state import FaceState, Tracker
from avatar.retarget.retargeter import Retargeter

SIZE_PX = 512
FORGIVEN_S = 5.0
SMILE_S, SMILE = 1.0, 0.3  # how long a smile is at the start, and what is one
NARROW_S = 0.2  # how long an eye is narrow that is not on its way to shut or open
WORST = 0.2  # share of the pairs that the worst ones are


@dataclass(frozen=True)
class Driver:
    """A tracked clip."""

    name: str
    states: tuple[FaceState, ...]

    @property
    def step_ns(self) -> int:
        return int(np.median(np.diff([state.capture_ns for state in self.states])))

    def smiling(self) -> range | None:
        """The frames of its smiliest second. None where it is no smile, or the clip smiles all along."""
        smile = np.array([s.blendshape("mouthSmileLeft") + s.blendshape("mouthSmileRight") for s in self.states]) / 2
        count = max(1, round(SMILE_S * 1e9 / self.step_ns))
        if len(smile) < 2 * count:
            return None
        means = np.convolve(smile, np.ones(count) / count, "valid")
        start = int(means.argmax())
        return range(start, start + count) if means[start] - np.quantile(smile, 0.2) > SMILE else None

    def narrowed(self) -> NDArray[np.bool_]:
        """(N, 2) in which frames the right and the left eye are narrow and stay so."""
        eyes = np.stack([np.full(2, np.nan) if signs is None else signs.eyes for signs in map(face_signs, self.states)])
        openings = eyes / np.nanmedian(eyes, axis=0)
        narrow = (openings > NARROW[0]) & (openings < NARROW[1])
        width = max(1, round(NARROW_S * 1e9 / self.step_ns))
        line = np.ones((width, 1), np.uint8)
        return np.asarray(cv2.morphologyEx(narrow.astype(np.uint8), cv2.MORPH_OPEN, line) > 0)

    def numbers(self, count: int) -> list[int]:
        """At most `count` frames: half of them evenly spread, the others where signals are strongest and weakest."""
        found = [i for i, state in enumerate(self.states) if state.found]
        chosen = dict.fromkeys(spread(found, (count + 1) // 2))
        values = np.stack([signs.signals for i in found if (signs := face_signs(self.states[i])) is not None])
        moving = np.flatnonzero(values.std(0) >= FLOORS)
        order = values[:, moving].argsort(0)
        for rank in range(len(found)):  # the strongest of each signal, the weakest of each, the next
            for column in order.T:
                for place in (column[-1 - rank], column[rank]):
                    if len(chosen) < min(count, len(found)):
                        chosen.setdefault(found[place])
        return sorted(chosen)


@dataclass(frozen=True)
class Driven:
    """One portrait and one driver."""

    portrait: str
    driver: str
    smiled_first: bool
    wanted: tuple[FaceSigns | None, ...]
    drawn: tuple[FaceSigns | None, ...]
    at_rest: FaceSigns  # the portrait itself
    narrow: NDArray[np.bool_]  # (N, 2): in which of the frames the right and the left eye stay narrow
    lag_ms: float | None = None  # of the mouth
    left_mm: tuple[float, ...] = ()  # of the smile that came first, AFTER_S

    def following(self) -> dict[str, Following]:
        """By signal, of those in which the driver moves."""
        pairs = self.pairs()
        if not pairs:
            return {}
        wanted, drawn = (np.stack([pair[side].signals for pair in pairs]) for side in (0, 1))
        hidden = [not (one.looks and other.looks) for one, other in pairs]
        wanted[np.ix_(hidden, OF_IRISES)] = np.nan
        found = {name: following(wanted[:, i], drawn[:, i], float(FLOORS[i])) for i, name in enumerate(SIGNALS)}
        return {name: one for name, one in found.items() if one is not None}

    def narrow_eyes(self) -> list[float]:
        """How far open the avatar's are, in shares of the portrait's own, where the driver's stay narrow."""
        return [
            float(opening)
            for signs, narrow in zip(self.drawn, self.narrow, strict=True)
            if signs is not None
            for opening in (signs.eyes / self.at_rest.eyes)[narrow]
        ]

    def pairs(self) -> list[tuple[FaceSigns, FaceSigns]]:
        both = zip(self.wanted, self.drawn, strict=True)
        return [(wanted, drawn) for wanted, drawn in both if wanted is not None and drawn is not None]


def timeline(driver: Driver, smile_first: bool) -> tuple[list[FaceState], int]:
    """What the camera sees, and from which of its frames on it sees the clip once from its start."""
    order: list[int] = []
    smile = driver.smiling() if smile_first else None
    if smile is not None:
        least = int(np.ceil(FORGIVEN_S * 1e9 / driver.step_ns))
        order = [*smile, *there_and_back(len(driver.states), smile[-1] + 1, least)]
    start = len(order)
    order += range(len(driver.states))
    return [replace(driver.states[i], capture_ns=k * driver.step_ns) for k, i in enumerate(order)], start


def drive(avatar: Avatar, driver: Driver, tracker: Tracker, frames: int, smile_first: bool) -> Driven:
    """`tracker` looks at single pictures. The driver's frames are `Driver.numbers(frames)`."""
    states, start = timeline(driver, smile_first)
    retargeter = Retargeter(avatar)
    drivings = [retargeter.drive(state) for state in states]
    numbers = driver.numbers(frames)
    rest = Driving(avatar.landmarks[0], drivings[-1].capture_ns)
    pictures = draw(avatar, [*drivings[start:], rest], [*numbers, len(states) - start], size_px=SIZE_PX)
    drawn = [face_signs(tracker.track(picture, i)) for i, picture in enumerate(pictures.pictures)]
    at_rest = drawn.pop() or _of(avatar)
    wanted = tuple(face_signs(driver.states[i]) for i in numbers)
    smile = driver.smiling() if smile_first else None
    return Driven(
        avatar.name, driver.name, smile_first, wanted, tuple(drawn), at_rest, driver.narrowed()[numbers],
        mouth_lag_ms(states[start:], drivings[start:]),
        () if smile is None else left_of_a_smile(avatar, driver.states, smile, driver.step_ns),
    )  # fmt: skip


def drive_all(
    avatars: Sequence[Avatar], drivers: Sequence[Driver], tracker: Tracker, frames: int, tick: Tick
) -> list[Driven]:
    """Each portrait by each driver, and again by those who smile, with the smile first."""
    runs = [(a, d, smile) for a in avatars for d in drivers for smile in (False, True) if not smile or d.smiling()]
    found = []
    for number, (avatar, driver, smile_first) in enumerate(runs):
        tick(number / len(runs))
        found.append(drive(avatar, driver, tracker, frames, smile_first))
    return found


@dataclass(frozen=True)
class SignalRow:
    """One signal over all pairs in which the driver moves it: medians, and the best of the worst fifth."""

    name: str
    pairs: int
    slope: float
    worst_slope: float  # by how far it is from 1, as a factor
    r: float
    worst_r: float


@dataclass(frozen=True)
class Timing:
    """Over all pairs; None where no driver tells."""

    lag_ms: float | None  # median, of the mouth
    # of a smile that came first, AFTER_S: median, and the best of the worst fifth
    left_mm: tuple[tuple[float, float], ...]


def timing(driven: Sequence[Driven]) -> Timing:
    lags = [one.lag_ms for one in driven if one.lag_ms is not None]
    left = np.array([one.left_mm for one in driven if one.left_mm]).T
    spans = tuple((float(np.median(off)), float(np.quantile(off, 1 - WORST))) for off in left)
    return Timing(float(np.median(lags)) if lags else None, spans)


@dataclass(frozen=True)
class Contacts:
    """Lips and eyes over all frames, as shares of 1; None where no driver did it."""

    lips_shut: float | None  # of the frames in which the driver's lips touch: the avatar's do
    lips_parted: float | None  # of those in which they are well apart: the avatar's do not touch
    blinks_shut: float | None  # likewise each eye that is shut, and is
    narrow_open: float | None  # each eye that is narrowed and stays open
    # median opening of the avatar's eyes where the driver's are as usual, in shares of its portrait's
    opening_at_rest: float | None


def signal_rows(driven: Sequence[Driven]) -> list[SignalRow]:
    rows = []
    every = [one.following() for one in driven]
    for name in SIGNALS:
        known = [found[name] for found in every if name in found]
        if not known:
            continue
        slopes, r = np.array([one.slope for one in known]), np.array([one.r for one in known])
        away = np.abs(np.log(np.maximum(slopes, 0.01)))
        worst = int(np.argsort(away)[round((1 - WORST) * (len(away) - 1))])
        worst_r = float(np.quantile(r, WORST))
        rows.append(
            SignalRow(name, len(known), float(np.median(slopes)), float(slopes[worst]), float(np.median(r)), worst_r)
        )
    return rows


def contacts(driven: Sequence[Driven]) -> Contacts:
    touch: list[bool] = []
    part: list[bool] = []
    shut: list[bool] = []
    narrow: list[bool] = []
    rest: list[float] = []
    for one in driven:
        narrow += [opening > SHUT for opening in one.narrow_eyes()]
        pairs = one.pairs()
        usual = np.median([wanted.eyes for wanted, _ in pairs], axis=0) if pairs else np.ones(2)
        for wanted, drawn in pairs:
            if wanted.lips < TOUCHING:
                touch.append(drawn.lips < APART)
            elif wanted.lips > 2 * APART:
                part.append(drawn.lips > TOUCHING)
            opening, shown = wanted.eyes / usual, drawn.eyes / one.at_rest.eyes
            both_shut = float(opening.max()) < SHUT
            shut += [float(value) < SHUT + 0.1 for value in shown] if both_shut else []
            for seen, value in zip(opening, shown, strict=True):
                if 0.9 < seen < 1.1:
                    rest.append(float(value))
    lips_shut, lips_parted, blinks_shut, narrow_open = (
        float(np.mean(values)) if values else None for values in (touch, part, shut, narrow)
    )
    at_rest = float(np.median(rest)) if rest else None
    return Contacts(lips_shut, lips_parted, blinks_shut, narrow_open, at_rest)


def _of(avatar: Avatar) -> FaceSigns:
    """Of the portrait as it was enrolled."""
    state = FaceState(avatar.landmarks[0], avatar.blendshapes[0], np.eye(4, dtype=np.float32), 1.0, 0)
    found = face_signs(state)
    assert found is not None
    return found
