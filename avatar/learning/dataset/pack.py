"""Training data made ready once: pictures cropped and tracked, so that a training step only reads arrays.

A pack holds `pictures.raw` (N, 256, 256, 3) uint8, read through a memory map, `faces.npz` with one row per picture, and
`identities.json` with the people's names.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from avatar.core.arrays import Array, Picture
from avatar.core.errors import InputError
from avatar.core.whole_file import whole_file

PICTURE_SIZE_PX = 256


@dataclass(frozen=True)
class Pack:
    """Tracked training pictures. Rows of one clip are adjacent and in order; a still has `clip` −1."""

    pictures: NDArray[np.uint8]  # (N, 256, 256, 3), memory-mapped
    landmarks: Array  # (N, 478, 3) in [0, 1] of the crop
    blendshapes: Array  # (N, 52)
    identity: NDArray[np.int32]  # (N,) index into identities
    clip: NDArray[np.int32]  # (N,) −1 for a still
    identities: list[str]

    def __len__(self) -> int:
        return len(self.identity)


def open_pack(folder: Path) -> Pack:
    """Raises InputError where it is not complete."""
    try:
        faces = np.load(folder / "faces.npz", allow_pickle=False)
        identities = json.loads((folder / "identities.json").read_text())
        count = len(faces["identity"])
        shape = (count, PICTURE_SIZE_PX, PICTURE_SIZE_PX, 3)
        pictures = np.memmap(folder / "pictures.raw", np.uint8, "r", shape=shape)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{folder} holds no complete training pack ({error}). Delete it and train again.") from error
    return Pack(pictures, faces["landmarks"], faces["blendshapes"], faces["identity"], faces["clip"], identities)
