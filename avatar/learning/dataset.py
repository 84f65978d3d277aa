"""Training samples: a source picture, a target picture of the same person, and what the generator is fed."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from avatar.learning.pack import Pack
from avatar.learning.pseudo_pairs import pseudo_source
from avatar.retarget.apertures import gaps
from avatar.retarget.conditioning import conditioning, draw_face
from avatar.retarget.face_model import face_model
from avatar.retarget.face_regions import INNER_LIP_PAIRS
from avatar.retarget.geometry import head_pose
from avatar.tracking.face_state import BLENDSHAPE_INDEX

Array = NDArray[np.float32]
Picture = NDArray[np.uint8]

CLIP_SHARE = 0.45  # of the samples; the others come from stills
REAL_STILL_PAIR_CHANCE = 0.5  # where a person has several stills
BLINK_CHANCE, OPEN_CHANCE = 0.25, 0.35  # of choosing a clip's target for its shut eyes or its open mouth
GREY_CHANCE = 0.06
MAX_TURN_DEGREES = 38.0  # beyond, half of the landmarks are guesses
MAX_MOTION_TURN_DEGREES = 22.0  # pose-free expressions are trustworthy up to here


class PairDataset(Dataset[dict[str, Tensor]]):
    """Sample number i is the same in every run with the same seed, so that training resumes exactly."""

    def __init__(self, pack: Pack, seed: int = 0) -> None:
        self.pack, self.seed = pack, seed
        self.stills = np.flatnonzero(pack.clip < 0)
        turn = _turn_degrees(pack.landmarks)
        rows = np.flatnonzero((pack.clip >= 0) & (turn < MAX_TURN_DEGREES))
        self.clips = [clip for clip in np.split(rows, np.flatnonzero(np.diff(pack.clip[rows])) + 1) if len(clip) > 1]
        if not self.clips or not len(self.stills):
            raise ValueError("training needs both stills and clips")
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
        calm = (turn[clip] < MAX_MOTION_TURN_DEGREES for clip in self.clips)
        self.motions = [motion for clip, ok in zip(self.clips, calm, strict=True) if len(motion := clip[ok]) > 1]
        by_identity: dict[int, list[int]] = {}
        for row in self.stills:
            by_identity.setdefault(int(pack.identity[row]), []).append(int(row))
        self.same_person = by_identity

    def __len__(self) -> int:
        return 1 << 40

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        rng = np.random.default_rng([self.seed, index])
        if rng.random() < CLIP_SHARE:
            source, target, row = self._clip_pair(rng)
        else:
            source, target, row = self._still_pair(rng)
        (source_picture, source_landmarks), (target_picture, target_landmarks) = _augment(source, target, rng)
        fed = conditioning(source_landmarks, target_landmarks)
        fed["source_drawing"] = draw_face(source_landmarks)
        sample = {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in fed.items()}
        sample["source"] = _to_tensor(source_picture)
        sample["target"] = _to_tensor(target_picture)
        sample["identity"] = torch.tensor(int(self.pack.identity[row]))
        return sample

    def _face(self, row: int) -> tuple[Picture, Array]:
        return np.asarray(self.pack.pictures[row]), self.pack.landmarks[row]

    def _clip_pair(self, rng: np.random.Generator) -> tuple[tuple[Picture, Array], tuple[Picture, Array], int]:
        clip = self.clips[rng.choice(len(self.clips), p=self.clip_weights)]
        kind = rng.random()
        weights = None
        if kind < BLINK_CHANCE:
            weights = self.shut[clip]
        elif kind < BLINK_CHANCE + OPEN_CHANCE:
            weights = self.open[clip]
        target = int(rng.choice(clip, p=None if weights is None else weights / weights.sum()))
        source = int(rng.choice(clip))
        return self._face(source), self._face(target), target

    def _still_pair(self, rng: np.random.Generator) -> tuple[tuple[Picture, Array], tuple[Picture, Array], int]:
        target = int(rng.choice(self.stills))
        others = [row for row in self.same_person[int(self.pack.identity[target])] if row != target]
        if others and rng.random() < REAL_STILL_PAIR_CHANCE:
            return self._face(int(rng.choice(others))), self._face(target), target
        clip = self.motions[rng.integers(len(self.motions))]
        before, after = (self.pack.landmarks[row] for row in rng.choice(clip, 2))
        picture, landmarks = self._face(target)
        return pseudo_source(picture, landmarks, (before, after), rng), (picture, landmarks), target


class FromStep(Sampler[int]):
    """Sample numbers in order from the step at which training stands."""

    def __init__(self, first_step: int, steps: int, batch: int) -> None:
        self.first, self.last = first_step * batch, steps * batch

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.first, self.last))

    def __len__(self) -> int:
        return self.last - self.first


def _augment(
    source: tuple[Picture, Array], target: tuple[Picture, Array], rng: np.random.Generator
) -> tuple[tuple[Picture, Array], tuple[Picture, Array]]:
    """The same mirror, light and colour for both pictures."""
    table, grey = _colour_table(rng), rng.random() < GREY_CHANCE
    mirrored = rng.random() < 0.5
    result = []
    for picture, landmarks in (source, target):
        picture = np.asarray(cv2.LUT(np.ascontiguousarray(picture), table), np.uint8)
        if grey:
            picture = np.repeat(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[:, :, None], 3, axis=2)
        if mirrored:
            picture, landmarks = picture[:, ::-1], mirror(landmarks)
        result.append((picture, landmarks))
    return result[0], result[1]


def _turn_degrees(landmarks: Array) -> Array:
    """(N,) angles between the viewing direction and each of the (N, 478, 3) faces."""
    mean = face_model().mean_shape
    facing = np.array([head_pose(face, mean).rotation[2, 2] for face in landmarks])
    return np.asarray(np.degrees(np.arccos(np.clip(facing, -1, 1))), np.float32)


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
