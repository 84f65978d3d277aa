"""Training samples: a source picture, a target picture of the same person, and what the generator is fed."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from avatar.core.arrays import Array, Picture
from avatar.face.face_model import face_model
from avatar.face.gaps import gaps
from avatar.face.regions import INNER_LIP_PAIRS
from avatar.face.state import BLENDSHAPE_INDEX
from avatar.learning.dataset.pack import Pack
from avatar.learning.degrade import degrade
from avatar.learning.pseudo_pairs import pseudo_source
from avatar.render.conditioning import conditioning, draw_face
from avatar.render.portrait_choice import FaceCodes, face_codes

Face = tuple[Picture, Array]  # (H, H, 3) and its (478, 3) landmarks in [0, 1]
Faces = dict[str, Face]

CLIP_SHARE = 0.45  # of the samples; the others come from stills
REAL_STILL_PAIR_CHANCE = 0.5  # where a person has several stills
BLINK_CHANCE, OPEN_CHANCE = 0.25, 0.35  # of choosing a clip's target for its shut eyes or its open mouth
GREY_CHANCE = 0.06
DEGRADE_CHANCE = 0.3  # of making a still look like a scan, a painting or a bad recording
CHOICE_CHANCE = 0.5  # of giving mouth and eyes the portraits that fit them best, as a person with several photos has
CHOICE_OF = 8
MAX_TURN_DEGREES = 38.0  # beyond, half of the landmarks are guesses
MAX_MOTION_TURN_DEGREES = 22.0  # pose-free expressions are trustworthy up to here


@dataclass(frozen=True)
class Chosen:
    """Which rows of the pack make a sample, before any picture is touched."""

    target: int
    real: dict[str, int]  # whose picture serves as it is, by its part in the sample
    moved: dict[str, tuple[int, int]] = field(default_factory=dict)  # the target itself, moved as between two frames
    degraded: bool = False  # whether the target is first made to look like a bad recording


@dataclass(frozen=True)
class Augmentation:
    """The same mirror, light and colour for all pictures of a sample."""

    table: Picture  # (1, 256, 3)
    grey: bool
    mirrored: bool

    @staticmethod
    def random(rng: np.random.Generator) -> Augmentation:
        table, grey = _colour_table(rng), bool(rng.random() < GREY_CHANCE)
        return Augmentation(table, grey, bool(rng.random() < 0.5))


class PairDataset(Dataset[dict[str, Tensor]]):
    """Sample number i is the same in every run with the same seed, so that training resumes exactly."""

    def __init__(self, pack: Pack, seed: int = 0, identities: Collection[int] | None = None) -> None:
        """`identities`: samples are of these people of the pack; None: of everybody. Motion is everybody's.

        Raises ValueError where nobody moves or nobody is left.
        """
        self.pack, self.seed = pack, seed
        chosen = np.ones(len(pack), bool) if identities is None else np.isin(pack.identity, list(identities))
        self.stills = np.flatnonzero((pack.clip < 0) & chosen)
        self.codes = face_codes(pack.landmarks)
        turn = _turn_degrees(self.codes)
        rows = np.flatnonzero((pack.clip >= 0) & (turn < MAX_TURN_DEGREES))
        clips = [clip for clip in np.split(rows, np.flatnonzero(np.diff(pack.clip[rows])) + 1) if len(clip) > 1]
        if not clips:
            raise ValueError("no clip shows a face that moves, and all motion is learned from clips")
        calm = (turn[clip] < MAX_MOTION_TURN_DEGREES for clip in clips)
        self.motions = [motion for clip, ok in zip(clips, calm, strict=True) if len(motion := clip[ok]) > 1]
        self.clips = [clip for clip in clips if chosen[clip[0]]]
        if not self.clips and not len(self.stills):
            raise ValueError("nobody is left to choose from")
        self.clip_share = CLIP_SHARE if len(self.stills) and self.clips else float(bool(self.clips))
        by_person: dict[int, float] = {}
        for clip in self.clips:
            by_person[pack.identity[clip[0]]] = by_person.get(pack.identity[clip[0]], 0.0) + len(clip)
        # a person's share grows with the root of what there is of them: few people speak for many
        weights = np.array([len(c) / np.sqrt(by_person[pack.identity[c[0]]]) for c in self.clips])
        self.clip_weights = weights / weights.sum()
        blink = pack.blendshapes[:, [BLENDSHAPE_INDEX["eyeBlinkLeft"], BLENDSHAPE_INDEX["eyeBlinkRight"]]].mean(1)
        self.shut = np.maximum(blink, 0.02) ** 2
        height = np.ptp(pack.landmarks[:, :, 1], axis=1)
        opening = np.stack([gaps(face, INNER_LIP_PAIRS) for face in pack.landmarks]).max(1) / height
        self.open = np.maximum(opening, 0.003)
        by_identity: dict[int, list[int]] = {}
        for row in np.flatnonzero(pack.clip < 0):
            by_identity.setdefault(int(pack.identity[row]), []).append(int(row))
        self.same_person = by_identity

    def __len__(self) -> int:
        return 1 << 40

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        rng = np.random.default_rng([self.seed, index])
        chosen = self.choose(rng)
        faces = augment(faces_of(self.pack, chosen, rng), Augmentation.random(rng))
        source, target, mouth, eyes = (
            faces.get(name, faces["source"]) for name in ("source", "target", "mouth", "eyes")
        )
        fed = conditioning(source[1], target[1], mouth[1], eyes[1])
        fed["source_drawing"] = draw_face(source[1])
        sample = {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in fed.items()}
        pictures = {"source": source, "mouth_source": mouth, "eyes_source": eyes, "target": target}
        sample |= {name: _to_tensor(face[0]) for name, face in pictures.items()}
        sample["identity"] = torch.tensor(int(self.pack.identity[chosen.target]))
        return sample

    def choose(self, rng: np.random.Generator) -> Chosen:
        return self._from_clip(rng) if rng.random() < self.clip_share else self._from_stills(rng)

    def _from_clip(self, rng: np.random.Generator) -> Chosen:
        clip, target = self.clip_target(rng)
        rows = {"source": int(rng.choice(clip))}
        others = clip[clip != target]
        if len(others) >= CHOICE_OF and rng.random() < CHOICE_CHANCE:
            several = rng.choice(others, CHOICE_OF, replace=False)
            codes, now = self.codes.rows(several), self.codes.rows(np.array([target]))
            for name, region in (("source", "face"), ("mouth", "mouth"), ("eyes", "eyes")):
                rows[name] = int(several[codes.distances(now, region).argmin()])
        return Chosen(target, rows)

    def clip_target(self, rng: np.random.Generator) -> tuple[NDArray[np.int64], int]:
        """The rows of a clip, and a frame of it: often one with shut eyes or an open mouth."""
        clip = self.clips[rng.choice(len(self.clips), p=self.clip_weights)]
        kind = rng.random()
        weights = None
        if kind < BLINK_CHANCE:
            weights = self.shut[clip]
        elif kind < BLINK_CHANCE + OPEN_CHANCE:
            weights = self.open[clip]
        return clip, int(rng.choice(clip, p=None if weights is None else weights / weights.sum()))

    def _from_stills(self, rng: np.random.Generator) -> Chosen:
        target, others = self.still_target(rng)
        if others and rng.random() < REAL_STILL_PAIR_CHANCE:
            return Chosen(target, {"source": int(rng.choice(others))})
        motion = self.motion(rng)
        return Chosen(target, {}, {"source": motion}, bool(rng.random() < DEGRADE_CHANCE))

    def still_target(self, rng: np.random.Generator) -> tuple[int, list[int]]:
        """A still, and the others of the same person."""
        target = int(rng.choice(self.stills))
        return target, [row for row in self.same_person[int(self.pack.identity[target])] if row != target]

    def motion(self, rng: np.random.Generator) -> tuple[int, int]:
        """Two frames of one clip, whose difference is a change of expression."""
        clip = self.motions[rng.integers(len(self.motions))]
        before, after = rng.choice(clip, 2)
        return int(before), int(after)


def faces_of(pack: Pack, chosen: Chosen, rng: np.random.Generator) -> Faces:
    """The pictures and landmarks of a choice, `target` among them."""
    picture, landmarks = _face(pack, chosen.target)
    if chosen.degraded:
        picture = degrade(picture, rng)
    faces = {name: _face(pack, row) for name, row in chosen.real.items()}
    for name, (before, after) in chosen.moved.items():
        motion = pack.landmarks[before], pack.landmarks[after]
        faces[name] = pseudo_source(picture, landmarks, motion, rng)
    return faces | {"target": (picture, landmarks)}


def _face(pack: Pack, row: int) -> Face:
    return np.asarray(pack.pictures[row]), pack.landmarks[row]


class Batches(Sampler[list[int]]):
    """The sample numbers of each of this process's batches, in order from the one at which training stands."""

    def __init__(self, first: int, last: int, size: int, rank: int = 0, world: int = 1) -> None:
        self.first, self.last, self.size, self.rank, self.world = first, last, size, rank, world

    def __iter__(self) -> Iterator[list[int]]:
        for number in range(self.first, self.last):
            start = (number * self.world + self.rank) * self.size
            yield list(range(start, start + self.size))

    def __len__(self) -> int:
        return self.last - self.first


