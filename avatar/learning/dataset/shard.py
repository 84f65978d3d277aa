"""A WebDataset shard: a tar that streams. The same tracks give the same bytes.

One sample of a tar is one track (frames of one face in one fixed crop), and its members stand side by side:

    000000042.json             whose face, which file, crop, times, what the manifest says
    000000042.landmarks.npy    (n, 478, 3) float32 in [0, 1] of the crop
    000000042.blendshapes.npy  (n, 52) float32
    000000042.0000.jpg         … one picture of 256² per frame

Nothing is pickled.
Source: https://github.com/webdataset/webdataset (naming and grouping of the members).
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from avatar.core.arrays import Array
from avatar.core.errors import InputError
from avatar.core.strict_json import parse_json
from avatar.core.whole_file import part_of
from avatar.face.state import BLENDSHAPE_NAMES, LANDMARK_COUNT
from avatar.learning.dataset.outcome import Track
from avatar.learning.dataset.split import TRAIN, VAL

READ_BYTES = 1 << 22  # at a time
_TAR_END = b"\0" * 2 * tarfile.BLOCKSIZE


@dataclass(frozen=True, slots=True)
class Shard:
    """What `dataset.json` says of one tar."""

    name: str
    split: str
    tracks: int
    frames: int
    bytes: int
    sha256: str

    def __post_init__(self) -> None:
        """Raises ValueError for what no shard of ours is: a name that leads elsewhere, a size that is no number."""
        words, numbers = (self.name, self.split, self.sha256), (self.tracks, self.frames, self.bytes)
        if not (all(type(word) is str for word in words) and all(type(n) is int and n >= 0 for n in numbers)):
            raise ValueError("a shard is described by something other than words and numbers")
        if self.split not in (TRAIN, VAL) or not re.fullmatch(rf"{self.split}-[0-9]{{6,}}\.tar", self.name):
            raise ValueError(f"{self.name!r} is no name of a shard")


def shard_name(split: str, number: int) -> str:
    return f"{split}-{number:06d}.tar"


class ShardWriter:
    """One tar, named `.part` until `close`. The same tracks give the same bytes.

    `size`: how much of an unfinished tar to keep and go on after.
    """

    def __init__(self, path: Path, size: int = 0) -> None:
        self.path = path
        self._part = part_of(path)
        if size and not self._part.is_file():
            path.replace(self._part)  # it was finished, but that was not written down
        self._file: IO[bytes] = self._part.open("r+b" if size else "wb")
        self._file.truncate(size)
        self._sha256 = hashlib.sha256()
        while block := self._file.read(READ_BYTES) if size else b"":
            self._sha256.update(block)
        self.bytes = size

    def add(self, track: Track, number: int, about: dict[str, Any]) -> None:
        """Append a track as sample `number`. `about`: what its JSON says beside what the track knows."""
        key = f"{number:09d}"
        said = about | track.about | {"times_s": track.times_s, "is_clip": track.is_clip}
        self._member(f"{key}.json", json.dumps(said, sort_keys=True).encode())
        self._member(f"{key}.landmarks.npy", _npy(track.landmarks))
        self._member(f"{key}.blendshapes.npy", _npy(track.blendshapes))
        for i, jpeg in enumerate(track.jpegs):
            self._member(f"{key}.{i:04d}.jpg", jpeg)

    def settle(self) -> None:
        """Return when all that was added is on the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> tuple[int, str]:
        """Put the shard in its place; returns its size and sha256."""
        self._write(_TAR_END)
        self.settle()
        self._file.close()
        self._part.replace(self.path)
        return self.bytes, self._sha256.hexdigest()

    def leave(self) -> None:
        """Close the unfinished file; what is in it stays."""
        self._file.close()

    def _member(self, name: str, content: bytes) -> None:
        info = tarfile.TarInfo(name)  # time 0, no owner: nothing that differs from run to run
        info.size = len(content)
        self._write(info.tobuf(tarfile.USTAR_FORMAT) + content + b"\0" * (-len(content) % tarfile.BLOCKSIZE))

    def _write(self, content: bytes) -> None:
        self._file.write(content)
        self._sha256.update(content)
        self.bytes += len(content)


def _npy(array: Array) -> bytes:
    store = io.BytesIO()
    np.save(store, np.ascontiguousarray(array, np.float32), allow_pickle=False)
    return store.getvalue()


def read_tracks(path: Path) -> Iterator[tuple[dict[str, Any], Track]]:
    """The samples of a shard: what its JSON says, and the track. Raises InputError for a damaged one."""
    try:
        with tarfile.open(path, "r:") as tar:
            sample: dict[str, bytes] = {}
            before = ""
            for member in tar:
                key, _, kind = member.name.partition(".")
                if sample and key != before:
                    yield _to_track(sample)
                    sample = {}
                content = tar.extractfile(member)
                if content is None:
                    raise ValueError(f"{member.name} is no plain file")
                sample[kind], before = content.read(), key
            if sample:
                yield _to_track(sample)
    except (tarfile.TarError, OSError, EOFError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is damaged ({error}). See `visavis dataset check {path.parent}`.") from error


def _to_track(sample: dict[str, bytes]) -> tuple[dict[str, Any], Track]:
    said = parse_json(sample["json"])
    landmarks, blendshapes = (
        np.asarray(np.load(io.BytesIO(sample[f"{kind}.npy"]), allow_pickle=False), np.float32)
        for kind in ("landmarks", "blendshapes")
    )
    count, times_s = len(landmarks), said["times_s"]
    if landmarks.shape != (count, LANDMARK_COUNT, 3) or blendshapes.shape != (count, len(BLENDSHAPE_NAMES)):
        raise ValueError("its landmarks or blendshapes have another shape")
    if not (count and np.isfinite(landmarks).all() and np.isfinite(blendshapes).all() and len(times_s) == count):
        raise ValueError("its landmarks, blendshapes or times are not all there")
    jpegs = [sample[f"{i:04d}.jpg"] for i in range(count)]
    return said, Track(jpegs, landmarks, blendshapes, times_s, said["is_clip"], {})
