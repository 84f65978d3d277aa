"""A person enrolled from T frames of a clip, and the pictures that each system draws of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from avatar.core.arrays import Array
from avatar.core.avatar import Avatar
from avatar.evaluation.clip import SIZE_PX, Clip, Pictures, Tick
from avatar.face.driving import Driving
from avatar.render.embedding import embed
from avatar.render.engine_options import EngineOptions
from avatar.render.full_network import FullNetwork
from avatar.render.painter import open_painter
from avatar.render.warp import landmark_warp
from engines.engine import Engine

UNMOVED, WARP, FF, FT, FULL = "unmoved", "landmark_warp", "ff", "ft", "full"
BASELINES = (UNMOVED, WARP)
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


def enrol(
    clip: Clip,
    shots: int,
    embedder: Engine,
    model_id: str,
    tune: FineTune | None,
    tell: Tell,
    full: FullNetwork | None = None,
) -> Person:
    """Make the avatars from the clip's sources. All portraits are cut by one crop."""
    frames = clip.sources[shots]
    portraits = np.stack([clip.portraits[i] for i in frames])
    landmarks = np.stack([clip.landmarks(i) for i in frames])
    blendshapes = np.stack([clip.states[i].blendshapes for i in frames])
    embedding, psi = embed(embedder, portraits, landmarks)
    avatars = {FF: Avatar(clip.name, model_id, portraits, landmarks, blendshapes, embedding, psi)}
    tuning = None
    if tune is not None:
        avatars[FT], tuning = tune(avatars[FF], tell)
    if full is not None:
        avatars[FULL] = full.person(avatars[FF])
    small = np.stack([clip.small[i] for i in frames])
    return Person(clip, shots, avatars, tuning, small, landmarks, full)


def draw_all(
    person: Person, drivings: Sequence[Driving], goals: Array, wanted: Sequence[int], tick: Tick
) -> dict[str, Pictures]:
    """Every system's pictures of the `wanted` drivings; `goals` (N, 478, 3) is where the baselines shall go.

    A fine-tuning that was not kept gives the very array of feed-forward.
    """
    nearest = [person.nearest(goal) for goal in goals]
    warped = [
        landmark_warp(person.portraits[i], person.landmarks[i], goal) for i, goal in zip(nearest, goals, strict=True)
    ]
    drawn: dict[str, Pictures] = {UNMOVED: person.portraits[nearest], WARP: np.stack(warped)}
    for number, (system, avatar) in enumerate(person.avatars.items()):
        if system == FT and avatar is person.avatars[FF]:
            drawn[FT] = drawn[FF]
        else:
            drawn[system] = _draw(avatar, drivings, wanted, person.full if system == FULL else None)
        tick((number + 1) / len(person.avatars))
    return drawn


def _draw(avatar: Avatar, drivings: Sequence[Driving], wanted: Sequence[int], full: FullNetwork | None) -> Pictures:
    engine = EngineOptions(full=full).open(avatar)
    try:
        renderer = open_painter(avatar, engine, size_px=SIZE_PX)
        fades = full is None and len(avatar.portraits) > 1
        needed = warm_up([d.capture_ns for d in drivings], wanted) if fades else set(wanted)
        drawn = {i: renderer.render(drivings[i]) for i in sorted(needed)}
    finally:
        engine.close()
    return np.stack([drawn[i] for i in wanted])


def warm_up(times_ns: Sequence[int], wanted: Sequence[int]) -> set[int]:
    """The wanted frames, and those up to WARM_UP_NS before each."""
    needed = set(wanted)
    for last in wanted:
        i = last - 1
        while i >= 0 and times_ns[last] - times_ns[i] <= WARM_UP_NS:
            needed.add(i)
            i -= 1
    return needed
