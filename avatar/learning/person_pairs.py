"""Training pairs from one person's K portraits: real ones among the photos, and pseudo-pairs of each photo."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avatar.core.arrays import Array, Picture
from avatar.core.avatar import Avatar
from avatar.face.face_model import face_model
from avatar.face.state import BLENDSHAPE_INDEX
from avatar.learning.pseudo_pairs import pseudo_source
from avatar.render.conditioning import conditioning, draw_face
from avatar.render.portrait_choice import REGIONS, face_codes
from avatar.render.skin_tone import gain, skin_tones

Face = tuple[Picture, Array]

SIZE_PX = 256  # of targets; sources are textures at the portraits' own size
REAL_CHANCE = 0.6  # of a pair of two photos rather than a pseudo-pair
CHOICE_OF = 6  # photos among which the source of a real pair is chosen, as the renderer chooses
MOTIONS = (
    "jawOpen", "mouthSmileLeft", "mouthSmileRight", "mouthPucker", "eyeBlinkLeft", "eyeBlinkRight", "browInnerUp",
    "mouthFunnel", "mouthUpperUpLeft", "mouthUpperUpRight",
)  # fmt: skip


class PersonPairs:
    """Batches for fine-tuning. Photos in `held_out` are neither sources nor targets of them."""

    def __init__(self, avatar: Avatar, held_out: tuple[int, ...], seed: int) -> None:
        self.faces: list[Face] = list(zip(avatar.portraits, avatar.landmarks, strict=True))
        self.held_out, self.seed = held_out, seed
        self.kept = np.array([i for i in range(len(self.faces)) if i not in held_out])
        self.codes = face_codes(avatar.landmarks)
        self.tones = [skin_tones(*face) for face in self.faces]

    def batch(self, number: int, size: int) -> dict[str, Tensor]:
        """Batch `number`: the same in every run with the same seed."""
        rng = np.random.default_rng([self.seed, number])
        return _collate([self._random_pair(rng) for _ in range(size)])

    def examination(self) -> dict[str, Tensor]:
        """What fine-tuning is examined on: the held-out photos, each from its best sources."""
        return _collate([self._real_pair(target, self.kept) for target in self.held_out])

    def _random_pair(self, rng: np.random.Generator) -> dict[str, Face]:
        target = int(rng.choice(self.kept))
        others = self.kept[self.kept != target]
        if len(others) and rng.random() < REAL_CHANCE:
            return self._real_pair(target, rng.permutation(others)[:CHOICE_OF])
        return self._pseudo_pair(target, rng)

    def _real_pair(self, target: int, among: NDArray[np.int_]) -> dict[str, Face]:
        now, codes = self.codes.rows(np.array([target])), self.codes.rows(among)
        best = {region: int(among[codes.distances(now, region).argmin()]) for region in REGIONS}
        return {
            "target": self.faces[target],
            "source": self.faces[best["face"]],
            "mouth_source": self._matched("mouth", best["mouth"], best["face"]),
            "eyes_source": self._matched("eyes", best["eyes"], best["face"]),
        }

    def _matched(self, region: str, number: int, face: int) -> Face:
        """A region's photo in the skin tone of the face's, as the renderer does it."""
        picture, landmarks = self.faces[number]
        if number == face:
            return picture, landmarks
        factors = gain(self.tones[number][region], self.tones[face][region])
        return np.asarray(np.clip(picture * factors, 0, 255), np.uint8), landmarks

    def _pseudo_pair(self, target: int, rng: np.random.Generator) -> dict[str, Face]:
        picture, landmarks = self.faces[target]
        if len(self.kept) > 1 and rng.random() < 0.5:
            before, after = (self.faces[int(i)][1] for i in rng.choice(self.kept, 2, replace=False))
        else:
            before, after = _expressions(rng)
        source = pseudo_source(picture, landmarks, (before, after), rng)
        return {"target": (picture, landmarks), "source": source, "mouth_source": source, "eyes_source": source}


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


def _collate(pairs: list[dict[str, Face]]) -> dict[str, Tensor]:
    samples: list[dict[str, Array]] = []
    for pair in pairs:
        source, target = pair["source"], pair["target"]
        sample = conditioning(source[1], target[1], pair["mouth_source"][1], pair["eyes_source"][1])
        sample["source_drawing"] = draw_face(source[1])
        sample["landmarks"] = target[1]
        pictures = {name: picture for name, (picture, _) in pair.items()}
        pictures["target"] = np.asarray(cv2.resize(target[0], (SIZE_PX, SIZE_PX), interpolation=cv2.INTER_AREA))
        for name, picture in pictures.items():
            sample[name] = picture.transpose(2, 0, 1).astype(np.float32) / np.float32(255)
        samples.append(sample)
    return {name: torch.from_numpy(np.stack([sample[name] for sample in samples])) for name in samples[0]}
