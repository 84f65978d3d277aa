"""All training pictures in the memory of the device that trains, decoded once, as bytes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avatar.core.arrays import Picture
from avatar.face.face_model import face_model
from avatar.face.head_pose import head_pose
from avatar.learning.dataset.pack import Pack
from avatar.learning.degrade import degrade
from avatar.learning.pseudo_pairs import OPEN_MOUTH, close_mouth, mouth_opening

NOWHERE = -1


@dataclass(frozen=True)
class Slots:
    """Where the pictures of each row of the pack lie in the store: as it is, and what was made of stills.

    `table` (N, 1 + V, 2): row i itself and its V degraded variants, each as it is and with the mouth filled; −1 where a
    mouth is shut anyhow.
    """

    table: NDArray[np.int64]

    @property
    def variants(self) -> int:
        return len(self.table[0]) - 1

    def of(self, row: int, variant: int = 0, filled: bool = False) -> int:
        place = int(self.table[row, variant, int(filled)])
        return place if place != NOWHERE else int(self.table[row, variant, 0])


@dataclass(frozen=True)
class PictureStore:
    """The pack's pictures and what a processor must make of its stills, which is made once."""

    pictures: Tensor  # (M, 3, 256, 256) uint8
    slots: Slots


def build_store(pack: Pack, variants: int, device: torch.device, seed: int = 0, threads: int = 4) -> PictureStore:
    """`variants`: degraded copies of each still, beside itself."""
    stills = [int(row) for row in np.flatnonzero(pack.clip < 0)]
    with ThreadPoolExecutor(threads) as pool:
        made = list(pool.map(lambda row: _still(pack, row, variants, seed), stills))
    table = np.full((len(pack), 1 + variants, 2), NOWHERE, np.int64)
    table[:, 0, 0] = np.arange(len(pack))
    more: list[Picture] = []
    for row, pictures in zip(stills, made, strict=True):
        for place, picture in pictures.items():
            table[row, *place] = len(pack) + len(more)
            more.append(picture)
    store = torch.empty((len(pack) + len(more), *_planes(pack.pictures[0]).shape), dtype=torch.uint8, device=device)
    for i in range(len(pack)):
        store[i] = torch.from_numpy(_planes(pack.pictures[i]))
    for i, picture in enumerate(more, len(pack)):
        store[i] = torch.from_numpy(_planes(picture))
    return PictureStore(store, Slots(table))


def _still(pack: Pack, row: int, variants: int, seed: int) -> dict[tuple[int, int], Picture]:
    """What is made of a still, by (variant, filled)."""
    picture, landmarks = np.ascontiguousarray(pack.pictures[row]), pack.landmarks[row]
    rng = np.random.default_rng([seed, row])
    made = {(i, 0): degrade(picture, rng) for i in range(1, variants + 1)}
    if mouth_opening(head_pose(landmarks, face_model().mean_shape).remove(landmarks)) > OPEN_MOUTH:
        made |= {(i, 1): close_mouth(made.get((i, 0), picture), landmarks) for i in range(variants + 1)}
    return made


def _planes(picture: Picture) -> Picture:
    return np.ascontiguousarray(picture.transpose(2, 0, 1))
