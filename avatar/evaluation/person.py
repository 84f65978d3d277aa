"""A person enrolled from T frames of a clip, and the pictures that each system draws of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
from avatar.render.layered_network import FAST_3
from avatar.render.painter import open_painter
from avatar.render.warp import FLOW_GRID, landmark_flow, landmark_warp, pixel_grid
from engines.engine import Engine

UNMOVED, WARP, FF, FT, FULL = "unmoved", "landmark_warp", "ff", "ft", "full"
BASELINES = (UNMOVED, WARP)
AT = "@"  # FF or FT, and the renderer that drew it where that is not the first: "ff@fast-3"
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
    renderers: tuple[str, ...] = (FAST_3,)  # each draws FF and FT

    def nearest(self, goal: Array) -> int:
        """The portrait whose landmarks lie nearest to `goal` (478, 3): mean distance in the crop."""
        return int(np.linalg.norm(self.landmarks[..., :2] - goal[:, :2], axis=2).mean(1).argmin())

    def parts(self) -> list[tuple[str, Avatar, str]]:
        """What is to be drawn: the system, its avatar, the renderer."""
        return [
            (system, avatar, renderer)
            for system, avatar in self.avatars.items()
            for renderer in (self.renderers[:1] if system == FULL else self.renderers)
        ]


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
    renderers: tuple[str, ...] = (FAST_3,)

    @property
    def systems(self) -> tuple[str, ...]:
        """All that is drawn."""
        fast = (FF,) if self.tune is None else (FF, FT)
        drawn = [drawn_by(system, renderer, self.renderers) for system in fast for renderer in self.renderers]
        return (*BASELINES, *drawn, *(() if self.full is None else (FULL,)))


def drawn_by(system: str, renderer: str, renderers: Sequence[str]) -> str:
    """The system's name with this one of the renderers: the first one's is the plain name."""
    return system if system == FULL or renderer == renderers[0] else f"{system}{AT}{renderer}"


def named(system: str, titles: Mapping[str, str]) -> str:
    """The system's title, and its renderer where that is not the first."""
    name, _, renderer = system.partition(AT)
    return f"{titles[name]} {renderer}".rstrip()


def enrol(clip: Clip, shots: int, embedder: Engine, model_id: str, lineup: Lineup, tell: Tell) -> Person:
    """Make the avatars from the clip's sources. All portraits are cut by one crop."""
    frames = clip.sources[shots]
    portraits = np.stack([clip.portraits[i] for i in frames])
    landmarks = np.stack([clip.landmarks(i) for i in frames])
    blendshapes = np.stack([clip.states[i].blendshapes for i in frames])
    embedding, psi = embed(embedder, portraits, landmarks)
    person = Avatar(clip.name, model_id, portraits, landmarks, blendshapes, embedding, psi)
    avatars = {FF: with_mattes(person) if FAST_3 in lineup.renderers else person}
    tuning = None
    if lineup.tune is not None:
        avatars[FT], tuning = lineup.tune(avatars[FF], tell)
    if lineup.full is not None:
        avatars[FULL] = lineup.full.person(avatars[FF])
    small = np.stack([clip.small[i] for i in frames])
    return Person(clip, shots, avatars, tuning, small, landmarks, lineup.full, lineup.renderers)


def draw_all(
    person: Person, drivings: Sequence[Driving], goals: Array, wanted: Sequence[int], tick: Tick
) -> dict[str, Drawn]:
    """What every system makes of the `wanted` drivings; `goals` (N, 478, 3) is where the baselines shall go.

    A fine-tuning that was not kept gives the very object of feed-forward.
    """
    nearest = [person.nearest(goal) for goal in goals]
    warped = [
        landmark_warp(person.portraits[i], person.landmarks[i], goal) for i, goal in zip(nearest, goals, strict=True)
    ]
    flows = [landmark_flow(person.landmarks[i], goal, FLOW_GRID // 2) for i, goal in zip(nearest, goals, strict=True)]
    still = np.broadcast_to(pixel_grid(FLOW_GRID // 2, FLOW_GRID // 2), np.shape(flows))
    drawn = {UNMOVED: Drawn(person.portraits[nearest], still), WARP: Drawn(np.stack(warped), np.stack(flows))}
    for system, avatar, renderer in (parts := person.parts()):
        name = drawn_by(system, renderer, person.renderers)
        if system == FT and avatar is person.avatars[FF]:
            drawn[name] = drawn[drawn_by(FF, renderer, person.renderers)]
        else:
            drawn[name] = draw(avatar, drivings, wanted, renderer, person.full if system == FULL else None)
        tick((len(drawn) - len(BASELINES)) / len(parts))
    return drawn


def draw(
    avatar: Avatar,
    drivings: Sequence[Driving],
    wanted: Sequence[int],
    renderer: str = FAST_3,
    full: FullNetwork | None = None,
    size_px: int = SIZE_PX,
) -> Drawn:
    """The `wanted` of the drivings, as one avatar's pictures."""
    options = EngineOptions(full=full, renderer=renderer)
    avatar = avatar if full is not None else options.person(avatar)
    engine = options.open(avatar)
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
