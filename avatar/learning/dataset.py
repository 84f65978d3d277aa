"""Training samples: a source picture, a target picture of the same person, and what the generator is fed."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from avatar.learning.degrade import degrade
from avatar.learning.pack import Pack
from avatar.learning.pseudo_pairs import pseudo_source
from avatar.retarget.apertures import gaps
from avatar.retarget.conditioning import conditioning, draw_face
from avatar.retarget.face_model import face_model
from avatar.retarget.face_regions import INNER_LIP_PAIRS
from avatar.retarget.portrait_choice import FaceCodes, face_codes
from avatar.tracking.face_state import BLENDSHAPE_INDEX

Array = NDArray[np.float32]
Picture = NDArray[np.uint8]
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


class PairDataset(Dataset[dict[str, Tensor]]):
    """Sample number i is the same in every run with the same seed, so that training resumes exactly."""

    def __init__(self, pack: Pack, seed: int = 0) -> None:
        self.pack, self.seed = pack, seed
        self.stills = np.flatnonzero(pack.clip < 0)
        self.codes = face_codes(pack.landmarks)
        turn = _turn_degrees(self.codes)
        rows = np.flatnonzero((pack.clip >= 0) & (turn < MAX_TURN_DEGREES))
        self.clips = [clip for clip in np.split(rows, np.flatnonzero(np.diff(pack.clip[rows])) + 1) if len(clip) > 1]
        if not self.clips:
            raise ValueError("no clip shows a face that moves, and all motion is learned from clips")
        self.clip_share = CLIP_SHARE if len(self.stills) else 1.0
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
        if rng.random() < self.clip_share:
            faces, row = self._clip_faces(rng)
        else:
            faces, row = self._still_faces(rng)
        faces = _augment(faces, rng)
        source, target, mouth, eyes = (
            faces.get(name, faces["source"]) for name in ("source", "target", "mouth", "eyes")
        )
        fed = conditioning(source[1], target[1], mouth[1], eyes[1])
        fed["source_drawing"] = draw_face(source[1])
        sample = {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in fed.items()}
        pictures = {"source": source, "mouth_source": mouth, "eyes_source": eyes, "target": target}
        sample |= {name: _to_tensor(face[0]) for name, face in pictures.items()}
        sample["identity"] = torch.tensor(int(self.pack.identity[row]))
        return sample

    def _face(self, row: int) -> Face:
        return np.asarray(self.pack.pictures[row]), self.pack.landmarks[row]

    def _clip_faces(self, rng: np.random.Generator) -> tuple[Faces, int]:
        clip = self.clips[rng.choice(len(self.clips), p=self.clip_weights)]
        kind = rng.random()
        weights = None
        if kind < BLINK_CHANCE:
            weights = self.shut[clip]
        elif kind < BLINK_CHANCE + OPEN_CHANCE:
            weights = self.open[clip]
        target = int(rng.choice(clip, p=None if weights is None else weights / weights.sum()))
        rows = {"source": int(rng.choice(clip)), "target": target}
        others = clip[clip != target]
        if len(others) >= CHOICE_OF and rng.random() < CHOICE_CHANCE:
            several = rng.choice(others, CHOICE_OF, replace=False)
            codes, now = self.codes.rows(several), self.codes.rows(np.array([target]))
            for name, region in (("source", "face"), ("mouth", "mouth"), ("eyes", "eyes")):
                rows[name] = int(several[codes.distances(now, region).argmin()])
        return {name: self._face(row) for name, row in rows.items()}, target

    def _still_faces(self, rng: np.random.Generator) -> tuple[Faces, int]:
        target = int(rng.choice(self.stills))
        others = [row for row in self.same_person[int(self.pack.identity[target])] if row != target]
        if others and rng.random() < REAL_STILL_PAIR_CHANCE:
            return {"source": self._face(int(rng.choice(others))), "target": self._face(target)}, target
        clip = self.motions[rng.integers(len(self.motions))]
        before, after = (self.pack.landmarks[row] for row in rng.choice(clip, 2))
        picture, landmarks = self._face(target)
        if rng.random() < DEGRADE_CHANCE:
            picture = degrade(picture, rng)
        source = pseudo_source(picture, landmarks, (before, after), rng)
        return {"source": source, "target": (picture, landmarks)}, target


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


def _augment(faces: Faces, rng: np.random.Generator) -> Faces:
    """The same mirror, light and colour for all pictures of a sample."""
    table, grey = _colour_table(rng), rng.random() < GREY_CHANCE
    mirrored = rng.random() < 0.5
    result = {}
    for name, (picture, landmarks) in faces.items():
        picture = np.asarray(cv2.LUT(np.ascontiguousarray(picture), table), np.uint8)
        if grey:
            picture = np.repeat(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[:, :, None], 3, axis=2)
        if mirrored:
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
