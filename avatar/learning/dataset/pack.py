"""Training data made ready once: pictures cropped and tracked, so that a training step only reads arrays.

A pack holds `pictures.raw` (N, 256, 256, 3) uint8, read through a memory map, `faces.npz` with one row per picture, and
`identities.json` with the people's names.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from avatar.core.arrays import Array, Picture
from avatar.core.closing import Closing
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


class PackWriter(Closing):
    """Writes a pack into a folder, which holds none that opens before `finish`. Without that, pictures are given up."""

    def __init__(self, folder: Path, identities: Sequence[str]) -> None:
        self._folder, self._identities = folder, list(identities)
        self._number = {name: i for i, name in enumerate(identities)}
        self._landmarks: list[Array] = []
        self._blendshapes: list[Array] = []
        self._identity: list[int] = []
        self._clip: list[int] = []
        self._clips = 0
        self._part = folder / "pictures.raw.part"
        self._store = self._part.open("wb")

    def __len__(self) -> int:
        return len(self._identity)

    def add(
        self, pictures: Iterable[Picture], landmarks: Array, blendshapes: Array, identity: str, is_clip: bool
    ) -> None:
        """N pictures of a clip, or of a still, with landmarks (N, 478, 3) and blendshapes (N, 52)."""
        for picture in pictures:
            self._store.write(picture.tobytes())
        self._landmarks.append(landmarks)
        self._blendshapes.append(blendshapes)
        self._identity += [self._number[identity]] * len(landmarks)
        self._clip += [self._clips if is_clip else -1] * len(landmarks)
        self._clips += is_clip

    def finish(self) -> None:
        """Put the pack in its place."""
        self._store.close()
        np.savez(
            self._folder / "faces.npz",
            landmarks=np.concatenate(self._landmarks),
            blendshapes=np.concatenate(self._blendshapes),
            identity=np.array(self._identity, np.int32),
            clip=np.array(self._clip, np.int32),
        )
        (self._folder / "identities.json").write_text(json.dumps(self._identities), encoding="utf-8")
        self._part.replace(self._folder / "pictures.raw")

    def close(self) -> None:
        self._store.close()
        self._part.unlink(missing_ok=True)
