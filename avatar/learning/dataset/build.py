"""From a folder of videos and photos to WebDataset shards: any number of workers, killed at any moment, the same bytes.

What became of each file goes, in the plan's order, into the shards and then as a line into the journal. Whoever runs
the same command again cuts the open shard back to what the last line says, and goes on after that file.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from avatar.core.errors import InputError
from avatar.core.whole_file import part_of
from avatar.learning.dataset.build_folder import alone_in, begin, writing
from avatar.learning.dataset.built_dataset import DATASET_FILE, FORMAT, REPORT_FILE, read_report, write_json
from avatar.learning.dataset.journal import Journal
from avatar.learning.dataset.outcome import Outcome, TrackRules
from avatar.learning.dataset.pack import PICTURE_SIZE_PX
from avatar.learning.dataset.plan import Item, Plan, make_plan
from avatar.learning.dataset.report import build_report
from avatar.learning.dataset.shard import Shard, ShardWriter
from avatar.learning.dataset.split import TRAIN, VAL
from avatar.learning.dataset.workers import Job, Run

_LICENCE_COLUMNS = ("licence", "license")


@dataclass(frozen=True)
class BuildOptions:
    """All that decides what the shards hold."""

    rules: TrackRules = field(default_factory=TrackRules)
    shard_mb: float = 256.0  # a shard of this size is full: the next file goes into the next one
    hold_out: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return asdict(self.rules) | {"shard_mb": self.shard_mb, "hold_out": list(self.hold_out)}


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a build is: files (or parts of long videos), and frames kept."""

    done: int
    total: int
    frames: int
    refused: int


