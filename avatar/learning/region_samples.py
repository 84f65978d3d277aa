"""Training samples of one region for `fast-3`: as the layers draw it from a portrait, and as it really looks.

The target is always a real picture. Of people in motion the portrait is another frame of the clip; a still is turned,
and given another expression, by its own relief, and the layers are to bring it back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from avatar.core.arrays import Array, Picture
from avatar.learning.dataset.pack import Pack
from avatar.learning.drawn_regions import KINDS, DrawnRegion
from avatar.learning.pair_choice import PairChoice
from avatar.learning.pseudo_pairs import moved_still
from avatar.model.layered_generator import Region
from avatar.render.relief import Relief
from avatar.render.view import View

REAL_CHANCE = 0.5  # where a person has several stills
CLIP_SHARE = 0.55
JITTER = 0.0025  # of the driving landmarks, of the crop's side: trackers are not exact
JITTER_CHANCE = 0.5
BLUR_PX = 41


@dataclass(frozen=True)
class RegionSample:
    """One region, (h, w, channels) uint8 each."""

    picture: Picture  # 3: as the layers drew it
    target: Picture  # 3
    drawing: Picture  # 3
    hints: Picture  # as many as the region has
    source: int = -1  # row of the pack whose face the portrait is


class RegionSamples:
    """Sample number i is always the same."""

    def __init__(self, pack: Pack, region: Region, seed: int) -> None:
        self.pack, self.seed, self.kind = pack, seed, KINDS[region.name]
        self.pairs = PairChoice(pack)
        self.chance, self.weights = self.kind.weights(self.pairs)

    def draw(self, index: int) -> RegionSample:
        rng = np.random.default_rng([self.seed, index])
        share = CLIP_SHARE if len(self.pairs.stills) and self.pairs.clips else float(bool(self.pairs.clips))
        return self._from_clip(rng) if rng.random() < share else self._from_stills(rng)

    def draw_all(self, indices: Iterable[int]) -> Iterator[RegionSample]:
        return map(self.draw, indices)

    def _from_clip(self, rng: np.random.Generator) -> RegionSample:
        pairs = self.pairs
        clip = pairs.clips[rng.choice(len(pairs.clips), p=pairs.clip_weights)]
        weights = self.weights[clip].astype(np.float64) if rng.random() < self.chance else None
        target = int(rng.choice(clip, p=None if weights is None else weights / weights.sum()))
        source = int(rng.choice(clip))
        return self._sample(self._face(source), self._face(target), source, rng)

    def _from_stills(self, rng: np.random.Generator) -> RegionSample:
        row, others = self.pairs.still_target(rng)
        target = self._face(row)
        if others and rng.random() < REAL_CHANCE:
            source = int(rng.choice(others))
            return self._sample(self._face(source), target, source, rng)
        before, after = self.pairs.motion(rng)
        motion = self.pack.landmarks[before], self.pack.landmarks[after]
        return self._sample(moved_still(*target, motion, rng), target, row, rng)

    def _face(self, row: int) -> tuple[Picture, Array]:
        return np.asarray(self.pack.pictures[row]), self.pack.landmarks[row]

    def _sample(
        self, source: tuple[Picture, Array], target: tuple[Picture, Array], row: int, rng: np.random.Generator
    ) -> RegionSample:
        region = self.kind(target[1], rng)
        return replace(region_sample(region, source, target, rng), source=row)


def region_sample(
    region: DrawnRegion, source: tuple[Picture, Array], target: tuple[Picture, Array], rng: np.random.Generator
) -> RegionSample:
    """A region of the target's face as drawn from the source's: pictures (S, S, 3) with (478, 3) landmarks."""
    picture, driving = target
    true = region.view().cut(picture)
    if rng.random() < JITTER_CHANCE:
        driving = jittered(driving, region.parts, rng)
    drawn = warped(region.surface(*source), source[1], driving, region.view())
    hints = region.draw(drawn, driving)
    drawing = np.rint(region.drawing(driving) * 255).astype(np.uint8)
    return RegionSample(drawn, true, _channels_last(drawing), _channels_last(hints))


def warped(picture: Picture, landmarks: Array, driving: Array, view: View) -> Picture:
    """(h, w, 3) the view of a portrait with (478, 3) landmarks, moved by its relief alone."""
    relief = Relief(landmarks)
    seen = relief.draw(relief.place(driving), view)
    drawn = seen.sample(picture)
    # in place of the plate, which a whole picture has
    drawn[~seen.covered] = view.cut(np.asarray(cv2.blur(picture, (BLUR_PX, BLUR_PX)), np.uint8))[~seen.covered]
    return drawn


def jittered(landmarks: Array, parts: Sequence[tuple[int, ...]], rng: np.random.Generator) -> Array:
    """As a tracker that is a little off: each of the parts by itself."""
    result = landmarks.copy()
    for part in parts:
        result[list(part), :2] += rng.normal(0, JITTER, 2).astype(np.float32)
    return result


def _channels_last(layers: Picture) -> Picture:
    return np.ascontiguousarray(layers.transpose(1, 2, 0))
