"""Training data made small for a journey: a machine with a GPU and no network takes tens of megabytes at a time.

A folder holds `freight.json`, the frozen networks that losses need, and shards. Each shard is a safetensors file:
pictures as WebP, landmarks as lzma of int16, mattes, and in its header whose face each row is. Shards stand for
themselves: those that came are used together.
"""

from __future__ import annotations

import hashlib
import json
import lzma
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from avatar.core.arrays import Array
from avatar.core.errors import InputError
from avatar.core.whole_file import whole_file
from avatar.learning.dataset.pack import PICTURE_SIZE_PX, Pack

FORMAT = 1
FREIGHT_FILE = "freight.json"
IMAGENET_FILE, IDENTITY_FILE = "efficientnet_lite0.safetensors", "face_identity.safetensors"
POSITIONS = 8192  # of the picture's side: a 32nd of a pixel of 256, with room for what stands out of the crop
MATTE_PX, MATTE_LEVELS = 128, 15
TRAIN, VAL = "train", "val"


@dataclass(frozen=True)
class Row:
    """One picture of the freight."""

    webp: bytes
    landmarks: Array  # (478, 3) in [0, 1]
    blendshapes: Array  # (52,)
    matte: NDArray[np.uint8]  # (128, 128)
    person: str
    clip: str  # of a still, nothing
    frame: int
    split: str

    @property
    def order(self) -> tuple[str, str, str, int]:
        """Rows of one clip side by side."""
        return self.split, self.person, self.clip, self.frame


@dataclass
class Freight:
    """What came: people to train on, people to validate on, and (N, 128, 128) mattes of the former."""

    train: Pack
    val: Pack | None
    mattes: NDArray[np.uint8]
    shards: int
    expected: int
    lines: list[str] = field(default_factory=list)  # for the person at the terminal


def write_shard(path: Path, rows: Sequence[Row]) -> dict[str, Any]:
    """Returns what `freight.json` says of it."""
    rows = sorted(rows, key=lambda row: row.order)
    tensors: dict[str, NDArray[Any]] = {
        "pictures": np.frombuffer(b"".join(row.webp for row in rows), np.uint8),
        "picture_bytes": np.array([len(row.webp) for row in rows], np.int32),
        "landmarks": packed_landmarks(np.stack([row.landmarks for row in rows])),
        "blendshapes": _lzma(np.rint(np.stack([row.blendshapes for row in rows]).clip(0, 1) * 255).astype(np.uint8)),
        "mattes": _lzma(np.rint(np.stack([row.matte for row in rows]) / 255 * MATTE_LEVELS).astype(np.uint8)),
    }
    labels = [[row.split, row.person, row.clip, row.frame] for row in rows]
    with whole_file(path) as part:
        save_file(tensors, part, metadata={"format": str(FORMAT), "labels": json.dumps(labels)})
        content = part.read_bytes()
    return {
        "name": path.name, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest(), "rows": len(rows),
    }  # fmt: skip


def packed_landmarks(landmarks: Array) -> NDArray[np.uint8]:
    """(N, 478, 3) as compressed int16: differences from row to row, coordinate by coordinate, byte by byte."""
    levels = np.rint(landmarks * POSITIONS).clip(-(1 << 15), (1 << 15) - 1).astype("<i2")
    steps = np.diff(levels, axis=0, prepend=np.zeros_like(levels[:1]))
    by_coordinate = np.ascontiguousarray(steps.transpose(2, 1, 0))
    return _lzma(np.ascontiguousarray(by_coordinate.view(np.uint8).reshape(-1, 2).T))


def unpacked_landmarks(stored: NDArray[np.uint8], count: int) -> Array:
    """Inverse of `packed_landmarks`, to a 32nd of a pixel."""
    by_byte = np.frombuffer(lzma.decompress(stored.tobytes()), np.uint8).reshape(2, -1)
    steps = np.ascontiguousarray(by_byte.T).view("<i2").reshape(3, -1, count).transpose(2, 1, 0)
    return np.asarray(np.cumsum(steps, axis=0, dtype=np.int16).astype(np.float32) / POSITIONS, np.float32)


