"""Which pictures of a pack make a training sample: a target, and others of the same person to make it from."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from avatar.core.arrays import Array, Picture
from avatar.face.face_codes import FaceCodes, face_codes
from avatar.face.face_model import face_model
from avatar.face.gaps import gaps
from avatar.face.regions import INNER_LIP_PAIRS
from avatar.face.state import BLENDSHAPE_INDEX
from avatar.learning.dataset.pack import Pack
from avatar.learning.degrade import degrade
from avatar.learning.pseudo_pairs import moved_still

Face = tuple[Picture, Array]  # (H, H, 3) and its (478, 3) landmarks in [0, 1]
Faces = dict[str, Face]

CLIP_SHARE = 0.45  # of the samples; the others come from stills
REAL_STILL_PAIR_CHANCE = 0.5  # where a person has several stills
BLINK_CHANCE, OPEN_CHANCE = 0.25, 0.35  # of choosing a clip's target for its shut eyes or its open mouth
GREY_CHANCE = 0.06
DEGRADE_CHANCE = 0.3  # of making a still look like a scan, a painting or a bad recording
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


class PairChoice:
    """Chooses targets, stills and motions, the rarer ones more often."""

    def __init__(self, pack: Pack, identities: Collection[int] | None = None) -> None:
        """`identities`: samples are of these people of the pack; None: of everybody. Motion is everybody's.

        Raises ValueError where nobody moves or nobody is left.
        """
        self.pack = pack
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
        faces[name] = moved_still(picture, landmarks, motion, rng)
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
