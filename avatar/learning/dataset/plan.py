"""What a build is going to do: every file in its fixed order, long videos in parts."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from avatar.core.errors import InputError
from avatar.learning.dataset.source_layouts import SourceFile, Sources, find_sources
from avatar.learning.dataset.split import TRAIN
from avatar.sources.video_file import VideoFile

LONG_VIDEO_BYTES = 8_000_000  # from here on a video's length is looked up, and long ones are taken in parts
PART_S = 60.0


@dataclass(frozen=True, slots=True)
class Item:
    """A file, or a part of a long video."""

    file: SourceFile
    split: str
    start_s: float = 0.0
    end_s: float | None = None
    refusal: str | None = None  # where that is known without looking into it

    @property
    def name(self) -> str:
        if self.end_s is None and not self.start_s:
            return self.file.name
        return (
            f"{self.file.name} ({self.start_s:.0f} s to {'the end' if self.end_s is None else f'{self.end_s:.0f} s'})"
        )


@dataclass(frozen=True)
class Plan:
    sources: Sources
    items: list[Item]
    fingerprint: str

    def people(self, split: str) -> list[str]:
        return sorted({item.file.identity for item in self.items if item.split == split and item.refusal is None})


def make_plan(source: Path, hold_out: Sequence[str]) -> Plan:
    """Raises InputError where there is nothing to use, UsageError for a hold-out that cannot be meant."""
    sources = find_sources(source)
    by_split = sources.by_split(hold_out)
    digest = hashlib.sha256()
    items = [Item(file, TRAIN, refusal=reason) for file, reason in sources.refused]
    digest.update(json.dumps([[file.name, reason] for file, reason in sources.refused]).encode())
    for split, files in by_split.items():  # a shard is of one split
        for file in files:
            size = size_bytes(source / file.name)
            items += _parts(source, file, split, size)
            digest.update(json.dumps([file.name, file.identity, file.columns, size], sort_keys=True).encode())
    return Plan(sources, items, digest.hexdigest())


def size_bytes(path: Path) -> int:
    """Of a file; −1 where there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return -1  # reported when its turn comes


def _parts(source: Path, file: SourceFile, split: str, size: int) -> list[Item]:
    if not file.is_video or size < LONG_VIDEO_BYTES:
        return [Item(file, split)]
    try:
        length_s = VideoFile(source / file.name).duration_s
    except (InputError, OSError):
        return [Item(file, split)]
    count = max(1, math.ceil(length_s / PART_S - 0.5))
    edges = [i * PART_S for i in range(count)]
    return [Item(file, split, start, end) for start, end in zip(edges, [*edges[1:], None], strict=True)]
