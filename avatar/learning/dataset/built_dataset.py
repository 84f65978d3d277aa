"""A built data set: a folder of shards, and `dataset.json`, which names them with their sha256 and is written last.

The folder holds `train-000000.tar`, `train-000001.tar`, … and `val-000000.tar`, … of the people held out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from avatar.core.errors import InputError
from avatar.core.strict_json import parse_json
from avatar.core.whole_file import whole_file
from avatar.learning.dataset.shard import READ_BYTES, Shard
from avatar.learning.dataset.split import TRAIN, VAL

FORMAT = 1
DATASET_FILE = "dataset.json"
REPORT_FILE = "report.json"


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
    return [fault for shard in read_dataset(folder)["shards"] if (fault := fault_of(folder, shard, progress))]


def fault_of(folder: Path, shard: Shard, progress: Callable[[int], None]) -> str | None:
    digest, size = hashlib.sha256(), 0
    try:
        with (folder / shard.name).open("rb") as file:
            while block := file.read(READ_BYTES):
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


def has_split(folder: Path, split: str) -> bool:
    """Whether a complete data set has people in "train" or "val". Raises InputError where it is not complete."""
    return bool(read_dataset(folder)["identities"][split])
