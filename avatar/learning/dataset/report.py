"""What a build took and what it left out, and why, from the lines that it wrote of each file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from avatar.learning.dataset.face_figures import EDGES
from avatar.learning.dataset.outcome import DAMAGED
from avatar.learning.dataset.shard import Shard
from avatar.learning.dataset.source_layouts import Sources
from avatar.learning.dataset.split import TRAIN, VAL

EXAMPLES = 5


def build_report(files: Iterable[dict[str, Any]], sources: Sources, shards: list[Shard]) -> dict[str, Any]:
    """Counts by split, and by reason what was dropped with a few examples. `files`: see `_Build._line`."""
    splits = {split: _split(split, shards) for split in (TRAIN, VAL)}
    people: dict[str, set[str]] = {TRAIN: set(), VAL: set()}
    wanted: set[str] = set()
    totals: Counter[str] = Counter()
    dropped_files: dict[str, dict[str, Any]] = {}
    dropped_frames: dict[str, dict[str, Any]] = {}
    in_part: dict[str, dict[str, Any]] = {}
    licences: dict[str, dict[str, int]] = {}
    sums: dict[str, list[int]] = {name: [0] * (len(edges) - 1) for name, edges in EDGES.items()}
    for line in files:
        name, detail = line["file"], line.get("detail", "")
        totals["files"] += "part_of" not in line
        totals["seen"] += line["seen"]
        totals["cuts"] += line.get("cuts", 0)
        wanted.add(line["identity"])
        if line["refusal"] is not None:
            _tell(dropped_files, line["refusal"], name, 0, detail)
        if "damage" in line:
            _tell(in_part, DAMAGED, name, 0, line["damage"])
        for reason, count in line["dropped"].items():
            _tell(dropped_frames, reason, name, count, "")
        if not line["frames"]:
            continue
        people[line["split"]].add(line["identity"])
        split = splits[line["split"]]
        split["clips"] += line["clips"]
        split["stills"] += line["tracks"] - line["clips"]
        split["frames"] += line["frames"]
        split["hours"] += line["seconds"] / 3600
        counts = licences.setdefault(line.get("licence", "not stated"), {"tracks": 0, "frames": 0})
        counts["tracks"] += line["tracks"]
        counts["frames"] += line["frames"]
        for figure, histogram in line["histograms"].items():
            sums[figure] = [a + b for a, b in zip(sums[figure], histogram, strict=True)]
    for split_name, split in splits.items():
        split["people"] = len(people[split_name])
        split["hours"] = round(split["hours"], 4)
    return {
        "layout": sources.layout,
        "files": totals["files"],
        "frames_seen": totals["seen"],
        "frames": sum(split["frames"] for split in splits.values()),
        "shot_cuts": totals["cuts"],
        "splits": splits,
        "identities": {split: sorted(names) for split, names in people.items()},
        "people_without_data": sorted(wanted - people[TRAIN] - people[VAL] - {""}),
        "dropped_files": dropped_files,
        "dropped_frames": dropped_frames,
        "files_used_in_part": in_part,
        "ignored": dict(sorted(sources.ignored.items())),
        "licences": dict(sorted(licences.items())),
        "histograms": {name: {"edges": list(edges), "frames": sums[name]} for name, edges in EDGES.items()},
    }


def _split(name: str, shards: list[Shard]) -> dict[str, Any]:
    own = [shard.bytes for shard in shards if shard.split == name]
    return {"people": 0, "clips": 0, "stills": 0, "frames": 0, "hours": 0.0, "shards": len(own), "bytes": sum(own)}


def _tell(table: dict[str, dict[str, Any]], reason: str, file: str, frames: int, detail: str) -> None:
    entry = table.setdefault(reason, {"files": 0, "frames": 0, "examples": []})
    entry["files"] += 1
    entry["frames"] += frames
    if len(entry["examples"]) < EXAMPLES:
        entry["examples"].append({"file": file, "detail": detail} if detail else {"file": file})
