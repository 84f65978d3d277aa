"""Training data made ready once: pictures cropped and tracked, so that a training step only reads arrays.

A pack holds `pictures.raw` (N, 256, 256, 3) uint8, read through a memory map, `faces.npz` with one row per picture, and
`identities.json` with the people's names.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
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


def save_pack(pack: Pack, folder: Path) -> None:
    """Write a pack into a folder, for `open_pack`."""
    with pack_written_to(folder, pack.identities) as writer:
        bounds = np.flatnonzero((np.diff(pack.clip) != 0) | (pack.clip[1:] < 0)) + 1
        for rows in np.split(np.arange(len(pack)), bounds):
            name, is_clip = pack.identities[pack.identity[rows[0]]], bool(pack.clip[rows[0]] >= 0)
            writer.add(name, is_clip, pack.pictures[rows], pack.landmarks[rows], pack.blendshapes[rows])


class PackWriter:
    """Takes the clips and stills of a pack one after the other; their pictures are on the disk at once."""

    def __init__(self, identities: list[str], pictures: IO[bytes]) -> None:
        self._number = {name: i for i, name in enumerate(identities)}
        self._pictures = pictures
        self._landmarks: list[Array] = []
        self._blendshapes: list[Array] = []
        self._identity: list[int] = []
        self._clip: list[int] = []
        self._clips = 0

    def add(
        self, identity: str, is_clip: bool, pictures: Iterable[Picture], landmarks: Array, blendshapes: Array
    ) -> None:
        """(N, 256, 256, 3), (N, 478, 3) and (N, 52) of a clip; of a still, N is 1."""
        for picture in pictures:
            self._pictures.write(np.ascontiguousarray(picture).tobytes())
        self._landmarks.append(landmarks)
        self._blendshapes.append(blendshapes)
        self._identity += [self._number[identity]] * len(landmarks)
        self._clip += [self._clips if is_clip else -1] * len(landmarks)
        self._clips += is_clip

    def __len__(self) -> int:
        return len(self._identity)

    def write_faces(self, path: Path) -> None:
        np.savez(
            path,
            landmarks=np.concatenate(self._landmarks),
            blendshapes=np.concatenate(self._blendshapes),
            identity=np.array(self._identity, np.int32),
            clip=np.array(self._clip, np.int32),
        )


@contextmanager
def pack_written_to(folder: Path, identities: list[str]) -> Iterator[PackWriter]:
    """`pictures.raw`, which `open_pack` wants, is there once the block has ended without an error."""
    with whole_file(folder / "pictures.raw") as part:
        with part.open("wb") as store:
            writer = PackWriter(identities, store)
            yield writer
        writer.write_faces(folder / "faces.npz")
        (folder / "identities.json").write_text(json.dumps(identities), encoding="utf-8")