def _lzma(array: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.frombuffer(lzma.compress(array.tobytes(), preset=9), np.uint8)


def open_freight(folder: Path, threads: int = 4, most: int | None = None) -> Freight:
    """Decode all shards that are there; `most`: no more rows of each split than that, for trying things out.

    Raises InputError where nothing came, or where a shard is cut off or damaged.
    """
    about = _read_about(folder)
    here = [shard for shard in about["shards"] if (folder / shard["name"]).is_file()]
    if not here:
        raise InputError(
            f"{folder} holds none of its {len(about['shards'])} shards. Carry them here beside {FREIGHT_FILE}."
        )
    parts = [_read_shard(folder / shard["name"], shard) for shard in here]
    labels = [(*label, part, i) for part, shard in enumerate(parts) for i, label in enumerate(shard["labels"])]
    labels.sort(key=lambda label: label[:4])
    packs = {}
    for split in (TRAIN, VAL):
        own = [label for label in labels if label[0] == split]
        if most is not None:  # half of them frames of clips, or there would be nothing that moves
            moving, still = ([label for label in own if bool(label[2]) == clip][: most // 2] for clip in (True, False))
            own = sorted(moving + still, key=lambda label: label[:4])
        if own:
            packs[split] = _pack(own, parts, threads)
    if TRAIN not in packs:
        raise InputError(f"{folder}: the shards that came hold nobody to learn from. Carry the others too.")
    train, mattes = packs[TRAIN]
    val = packs[VAL][0] if VAL in packs else None
    found = Freight(train, val, mattes, len(here), len(about["shards"]))
    people, others = len(train.identities), len(val.identities) if val else 0
    found.lines.append(
        f"{len(train)} pictures of {people} people to learn from, {len(val) if val else 0} of {others} held out; "
        f"{len(here)} of {len(about['shards'])} shards"
    )
    return found


def _read_about(folder: Path) -> dict[str, Any]:
    path = folder / FREIGHT_FILE
    try:
        about: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if about["format"] != FORMAT:
            raise InputError(f"{path} has format {about['format']}, this version reads {FORMAT}. Pack it again.")
    except FileNotFoundError:
        raise InputError(
            f"{path} is missing. Make it where the data is: `visavis dataset pack DATA --for-gpu {folder}`."
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is damaged ({error}). Carry it again.") from error
    return about


def _read_shard(path: Path, about: dict[str, Any]) -> dict[str, Any]:
    size = path.stat().st_size
    if size != about["bytes"]:
        how = "cut off" if size < about["bytes"] else "too long"
        raise InputError(
            f"{path} is {how}: {size:,} of {about['bytes']:,} bytes. Carry it again, or delete it to do without."
        )
    if hashlib.sha256(path.read_bytes()).hexdigest() != about["sha256"]:
        raise InputError(
            f"{path} is damaged: its sha256 is not what was packed. Carry it again, or delete it to do without."
        )
    try:
        with safe_open(path, "np") as file:
            labels = json.loads(file.metadata()["labels"])
            stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise InputError(f"{path} is no shard of a freight ({error}). Pack it again.") from error
    count = len(labels)
    ends = np.cumsum(stored["picture_bytes"])
    blob = stored["pictures"]
    return {
        "labels": labels,
        "webps": [blob[end - size : end] for end, size in zip(ends, stored["picture_bytes"], strict=True)],
        "landmarks": unpacked_landmarks(stored["landmarks"], count),
        "blendshapes": _unlzma(stored["blendshapes"], (count, -1)).astype(np.float32) / 255,
        "mattes": _unlzma(stored["mattes"], (count, MATTE_PX, MATTE_PX)) * np.uint8(255 // MATTE_LEVELS),
    }


def _unlzma(stored: NDArray[np.uint8], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    return np.frombuffer(lzma.decompress(stored.tobytes()), np.uint8).reshape(shape)


def _pack(
    labels: Sequence[tuple[Any, ...]], parts: Sequence[dict[str, Any]], threads: int
) -> tuple[Pack, NDArray[np.uint8]]:
    people = sorted({label[1] for label in labels})
    number = {name: i for i, name in enumerate(people)}
    clips: dict[tuple[str, str], int] = {}
    for _, person, clip, *_ in labels:
        if clip:
            clips.setdefault((person, clip), len(clips))
    pictures = np.empty((len(labels), PICTURE_SIZE_PX, PICTURE_SIZE_PX, 3), np.uint8)

    def decode(i: int) -> None:
        *_, part, row = labels[i]
        picture = cv2.imdecode(parts[part]["webps"][row], cv2.IMREAD_COLOR)
        if picture is None or picture.shape != pictures.shape[1:]:
            raise InputError(f"Picture {row} of shard {part} cannot be decoded here. Pack the data again.")
        pictures[i] = picture[..., ::-1]

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(decode, range(len(labels))))

    def gathered(name: str) -> Any:
        return np.stack([parts[part][name][row] for *_, part, row in labels])

    pack = Pack(
        pictures,
        gathered("landmarks"),
        gathered("blendshapes"),
        np.array([number[label[1]] for label in labels], np.int32),
        np.array([clips[label[1], label[2]] if label[2] else -1 for label in labels], np.int32),
        people,
    )
    return pack, gathered("mattes")
