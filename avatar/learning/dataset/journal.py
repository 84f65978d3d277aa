"""`files.jsonl`: what became of each file, a line each, and of each finished shard; and going on from there."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from avatar.core.whole_file import part_of
from avatar.learning.dataset.plan import Plan, size_bytes
from avatar.learning.dataset.shard import Shard, shard_name

JOURNAL_FILE = "files.jsonl"
SETTLE_S = 2.0  # at most so much work is lost


@dataclass
class State:
    """How far a build is, as its journal tells it."""

    shards: list[Shard] = field(default_factory=list)  # finished
    done: int = 0  # items of the plan
    frames: int = 0
    refused: int = 0
    open_tracks: int = 0  # of the shard that is being written
    open_frames: int = 0
    open_bytes: int = 0

    def count_file(self, line: dict[str, Any]) -> None:
        self.done += 1
        self.frames += line["frames"]
        self.refused += line["refusal"] is not None
        self.open_tracks += line["tracks"]
        self.open_frames += line["frames"]
        self.open_bytes = line["shard_bytes"]

    def count_shard(self, shard: Shard) -> None:
        self.shards.append(shard)
        self.open_tracks = self.open_frames = self.open_bytes = 0

    def copy(self) -> State:
        return replace(self, shards=list(self.shards))

    def shard_path(self, out: Path, split: str) -> Path:
        """Of the shard that is being written, or would be next."""
        return out / shard_name(split, sum(shard.split == split for shard in self.shards))


class Journal:
    """The file, and the lines that wait until what they speak of is on the disk."""

    def __init__(self, out: Path) -> None:
        self.path = out / JOURNAL_FILE
        self._pending: list[str] = []
        self._settled_s = time.monotonic()

    def files(self) -> Iterator[dict[str, Any]]:
        """What became of each file."""
        return (line for line, _ in self._lines() if "sha256" not in line)

    def replay(self, plan: Plan) -> tuple[State, int]:
        """The state that the lines tell, as far as the shards on the disk bear it out, and how many bytes tell it."""
        out = self.path.parent
        state, told_bytes = State(), 0
        borne_out = state.copy(), told_bytes  # up to the last finished shard
        for line, told_bytes in self._lines():
            if "sha256" in line:
                shard = Shard(**line)
                if size_bytes(out / shard.name) != shard.bytes:
                    return borne_out
                state.count_shard(shard)
                borne_out = state.copy(), told_bytes
            else:
                state.count_file(line)
        if state.open_bytes:
            path = state.shard_path(out, plan.items[state.done - 1].split)
            if max(size_bytes(path), size_bytes(part_of(path))) < state.open_bytes:
                return borne_out
        return state, told_bytes

    def cut_back(self, size_bytes: int) -> None:
        """Take away what comes after."""
        self.path.touch()
        os.truncate(self.path, size_bytes)

    def note(self, line: dict[str, Any]) -> None:
        self._pending.append(json.dumps(line, sort_keys=True) + "\n")

    @property
    def is_due(self) -> bool:
        """Whether it is time to settle."""
        return time.monotonic() - self._settled_s > SETTLE_S

    def settle(self) -> None:
        """Write down the lines that wait."""
        with self.path.open("ab") as file:
            file.write("".join(self._pending).encode())
            file.flush()
            os.fsync(file.fileno())
        self._pending.clear()
        self._settled_s = time.monotonic()

    def _lines(self) -> Iterator[tuple[dict[str, Any], int]]:
        """The whole lines, each with where it ends."""
        if not self.path.is_file():
            return
        end = 0
        with self.path.open("rb") as file:
            for text in file:
                try:
                    line = json.loads(text)
                except ValueError:
                    return
                if not text.endswith(b"\n"):
                    return
                end += len(text)
                yield line, end
