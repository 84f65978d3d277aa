"""From a built data set to a pack, unpacked once."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from avatar.core.arrays import Picture
from avatar.core.errors import InputError, VisavisError
from avatar.core.whole_file import part_of
from avatar.face.state import BLENDSHAPE_NAMES, LANDMARK_COUNT
from avatar.learning.dataset.built_dataset import FORMAT, fault_of, read_dataset, write_json
from avatar.learning.dataset.pack import PICTURE_SIZE_PX, Pack, open_pack, pack_written_to
from avatar.learning.dataset.shard import Shard, read_tracks
from avatar.learning.dataset.split import TRAIN

PACK_NUMBERS_BYTES = 4 * (3 * LANDMARK_COUNT + len(BLENDSHAPE_NAMES) + 2)  # per frame, beside the picture
_UNPACKED_FILE = "shards.json"


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
        if fault := fault_of(folder, shard, lambda _: None):
            raise InputError(f"{folder}: {fault}. See `visavis dataset check {folder}`.")
    with pack_written_to(target, identities) as pack:
        for path in (folder / shard.name for shard in shards):
            for said, track in read_tracks(path):
                pictures = (_decoded(jpeg, path) for jpeg in track.jpegs)
                pack.add(said["identity"], track.is_clip, pictures, track.landmarks, track.blendshapes)


def _decoded(jpeg: bytes, shard: Path) -> Picture:
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    if picture is None or picture.shape != (PICTURE_SIZE_PX, PICTURE_SIZE_PX, 3):
        raise InputError(f"{shard}: a picture in it is damaged. Build it again.")
    return np.asarray(picture[..., ::-1], np.uint8)
