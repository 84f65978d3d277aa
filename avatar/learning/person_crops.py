"""Crops of one person for fine-tuning: real pairs among K portraits, and pseudo-pairs of each portrait's own relief."""

from __future__ import annotations

import numpy as np
import torch

from avatar.core.arrays import Array, Picture
from avatar.core.avatar import Avatar
from avatar.face.face_model import face_model
from avatar.face.state import BLENDSHAPE_INDEX
from avatar.learning.drawn_regions import KINDS, DrawnMouth
from avatar.learning.objective import Batch
from avatar.learning.pseudo_pairs import moved_still
from avatar.learning.region_samples import RegionSample, region_sample
from avatar.render.mouth_layers import own_row
from avatar.render.mouth_light import mouth_light
from avatar.render.one_light import OneLight
from avatar.render.upper_row import UpperRow

Face = tuple[Picture, Array]

REAL_CHANCE = 0.6  # of a pair of two photos rather than a pseudo-pair
OWN_MOTION_CHANCE = 0.5  # of a change of expression between two of the photos rather than the face model's
MOTIONS = (
    "jawOpen", "mouthSmileLeft", "mouthSmileRight", "mouthPucker", "eyeBlinkLeft", "eyeBlinkRight", "browInnerUp",
    "mouthFunnel", "mouthUpperUpLeft", "mouthUpperUpRight",
)  # fmt: skip


class PersonCrops:
    """Batches for fine-tuning, in the first portrait's light, as the renderer shows them. Photos in `held_out` are
    neither sources nor targets of them."""

    def __init__(self, avatar: Avatar, held_out: tuple[int, ...], seed: int) -> None:
        self.seed, self.embedding = seed, torch.from_numpy(avatar.embedding)
        self.faces = lit_faces(avatar)
        self.kept = np.array([i for i in range(len(self.faces)) if i not in held_out])
        self._rows = {int(i): _row(*self.faces[i]) for i in self.kept}

    def batch(self, number: int, size: int) -> dict[str, Batch]:
        """By region, `size` faces each; batch `number` is the same in every run with the same seed."""
        rng = np.random.default_rng([self.seed, number])
        drawn: dict[str, list[RegionSample]] = {name: [] for name in KINDS}
        for _ in range(size):
            target = int(rng.choice(self.kept))
            source, lent = self._source(target, rng), self._lent(target)
            for name, kind in KINDS.items():
                for _ in range(kind.region.of_each):
                    region = kind(self.faces[target][1], rng)
                    if isinstance(region, DrawnMouth):
                        region.lent = lent
                    drawn[name].append(region_sample(region, source, self.faces[target], rng))
        return {name: self._collated(samples) for name, samples in drawn.items()}

    def _source(self, target: int, rng: np.random.Generator) -> Face:
        others = self.kept[self.kept != target]
        if len(others) and rng.random() < REAL_CHANCE:
            return self.faces[int(rng.choice(others))]
        if len(self.kept) > 1 and rng.random() < OWN_MOTION_CHANCE:
            before, after = (self.faces[int(i)][1] for i in rng.choice(self.kept, 2, replace=False))
        else:
            before, after = _expressions(rng)
        return moved_still(*self.faces[target], (before, after), rng)

    def _lent(self, target: int) -> UpperRow | None:
        """What the other photos show of the upper row: its own one would tell the target."""
        rows = [row for number, row in self._rows.items() if row is not None and number != target]
        return max(rows, key=lambda row: row.seen, default=None)

    def _collated(self, samples: list[RegionSample]) -> Batch:
        layers = ("picture", "target", "drawing", "hints")
        batch = {name: np.stack([getattr(sample, name) for sample in samples]) for name in layers}
        shares = {name: np.float32(1 / 255) * values.transpose(0, 3, 1, 2) for name, values in batch.items()}
        result = {name: torch.from_numpy(np.ascontiguousarray(values)) for name, values in shares.items()}
        return result | {"embedding": self.embedding.expand(len(samples), -1)}


def lit_faces(avatar: Avatar) -> list[Face]:
    """All portraits with their landmarks, in the first one's light."""
    first, *others = zip(avatar.portraits, avatar.landmarks, strict=True)
    light = OneLight(*first)
    return [first, *((light.on(portrait, landmarks), landmarks) for portrait, landmarks in others)]


def _row(portrait: Picture, landmarks: Array) -> UpperRow | None:
    return own_row(portrait, landmarks, mouth_light(portrait, landmarks))


def _expressions(rng: np.random.Generator) -> tuple[Array, Array]:
    """The mean face at rest, and with a random expression."""
    model = face_model()
    scores = np.zeros(len(model.expression_basis), np.float32)
    for name in rng.choice(MOTIONS, 3, replace=False):
        value = rng.uniform(0, 0.7)
        scores[BLENDSHAPE_INDEX[name]] = value
        if "Blink" in name:  # people shut both eyes
            scores[BLENDSHAPE_INDEX["eyeBlinkLeft"]] = scores[BLENDSHAPE_INDEX["eyeBlinkRight"]] = value
    return model.mean_shape, np.asarray(model.mean_shape + model.expression(scores), np.float32)
