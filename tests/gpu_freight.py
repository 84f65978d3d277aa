"""A freight of a few pictures, for tests of what is done with it."""

from __future__ import annotations

import io
from dataclasses import asdict
from pathlib import Path

import numpy as np
from PIL import Image

from avatar.learning.dataset.built_dataset import DATASET_FILE, FORMAT, write_json
from avatar.learning.dataset.outcome import Track
from avatar.learning.dataset.shard import Shard, ShardWriter, shard_name
from avatar.learning.dataset.split import TRAIN, VAL
from avatar.learning.gpu.freight_packing import pack_freight
from tests.test_trainer import make_pack

FRAMES = 12  # of the one clip to learn from


def small_freight(folder: Path) -> tuple[Path, Path]:
    """Built shards of the astronaut, still and moved, and the freight of them in two shards."""
    shards, out = folder / "shards", folder / "freight"
    shards.mkdir()
    tracks = {
        TRAIN: [("still", "still.jpg", [0]), ("moving", "clip.mp4", list(range(1, 13))), ("still", "other.jpg", [5])],
        VAL: [("held out", "val.mp4", [2, 4, 6, 8])],
    }
    told = []
    for split, entries in tracks.items():
        writer = ShardWriter(shards / shard_name(split, 0))
        for number, (identity, file, rows) in enumerate(entries):
            writer.add(_track(rows), number, {"identity": identity, "file": file})
        size, sha256 = writer.close()
        frames = sum(len(rows) for _, _, rows in entries)
        told.append(Shard(writer.path.name, split, len(entries), frames, size, sha256))
    people = {split: sorted({entry[0] for entry in entries}) for split, entries in tracks.items()}
    write_json(shards / DATASET_FILE, {"format": FORMAT, "shards": [asdict(s) for s in told], "identities": people})
    pack_freight(shards, out, total_mb=10.0, shard_mb=0.17)
    return shards, out


def _track(rows: list[int]) -> Track:
    pack = make_pack()
    jpegs = []
    for row in rows:
        store = io.BytesIO()
        Image.fromarray(np.asarray(pack.pictures[row])).save(store, "JPEG", quality=95)
        jpegs.append(store.getvalue())
    times = [0.08 * i for i in range(len(rows))]
    return Track(jpegs, pack.landmarks[rows], pack.blendshapes[rows], times, len(rows) > 1, {})
