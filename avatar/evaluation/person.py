"""A person enrolled from T frames of a clip, and the pictures that each system draws of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from avatar.core.arrays import Array
from avatar.core.avatar import Avatar
from avatar.evaluation.clip import SIZE_PX, Clip, Pictures, Tick
from avatar.face.driving import Driving
from avatar.identity.mattes import with_mattes
from avatar.render.embedding import embed
from avatar.render.engine_options import EngineOptions
from avatar.render.full_network import FullNetwork
from avatar.render.no_network import NoNetwork
from avatar.render.painter import open_painter
from avatar.render.region_change import pixel_grid
from engines.engine import Engine

UNMOVED, LAYERS, FF, FT, FULL = "unmoved", "layers", "ff", "ft", "full"
BASELINES = (UNMOVED, LAYERS)
STILL_GRID = 64  # of a flow that moves nothing
WARM_UP_NS = 200_000_000  # before a wanted frame, the frames that lead to it are drawn too: portraits fade in

Tell = Callable[[float, str], None]  # share done in [0, 1], one line


@dataclass(frozen=True)
class Tuning:
    """What became of fine-tuning."""

    kept: bool  # False: it was not better on what it held out, and the feed-forward avatar stays
    reason: str
    steps: int
    seconds: float


FineTune = Callable[[Avatar, Tell], tuple[Avatar, Tuning]]


@dataclass(frozen=True)
class Person:
    """One clip's person by T shots. The avatars of a tuning that was not kept are the same object."""

    clip: Clip
    shots: int
    avatars: dict[str, Avatar]  # FF, and FT and FULL where they were asked for
    tuning: Tuning | None
    portraits: Pictures  # (T, SIZE_PX, SIZE_PX, 3), as they are in the clip
    landmarks: Array  # (T, 478, 3) in [0, 1]
    full: FullNetwork | None = None  # draws FULL

    def nearest(self, goal: Array) -> int:
        """The portrait whose landmarks lie nearest to `goal` (478, 3): mean distance in the crop."""
        return int(np.linalg.norm(self.landmarks[..., :2] - goal[:, :2], axis=2).mean(1).argmin())


@dataclass(frozen=True)
class Drawn:
    """What one system made of the wanted frames. Flows as of `Painter.flow`, None where the system has none."""

    pictures: Pictures
    flows: Array | None = None  # (N, h, w, 2)


@dataclass(frozen=True)
class Lineup:
    """Who is compared, beside the baselines and FF. `tune`: None without FT. `full` draws FULL: None without it."""

    tune: FineTune | None = None
    full: FullNetwork | None = None

    @property
    def systems(self) -> tuple[str, ...]:
        """All that is drawn."""
        fast = (FF,) if self.tune is None else (FF, FT)
        return (*BASELINES, *fast, *(() if self.full is None else (FULL,)))


def enrol(clip: Clip, shots: int, embedder: Engine, model_id: str, lineup: Lineup, tell: Tell) -> Person:
    """Make the avatars from the clip's sources. All portraits are cut by one crop."""
    frames = clip.sources[shots]
    portraits = np.stack([clip.portraits[i] for i in frames])
    landmarks = np.stack([clip.landmarks(i) for i in frames])
    blendshapes = np.stack([clip.states[i].blendshapes for i in frames])
    embedding = embed(embedder, portraits, landmarks)
    person = with_mattes(Avatar(clip.name, model_id, portraits, landmarks, blendshapes, embedding))
    avatars = {FF: person}
    tuning = None
    if lineup.tune is not None:
        avatars[FT], tuning = lineup.tune(avatars[FF], tell)
    if lineup.full is not None:
        avatars[FULL] = lineup.full.person(avatars[FF])
    small = np.stack([clip.small[i] for i in frames])
    return Person(clip, shots, avatars, tuning, small, landmarks, lineup.full)


def draw_all(
    person: Person, drivings: Sequence[Driving], goals: Array, wanted: Sequence[int], tick: Tick
) -> dict[str, Drawn]:
    """What every system makes of the `wanted` drivings; `goals` (N, 478, 3) is where the unmoved portrait is near.

    A fine-tuning that was not kept gives the very object of feed-forward.
    """
    nearest = [person.nearest(goal) for goal in goals]
    still = np.broadcast_to(pixel_grid(STILL_GRID, STILL_GRID), (len(nearest), STILL_GRID, STILL_GRID, 2))
    drawn = {UNMOVED: Drawn(person.portraits[nearest], still)}
    drawn[LAYERS] = draw(person.avatars[FF], drivings, wanted, engine=NoNetwork())
    for system, avatar in person.avatars.items():
        if system == FT and avatar is person.avatars[FF]:
            drawn[system] = drawn[FF]
        else:
            drawn[system] = draw(avatar, drivings, wanted, person.full if system == FULL else None)
        tick((len(drawn) - len(BASELINES)) / len(person.avatars))
    return drawn


def draw(
    avatar: Avatar,
    drivings: Sequence[Driving],
    wanted: Sequence[int],
    full: FullNetwork | None = None,
    size_px: int = SIZE_PX,
    engine: Engine | None = None,
) -> Drawn:
    """The `wanted` of the drivings, as one avatar's pictures. `engine`: None for that of the avatar's network."""
    engine = engine or EngineOptions(full=full).open(avatar)
    try:
        painter = open_painter(avatar, engine, size_px, patient=True)
        fades = full is None and len(avatar.portraits) > 1
        needed = warm_up([d.capture_ns for d in drivings], wanted) if fades else set(wanted)
        drawn = {i: (painter.render(drivings[i]), painter.flow()) for i in sorted(needed)}
    finally:
        engine.close()
    flows = [flow for i in wanted if (flow := drawn[i][1]) is not None]
    return Drawn(np.stack([drawn[i][0] for i in wanted]), np.stack(flows) if flows else None)


def warm_up(times_ns: Sequence[int], wanted: Sequence[int]) -> set[int]:
    """The wanted frames, and those up to WARM_UP_NS before each."""
    needed = set(wanted)
    for last in wanted:
        i = last - 1
        while i >= 0 and times_ns[last] - times_ns[i] <= WARM_UP_NS:
            needed.add(i)
            i -= 1
    return needed