def build_dataset(
    source: Path,
    out: Path,
    options: BuildOptions,
    model: Path,
    run: Run,
    progress: Callable[[Progress], None] = lambda _: None,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Build, or go on building, the shards of `source` in `out`. Returns the report, which `report.json` keeps.

    Raises InputError where there is nothing to learn from, UsageError where `out` belongs to another build, and
    VisavisError where `out` cannot be written.
    """
    plan = make_plan(source, options.hold_out)
    people = {split: len(plan.people(split)) for split in (TRAIN, VAL)}
    say(
        f"{len(plan.sources.files)} files, {people[TRAIN]} people"
        + (f" and {people[VAL]} held out" if people[VAL] else "")
        + f"; {plan.sources.layout}"
    )
    with writing(out), alone_in(out):
        begin(out, source, options.to_dict(), plan)
        build = _Build(out, plan, options, model, progress)
        if build.complete:
            say("complete already: nothing to do")
            return read_report(out)
        if build.state.done:
            say(f"going on after {build.state.done} of {len(plan.items)} files")
        return build.run(run)


class _Build:
    """Writes shards and the journal, from where the journal ends."""

    def __init__(
        self, out: Path, plan: Plan, options: BuildOptions, model: Path, progress: Callable[[Progress], None]
    ) -> None:
        self.out, self.plan, self.options, self.model, self.progress = out, plan, options, model, progress
        self._journal = Journal(out)
        self.state, self._told_bytes = self._journal.replay(plan)
        self._writer: ShardWriter | None = None

    @property
    def complete(self) -> bool:
        whole = self.state.done == len(self.plan.items) and not self.state.open_bytes
        return whole and all((self.out / name).is_file() for name in (DATASET_FILE, REPORT_FILE))

    def run(self, run: Run) -> dict[str, Any]:
        (self.out / DATASET_FILE).unlink(missing_ok=True)
        self._cut_back()
        items = self.plan.items[self.state.done :]
        outcomes = run(self._job(item) for item in items if item.refusal is None)
        try:
            with closing(outcomes):
                for item in items:
                    self._take(item, Outcome(refusal=item.refusal) if item.refusal else next(outcomes))
                    state = self.state
                    self.progress(Progress(state.done, len(self.plan.items), state.frames, state.refused))
                self._close_shard()
                self._settle()
        finally:
            if self._writer is not None:
                self._writer.leave()
        return self._complete()

    def _job(self, item: Item) -> Job:
        path = self.plan.sources.folder / item.file.name
        return Job(path.absolute(), item.file.is_video, item.start_s, item.end_s, self.options.rules, self.model)

    @property
    def _open_split(self) -> str:
        """Of the shard that is being written."""
        return self.plan.items[self.state.done - 1].split

    def _cut_back(self) -> None:
        """Take away from the disk what the journal does not speak of."""
        self._journal.cut_back(self._told_bytes)
        known = {self.out / shard.name for shard in self.state.shards}
        if self.state.open_bytes:
            path = self.state.shard_path(self.out, self._open_split)
            self._writer = ShardWriter(path, self.state.open_bytes)
            known.add(part_of(path))
        for split in (TRAIN, VAL):
            for path in self.out.glob(f"{split}-{'[0-9]' * 6}.tar*"):
                if path not in known and path.suffix in (".tar", ".part"):
                    path.unlink()

    def _take(self, item: Item, outcome: Outcome) -> None:
        is_full = self.state.open_bytes >= self.options.shard_mb * 1e6
        if is_full or (self.state.open_bytes and self._open_split != item.split):
            self._close_shard()
        number = self.state.open_tracks + sum(s.tracks for s in self.state.shards if s.split == item.split)
        about: dict[str, Any] = {"identity": item.file.identity, "file": item.file.name}
        if item.file.columns:
            about["manifest"] = item.file.columns
        for i, track in enumerate(outcome.tracks):
            if self._writer is None:
                self._writer = ShardWriter(self.state.shard_path(self.out, item.split))
            self._writer.add(track, number + i, about)
        line = self._line(item, outcome)
        self._journal.note(line)
        self.state.count_file(line)
        if self._journal.is_due:
            self._settle()

    def _line(self, item: Item, outcome: Outcome) -> dict[str, Any]:
        """What the journal says of a file."""
        clips = [track for track in outcome.tracks if track.is_clip]
        line: dict[str, Any] = {
            "file": item.name, "identity": item.file.identity, "split": item.split, "refusal": outcome.refusal,
            "tracks": len(outcome.tracks), "clips": len(clips), "frames": sum(map(len, outcome.tracks)),
            "seconds": round(sum(t.times_s[-1] - t.times_s[0] + 1 / self.options.rules.fps for t in clips), 3),
            "seen": outcome.seen, "dropped": dict(sorted(outcome.dropped.items())),
            "shard_bytes": self._writer.bytes if self._writer is not None else 0,
        }  # fmt: skip
        licence = next((item.file.columns[c] for c in _LICENCE_COLUMNS if c in item.file.columns), None)
        more = {
            "detail": outcome.detail, "damage": outcome.damage, "cuts": outcome.cuts, "licence": licence,
            "histograms": outcome.histograms, "part_of": item.file.name if item.start_s else None,
        }  # fmt: skip
        return line | {name: value for name, value in more.items() if value}

    def _close_shard(self) -> None:
        if self._writer is None:
            return
        size, sha256 = self._writer.close()
        state, name = self.state, self._writer.path.name
        shard = Shard(name, self._open_split, state.open_tracks, state.open_frames, size, sha256)
        self._writer = None
        self._journal.note(asdict(shard))
        self.state.count_shard(shard)

    def _settle(self) -> None:
        """First the tracks onto the disk, then the lines that speak of them."""
        if self._writer is not None:
            self._writer.settle()
        self._journal.settle()

    def _complete(self) -> dict[str, Any]:
        report = build_report(self._journal.files(), self.plan.sources, self.state.shards)
        if not report["frames"]:
            reasons = ", ".join(f"{entry['files']} {reason}" for reason, entry in report["dropped_files"].items())
            raise InputError(f"No usable face in {report['files']} files: {reasons}. Details: {self._journal.path}.")
        write_json(self.out / REPORT_FILE, report)
        about = {
            "format": FORMAT,
            "options": self.options.to_dict() | {"size_px": PICTURE_SIZE_PX},
            "shards": [asdict(shard) for shard in self.state.shards],
            "identities": report["identities"],
            "made_with": {name: version(name) for name in ("mediapipe", "av", "numpy", "pillow")},
        }
        write_json(self.out / DATASET_FILE, about)
        return report
