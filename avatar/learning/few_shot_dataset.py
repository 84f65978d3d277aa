"""Training samples of size `full`: K photos of a person with their landmark images, and one more to be made."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from avatar.core.resizing import resized
from avatar.learning.dataset.pack import Pack
from avatar.learning.pair_choice import (
    DEGRADE_CHANCE,
    REAL_STILL_PAIR_CHANCE,
    Augmentation,
    Chosen,
    Face,
    Faces,
    PairChoice,
    augment,
    faces_of,
)
from avatar.render.landmark_image import draw_landmarks

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
        self.pairs = PairChoice(pack, identities)

    def __len__(self) -> int:
        return 1 << 40

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        rng = np.random.default_rng([self.seed, index])
        chosen = self.choose(rng)
        faces = augment(faces_of(self.pack, chosen, rng), Augmentation.random(rng))
        return self.sample(faces, int(self.pack.identity[chosen.target]))

    def choose(self, rng: np.random.Generator) -> Chosen:
        """`photo 0` to `photo K−1`, real or moved."""
        if rng.random() < self.pairs.clip_share:
            clip, target = self.pairs.clip_target(rng)
            others = clip[clip != target]
            rows = rng.choice(others, self.k, replace=len(others) < self.k)
            return Chosen(target, {f"photo {i}": int(row) for i, row in enumerate(rows)})
        target, same = self.pairs.still_target(rng)
        degraded = bool(rng.random() < DEGRADE_CHANCE) and not same
        real: dict[str, int] = {}
        moved: dict[str, tuple[int, int]] = {}
        for i in range(self.k):
            if same and rng.random() < REAL_STILL_PAIR_CHANCE:
                real[f"photo {i}"] = int(rng.choice(same))
            else:
                moved[f"photo {i}"] = self.pairs.motion(rng)
        return Chosen(target, real, moved, degraded)

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
