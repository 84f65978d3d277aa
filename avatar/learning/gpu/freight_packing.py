"""From the shards of `visavis dataset build` to a freight for a machine with a GPU."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import save_file

from avatar.core.arrays import Array
from avatar.core.errors import UsageError, VisavisError
from avatar.core.model_files import model_file
from avatar.face.face_descriptor import NETWORK
from avatar.learning.dataset.built_dataset import read_dataset, write_json
from avatar.learning.dataset.shard import read_tracks
from avatar.learning.efficientnet_lite import imagenet_weights
from avatar.learning.face_identity_net import stored_weights
from avatar.learning.gpu.freight import (
    FORMAT,
    FREIGHT_FILE,
    IDENTITY_FILE,
    IMAGENET_FILE,
    MATTE_PX,
    TRAIN,
    VAL,
    Row,
    write_shard,
)
from avatar.learning.gpu.freight_choice import by_difference, ranked
from avatar.tracking.person_matte import person_mattes

MOST_MB, SHARD_MB = 60.0, 28.0  # of one call, of one shard
VAL_SHARE = 0.06  # of the place that the people held out may take
WEBP_QUALITY = 88
NUMBERS_BYTES = 2200  # of a row's landmarks, blendshapes and matte, about; what is written is measured
LEAST_WEBP_BYTES = 4500  # of a picture, on the average of any data set
MATTES_AT_ONCE = 64  # a process each, of which a slow machine must not wait too long
MB = 1e6


@dataclass(frozen=True)
class _Sample:
    """A track of the shards, without its pictures."""

    shard: Path
    key: int  # its number among the shard's tracks
    split: str
    person: str
    clip: str  # of a still, nothing
    landmarks: Array
    blendshapes: Array


def pack_freight(
    data: Path,
    out: Path,
    total_mb: float = MOST_MB,
    shard_mb: float = SHARD_MB,
    threads: int = 2,
    progress: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> dict[str, Any]:
    """Write the freight of the built data set `data` into `out`. Returns what `freight.json` says.

    Raises UsageError where `out` holds something else or the stills alone do not fit, InputError for damaged shards.
    """
    about = read_dataset(data)
    if out.exists() and any(path.name != FREIGHT_FILE and path.suffix != ".safetensors" for path in out.iterdir()):
        raise UsageError(f"{out} holds other things than a freight. Give a new or empty folder.")
    out.mkdir(parents=True, exist_ok=True)
    for old in out.iterdir():
        old.unlink()
    _write_networks(out)
    room = total_mb * MB - sum(path.stat().st_size for path in out.iterdir())
    samples: list[_Sample] = []
    for i, shard in enumerate(about["shards"]):
        progress("reading", i, len(about["shards"]))
        samples += _samples(data / shard.name, shard.split)
    wanted = _wanted(samples)
    chosen, sizes = _filled(samples, wanted, room, threads, progress)
    parts = _cut(chosen, sizes, shard_mb * MB)
    told = []
    for number, part in enumerate(parts):
        progress("mattes", number, len(parts))
        told.append(write_shard(out / f"shard-{number:02d}.safetensors", _with_mattes(part, threads)))
    counts = {
        split: {
            "people": len({row.person for row in chosen if row.split == split}),
            "stills": sum(row.split == split and not row.clip for row in chosen),
            "clips": len({(row.person, row.clip) for row in chosen if row.split == split and row.clip}),
            "clip_frames": sum(row.split == split and bool(row.clip) for row in chosen),
        }
        for split in (TRAIN, VAL)
    }
    said = {"format": FORMAT, "counts": counts, "left_out_frames": len(wanted) - len(chosen), "shards": told}
    write_json(out / FREIGHT_FILE, said)
    said["bytes"] = sum(path.stat().st_size for path in out.iterdir())
    if max(shard["bytes"] for shard in told) > shard_mb * MB * 1.02:
        raise VisavisError(f"A shard of {out} came out larger than {shard_mb:g} MB. Pack again with a smaller --mb.")
    return said


def _write_networks(out: Path) -> None:
    halves = {name: value.half() if value.is_floating_point() else value for name, value in imagenet_weights().items()}
    save_file({name: value.contiguous() for name, value in halves.items()}, out / IMAGENET_FILE)
    numbers = {name: np.ascontiguousarray(value) for name, value in stored_weights(model_file(NETWORK)).items()}
    save_arrays(numbers, out / IDENTITY_FILE)


def _samples(path: Path, split: str) -> Iterator[_Sample]:
    for key, (said, track) in enumerate(read_tracks(path)):
        clip = f"{said['file']} {said['times_s'][0]:.2f}" if track.is_clip else ""
        yield _Sample(path, key, split, said["identity"], clip, track.landmarks, track.blendshapes)


def _wanted(samples: list[_Sample]) -> list[tuple[int, int]]:
    """(sample, frame), the most useful first: who is held out, all stills, then frames of everybody's clips in turn."""
    order: list[tuple[int, int]] = []
    for split in (VAL, TRAIN):
        own = [i for i, sample in enumerate(samples) if sample.split == split]
        order += [(i, 0) for i in own if not samples[i].clip]
        clips = [i for i in own if samples[i].clip]
        turns = ranked([(samples[i].person, by_difference(samples[i].landmarks)) for i in clips])
        order += [(clips[number], frame) for number, frame in turns]
    return order


