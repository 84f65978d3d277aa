"""Training data as WebDataset shards: tar files that stream, on which training can build its pack.

A folder holds `train-000000.tar`, `train-000001.tar`, … and `val-000000.tar`, … of the people held out. One sample of a
tar is one track (frames of one face in one fixed crop), and its members stand side by side:

    000000042.json             whose face, which file, crop, times, what the manifest says
    000000042.landmarks.npy    (n, 478, 3) float32 in [0, 1] of the crop
    000000042.blendshapes.npy  (n, 52) float32
    000000042.0000.jpg         … one picture of 256² per frame

`dataset.json`, written last, names the shards with their sha256. Nothing is pickled.
Source: https://github.com/webdataset/webdataset (naming and grouping of the members).
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import cv2
import numpy as np

from avatar.core.arrays import Array, Picture
from avatar.core.errors import InputError, VisavisError
from avatar.core.strict_json import parse_json
from avatar.core.whole_file import part_of, whole_file
from avatar.face.state import BLENDSHAPE_NAMES, LANDMARK_COUNT
from avatar.learning.dataset.face_tracks import Track
from avatar.learning.dataset.pack import PICTURE_SIZE_PX, Pack, open_pack
from avatar.learning.dataset.split import TRAIN, VAL

FORMAT = 1
DATASET_FILE = "dataset.json"
REPORT_FILE = "report.json"
PACK_NUMBERS_BYTES = 4 * (3 * LANDMARK_COUNT + len(BLENDSHAPE_NAMES) + 2)  # per frame, beside the picture

_TAR_END = b"\0" * 2 * tarfile.BLOCKSIZE
_READ_BYTES = 1 << 22
_UNPACKED_FILE = "shards.json"


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
            raise ValueError("a shard is described by something else than words and numbers")
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
        while block := self._file.read(_READ_BYTES) if size else b"":
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


def write_json(path: Path, content: object) -> None:
    """Write beside, then put in its place: nobody sees half of it."""
    with whole_file(path, durable=True) as part:
        part.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def read_dataset(folder: Path) -> dict[str, Any]:
    """What `dataset.json` says. Raises InputError where the data set is not complete or of another format."""
    path = folder / DATASET_FILE
    try:
        about: dict[str, Any] = parse_json(path.read_text(encoding="utf-8"))
        if about["format"] != FORMAT:
            raise InputError(
                f"{folder} has data set format {about['format']}, this version reads {FORMAT}. Build it again."
            )
        about["shards"] = [Shard(**shard) for shard in about["shards"]]
        for split in (TRAIN, VAL):
            if not all(type(name) is str for name in about["identities"][split]):
                raise ValueError(f"the people of {split} are no names")
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(
            f"{folder} holds no complete data set ({DATASET_FILE} is missing). Build it, or go on building it, with "
            f"`visavis dataset build SRC --out {folder}`."
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is damaged ({error}). Delete it and run the same `visavis dataset build` again: it is made anew."
        ) from error
    return about


def read_report(folder: Path) -> dict[str, Any]:
    """What the build took and left out. Raises InputError."""
    try:
        report: dict[str, Any] = json.loads((folder / REPORT_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{folder / REPORT_FILE} is missing or damaged ({error}). Delete it and run the same "
            "`visavis dataset build` again: it is made anew."
        ) from error
    return report


def check_shards(folder: Path, progress: Callable[[int], None] = lambda _: None) -> list[str]:
    """Read every shard and compare it with its sha256; returns a line per fault. `progress` is told the bytes read.

    Raises InputError where the data set is not complete.
    """
    return [fault for shard in read_dataset(folder)["shards"] if (fault := _fault(folder, shard, progress))]


def _fault(folder: Path, shard: Shard, progress: Callable[[int], None]) -> str | None:
    digest, size = hashlib.sha256(), 0
    try:
        with (folder / shard.name).open("rb") as file:
            while block := file.read(_READ_BYTES):
                digest.update(block)
                size += len(block)
                progress(len(block))
    except OSError as error:
        return f"{shard.name} cannot be read: {error.strerror}"
    if size != shard.bytes:
        return f"{shard.name} is {'cut off' if size < shard.bytes else 'too long'}: {size:,} of {shard.bytes:,} bytes"
    if digest.hexdigest() != shard.sha256:
        return f"{shard.name} is damaged: its sha256 is not what was written"
    return None


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


def open_shards(folder: Path, cache: Path, split: str = TRAIN) -> Pack:
    """The pack of a data set that `visavis dataset build` wrote: "train", or "val", the people held out.

    Unpacks the shards into `cache`/`split` at the first call (200 kB a frame), and opens that from then on, as long as
    the shards are the same. Where several processes train, one does the first call. Raises InputError where the data
    set is incomplete, damaged or without that split, VisavisError where the cache has no room.
    """
    about = read_dataset(folder)
    shards = [shard for shard in about["shards"] if shard.split == split]
    if not shards:
        raise InputError(
            f"{folder} has no split '{split}'. Build it with --hold-out, which makes the validation people."
        )
    target = cache / split
    made_of = {"format": FORMAT, "sha256": [shard.sha256 for shard in shards]}
    if _read_json(target / _UNPACKED_FILE) != made_of:
        try:
            _unpack(folder, shards, about["identities"][split], target)
            write_json(target / _UNPACKED_FILE, made_of)
        except OSError as error:
            raise VisavisError(
                f"{target} cannot be written ({error.strerror}). See to its permissions and the free space."
            ) from error
    return open_pack(target)


def has_split(folder: Path, split: str) -> bool:
    """Whether a complete data set has people in "train" or "val". Raises InputError where it is not complete."""
    return bool(read_dataset(folder)["identities"][split])


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _unpack(folder: Path, shards: list[Shard], identities: list[str], target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    (target / _UNPACKED_FILE).unlink(missing_ok=True)
    part_of(target / "pictures.raw").unlink(missing_ok=True)
    needed = sum(shard.frames for shard in shards) * (3 * PICTURE_SIZE_PX**2 + PACK_NUMBERS_BYTES)
    free = shutil.disk_usage(target).free
    if needed > free:
        raise VisavisError(
            f"{target} needs {needed / 1e9:.1f} GB for the unpacked pictures and has {free / 1e9:.1f} GB free. "
            "Make room, or build a smaller data set (--fps)."
        )
    for shard in shards:
        if fault := _fault(folder, shard, lambda _: None):
            raise InputError(f"{folder}: {fault}. See `visavis dataset check {folder}`.")
    with pack_written_to(target, identities) as pack:
        for shard in shards:
            for said, track in read_tracks(folder / shard.name):
                pictures = (_decoded(jpeg, folder / shard.name) for jpeg in track.jpegs)
                pack.add(said["identity"], track.is_clip, pictures, track.landmarks, track.blendshapes)


def _decoded(jpeg: bytes, shard: Path) -> Picture:
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    if picture is None or picture.shape != (PICTURE_SIZE_PX, PICTURE_SIZE_PX, 3):
        raise InputError(f"{shard}: a picture in it is damaged. Build it again.")
    return np.asarray(picture[..., ::-1], np.uint8)
