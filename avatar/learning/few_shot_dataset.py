"""Training samples of size `full`: K photos of a person with their landmark images, and one more to be made."""

from __future__ import annotations

from collections.abc import Collection

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from avatar.learning.dataset import (
    BLINK_CHANCE,
    CLIP_SHARE,
    DEGRADE_CHANCE,
    OPEN_CHANCE,
    REAL_STILL_PAIR_CHANCE,
    Face,
    Faces,
    PairDataset,
    _augment,
)
from avatar.learning.degrade import degrade
from avatar.learning.pack import Pack
from avatar.learning.pseudo_pairs import pseudo_source
from avatar.retarget.landmark_image import draw_landmarks

TARGET = "target"


class FewShotDataset(Dataset[dict[str, Tensor]]):
    """K + 1 frames of one clip; of people with a single still, the still and K pseudo-sources made from it.

    Sample number i is the same in every run with the same seed. A sample holds photos and photo_drawings
    (K, 3, S, S), target and drawing (3, S, S), all uint8; landmarks (478, 3) of the target in [0, 1]; identity.
    """

    def __init__(
        self, pack: Pack, size_px: int, k: int = 8, seed: int = 0, identities: Collection[int] | None = None
    ) -> None:
        """`identities`: only these people of the pack; None: everybody. Raises ValueError where nobody is left."""
        self.pack, self.size_px, self.k, self.seed = pack, size_px, k, seed
        pairs = PairDataset(pack, seed)
        chosen = np.ones(len(pack), bool) if identities is None else np.isin(pack.identity, list(identities))
        which = [i for i, clip in enumerate(pairs.clips) if chosen[clip[0]]]
        self.clips = [pairs.clips[i] for i in which]
        self.stills = pairs.stills[chosen[pairs.stills]]
        if not self.clips and not len(self.stills):
            raise ValueError("nobody is left to choose from")
        self.clip_share = CLIP_SHARE if len(self.stills) else 1.0
        if not self.clips:
            self.clip_share = 0.0
        else:
            self.clip_weights = pairs.clip_weights[which] / pairs.clip_weights[which].sum()
        self.shut, self.open = pairs.shut, pairs.open
        self.motions, self.same_person = pairs.motions, pairs.same_person

    def __len__(self) -> int:
        return 1 << 40

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        rng = np.random.default_rng([self.seed, index])
        faces, row = self._clip_faces(rng) if rng.random() < self.clip_share else self._still_faces(rng)
        return self.sample(_augment(faces, rng), int(self.pack.identity[row]))

    def sample(self, faces: Faces, identity: int) -> dict[str, Tensor]:
        """The tensors of a sample from its faces, of which one is named `target`."""
        photos = [self._tensors(face) for name, face in faces.items() if name != TARGET]
        picture, drawing = self._tensors(faces[TARGET])
        return {
            "photos": torch.stack([photo for photo, _ in photos]),
            "photo_drawings": torch.stack([drawn for _, drawn in photos]),
            "target": picture,
            "drawing": drawing,
            "landmarks": torch.from_numpy(np.ascontiguousarray(faces[TARGET][1], np.float32)),
            "identity": torch.tensor(identity),
        }

    def _tensors(self, face: Face) -> tuple[Tensor, Tensor]:
        picture, landmarks = face
        small = resized(picture, self.size_px)
        drawing = draw_landmarks(landmarks, self.size_px)
        return torch.from_numpy(np.ascontiguousarray(small.transpose(2, 0, 1))), torch.from_numpy(drawing)

    def _face(self, row: int) -> Face:
        return np.asarray(self.pack.pictures[row]), self.pack.landmarks[row]

    def _clip_faces(self, rng: np.random.Generator) -> tuple[Faces, int]:
        clip = self.clips[rng.choice(len(self.clips), p=self.clip_weights)]
        kind, weights = rng.random(), None
        if kind < BLINK_CHANCE:
            weights = self.shut[clip]
        elif kind < BLINK_CHANCE + OPEN_CHANCE:
            weights = self.open[clip]
        target = int(rng.choice(clip, p=None if weights is None else weights / weights.sum()))
        others = clip[clip != target]
        rows = rng.choice(others, self.k, replace=len(others) < self.k)
        faces = {f"photo {i}": self._face(int(row)) for i, row in enumerate(rows)}
        return faces | {TARGET: self._face(target)}, target

    def _still_faces(self, rng: np.random.Generator) -> tuple[Faces, int]:
        target = int(rng.choice(self.stills))
        others = [row for row in self.same_person[int(self.pack.identity[target])] if row != target]
        picture, landmarks = self._face(target)
        if rng.random() < DEGRADE_CHANCE and not others:
            picture = degrade(picture, rng)
        faces: Faces = {TARGET: (picture, landmarks)}
        for i in range(self.k):
            if others and rng.random() < REAL_STILL_PAIR_CHANCE:
                faces[f"photo {i}"] = self._face(int(rng.choice(others)))
                continue
            clip = self.motions[rng.integers(len(self.motions))]
            before, after = (self.pack.landmarks[row] for row in rng.choice(clip, 2))
            faces[f"photo {i}"] = pseudo_source(picture, landmarks, (before, after), rng)
        return faces, target


def resized(picture: NDArray[np.uint8], size_px: int) -> NDArray[np.uint8]:
    """(H, H, 3) to (size, size, 3), whole pixels averaged."""
    if picture.shape[0] == size_px:
        return picture
    how = cv2.INTER_AREA if picture.shape[0] > size_px else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, (size_px, size_px), interpolation=how), np.uint8)