def augment(faces: Faces, how: Augmentation) -> Faces:
    result = {}
    for name, (picture, landmarks) in faces.items():
        picture = np.asarray(cv2.LUT(np.ascontiguousarray(picture), how.table), np.uint8)
        if how.grey:
            picture = np.repeat(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[:, :, None], 3, axis=2)
        if how.mirrored:
            picture, landmarks = picture[:, ::-1], mirror(landmarks)
        result[name] = (picture, landmarks)
    return result


def _turn_degrees(codes: FaceCodes) -> Array:
    """(N,) angles between the viewing direction and each face."""
    return np.asarray(np.degrees(np.arccos(np.clip(codes.facing[:, 2], -1, 1))), np.float32)


def mirror(landmarks: Array) -> Array:
    """(478, 3) landmarks in [0, 1] of the mirrored picture."""
    swapped = landmarks[face_model().mirror].copy()
    swapped[:, 0] = 1.0 - swapped[:, 0]
    return np.asarray(swapped, np.float32)


def _colour_table(rng: np.random.Generator) -> Picture:
    """(1, 256, 3) look-up table: contrast, brightness, gamma and a tint."""
    x = np.linspace(0, 1, 256)[:, None].repeat(3, axis=1)
    x = x ** np.exp(rng.normal(0, 0.15)) * np.exp(rng.normal(0, 0.06, 3))
    x = (x - 0.5) * np.exp(rng.normal(0, 0.1)) + 0.5 + rng.normal(0, 0.04)
    return np.asarray(np.clip(x * 255, 0, 255), np.uint8)[None]


def _to_tensor(picture: Picture) -> Tensor:
    """(H, W, 3) uint8 to (3, H, W) uint8: a quarter of the floats' traffic between processes."""
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))