def _filled(
    samples: list[_Sample],
    wanted: list[tuple[int, int]],
    room: float,
    threads: int,
    progress: Callable[[str, int, int], None],
) -> tuple[list[Row], list[int]]:
    """As many rows as fit, most useful first, without mattes, and the bytes of each."""
    # which of the wanted may fit at all: reading and coding more would be for nothing
    candidates = wanted[: int(room / (LEAST_WEBP_BYTES + NUMBERS_BYTES))]
    webps: dict[tuple[int, int], bytes] = {}
    by_shard: dict[Path, dict[int, list[tuple[int, int]]]] = {}
    for sample, frame in candidates:
        shard = by_shard.setdefault(samples[sample].shard, {})
        shard.setdefault(samples[sample].key, []).append((sample, frame))
    with ThreadPoolExecutor(threads) as pool:
        for path, keys in by_shard.items():
            jpegs = {
                (sample, frame): track.jpegs[frame]
                for key, (_, track) in enumerate(read_tracks(path))
                for sample, frame in keys.get(key, ())
            }
            for place, webp in zip(jpegs, pool.map(_webp, jpegs.values()), strict=True):
                webps[place] = webp
                if len(webps) % 50 == 0:
                    progress("coding", len(webps), len(candidates))
    rows, sizes, used, used_by_val = [], [], 0, 0
    for sample, frame in candidates:
        one = samples[sample]
        size = len(webps[sample, frame]) + NUMBERS_BYTES
        if used + size > room or (one.split == VAL and used_by_val + size > VAL_SHARE * room):
            continue
        used += size
        used_by_val += size if one.split == VAL else 0
        webp, matte = webps[sample, frame], np.empty(0, np.uint8)  # mattes come when all is chosen
        points, shapes = one.landmarks[frame], one.blendshapes[frame]
        rows.append(Row(webp, points, shapes, matte, one.person, one.clip, frame, one.split))
        sizes.append(size)
    if not rows:
        raise UsageError("Not one picture fits into so few megabytes. Give a larger --mb.")
    return rows, sizes


def _cut(rows: list[Row], sizes: list[int], most: float) -> list[list[Row]]:
    """As few shards as will do, of about one size, each of which can be trained on alone: a clip, or a person's stills,
    is in one shard, and the most useful ones are spread over all. Who is held out is in the first."""
    count = max(1, int(np.ceil(sum(sizes) / (most * 0.97))))
    parts: list[list[Row]] = [[] for _ in range(count)]
    filled = [0] * count
    groups: dict[tuple[str, str, str], tuple[list[Row], int]] = {}
    for row, size in zip(rows, sizes, strict=True):
        own, before = groups.get((row.split, row.person, row.clip), ([], 0))
        groups[row.split, row.person, row.clip] = [*own, row], before + size
    for (split, _, _), (own, size) in groups.items():
        lightest = 0 if split == VAL else filled.index(min(filled))
        parts[lightest] += own
        filled[lightest] += size
    return [part for part in parts if part]


def _with_mattes(rows: list[Row], threads: int) -> list[Row]:
    starts = range(0, len(rows), MATTES_AT_ONCE)
    with ThreadPoolExecutor(threads) as pool:  # each waits for a process of its own
        return [row for part in pool.map(_matted, (rows[i : i + MATTES_AT_ONCE] for i in starts)) for row in part]


def _matted(rows: list[Row]) -> list[Row]:
    pictures = [np.asarray(Image.open(io.BytesIO(row.webp)).convert("RGB")) for row in rows]
    mattes = person_mattes(np.stack(pictures))
    small = (cv2.resize(matte, (MATTE_PX, MATTE_PX), interpolation=cv2.INTER_AREA) for matte in mattes)
    return [replace(row, matte=np.asarray(matte, np.uint8)) for row, matte in zip(rows, small, strict=True)]


def _webp(jpeg: bytes) -> bytes:
    store = io.BytesIO()
    Image.open(io.BytesIO(jpeg)).convert("RGB").save(store, "WEBP", quality=WEBP_QUALITY, method=4)
    return store.getvalue()
