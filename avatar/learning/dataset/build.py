"""From a folder of videos and photos to WebDataset shards: any number of workers, killed at any moment, the same bytes.

What became of each file goes, in the plan's order, into the shards and then as a line into `files.jsonl`. Whoever runs
the same command again cuts the open shard back to what the last line says, and goes on after that file.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from avatar.core.errors import InputError, UsageError, VisavisError
from avatar.core.whole_file import part_of
from avatar.learning.dataset.face_tracks import Outcome, TrackRules
from avatar.learning.dataset.pack import PICTURE_SIZE_PX
from avatar.learning.dataset.plan import Item, Plan, make_plan, size_bytes
from avatar.learning.dataset.report import build_report
from avatar.learning.dataset.shards import (
    DATASET_FILE,
    FORMAT,
    REPORT_FILE,
    Shard,
    ShardWriter,
    read_report,
    shard_name,
    write_json,
)
from avatar.learning.dataset.split import TRAIN, VAL
from avatar.learning.dataset.workers import Job, Run

BUILD_FILE = "build.json"
JOURNAL_FILE = "files.jsonl"
LOCK_FILE = ".lock"
SETTLE_S = 2.0  # at most so much work is lost
_LICENCE_COLUMNS = ("licence", "license")
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


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
    with _writing(out), _alone_in(out):
        _begin(out, source, options, plan)
        build = _Build(out, plan, options, model, progress)
        if build.complete:
            say("complete already: nothing to do")
            return read_report(out)
        if build.done:
            say(f"going on after {build.done} of {len(plan.items)} files")
        return build.run(run)


def _begin(out: Path, source: Path, options: BuildOptions, plan: Plan) -> None:
    """Write down what is being built, or check that it is the same as before."""
    path = out / BUILD_FILE
    sources = {"files": len(plan.sources.files), "sha256": plan.fingerprint}
    if not path.is_file():
        if strangers := sorted(p.name for p in out.iterdir() if p.name not in (LOCK_FILE, part_of(path).name)):
            raise UsageError(
                f"{out} is not empty (it holds {strangers[0]}) and no data set. Give an empty or new folder."
            )
        write_json(path, {"format": FORMAT, "options": options.to_dict(), "sources": sources})
        return
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
        now = options.to_dict()
        other = {name: value for name, value in before["options"].items() if now.get(name) != value}
        sources_before, made_by = before["sources"], before["format"]
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise InputError(f"{path} is damaged ({error}). Delete {out} and build again.") from error
    again = f"or build into another folder, or delete {out} to start again"
    if made_by != FORMAT:
        raise UsageError(f"{out} was begun by a version with another format. Finish it with that one, {again}.")
    if other:
        said = ", ".join(f"{name} {value} (now {now.get(name)})" for name, value in sorted(other.items()))
        raise UsageError(f"{out} was begun with other options: {said}. Give the same ones to go on, {again}.")
    if sources_before != sources:
        raise UsageError(
            f"{source} is not what {out} was begun from: files or sizes have changed ({sources_before['files']} files "
            f"then, {sources['files']} now). Bring it back as it was to go on, {again}."
        )


class _Build:
    """The state that the journal describes, and going on from there."""

    def __init__(
        self, out: Path, plan: Plan, options: BuildOptions, model: Path, progress: Callable[[Progress], None]
    ) -> None:
        self.out, self.plan, self.options, self.model, self.progress = out, plan, options, model, progress
        self.shards: list[Shard] = []
        self.done = self.frames = self.refused = 0
        self.open_tracks = self.open_frames = self.open_bytes = 0  # of the shard that is being written
        self.journal_bytes = 0
        self._pending: list[str] = []
        self._settled = time.monotonic()
        self._writer: ShardWriter | None = None
        self._replay()

    @property
    def complete(self) -> bool:
        whole = self.done == len(self.plan.items) and not self.open_bytes
        return whole and all((self.out / name).is_file() for name in (DATASET_FILE, REPORT_FILE))

    def run(self, run: Run) -> dict[str, Any]:
        (self.out / DATASET_FILE).unlink(missing_ok=True)
        self._cut_back()
        items = self.plan.items[self.done :]
        outcomes = run(self._job(item) for item in items if item.refusal is None)
        try:
            with (self.out / JOURNAL_FILE).open("ab") as self._journal, closing(outcomes):
                for item in items:
                    outcome = Outcome(refusal=item.refusal) if item.refusal else next(outcomes)
                    self._take(item, outcome)
                    self.progress(Progress(self.done, len(self.plan.items), self.frames, self.refused))
                self._close_shard()
                self._settle()
        finally:
            if self._writer is not None:
                self._writer.leave()
        return self._complete()

    def _job(self, item: Item) -> Job:
        path = self.plan.sources.folder / item.file.name
        return Job(path.absolute(), item.file.is_video, item.start_s, item.end_s, self.options.rules, self.model)

    def _replay(self) -> None:
        """Take up what the journal says, as far as the shards on the disk bear it out."""
        last_shard = self._state()
        for line, end in self._lines():
            self.journal_bytes = end
            if "sha256" in line:
                shard = Shard(**line)
                if size_bytes(self.out / shard.name) != shard.bytes:
                    self._restore(last_shard)
                    return
                self.shards.append(shard)
                self.open_tracks = self.open_frames = self.open_bytes = 0
                last_shard = self._state()
                continue
            self.done += 1
            self.frames += line["frames"]
            self.refused += line["refusal"] is not None
            self.open_tracks += line["tracks"]
            self.open_frames += line["frames"]
            self.open_bytes = line["shard_bytes"]
        path = self._shard_path(self.plan.items[self.done - 1].split) if self.open_bytes else None
        if path is not None and max(size_bytes(path), size_bytes(part_of(path))) < self.open_bytes:
            self._restore(last_shard)

    def _state(self) -> tuple[int, int, int, int, int]:
        return self.done, self.frames, self.refused, self.journal_bytes, len(self.shards)

    def _restore(self, state: tuple[int, int, int, int, int]) -> None:
        self.done, self.frames, self.refused, self.journal_bytes, count = state
        del self.shards[count:]
        self.open_tracks = self.open_frames = self.open_bytes = 0

    def _lines(self) -> Iterator[tuple[dict[str, Any], int]]:
        """The journal's whole lines, each with where it ends."""
        path, end = self.out / JOURNAL_FILE, 0
        if not path.is_file():
            return
        with path.open("rb") as file:
            for text in file:
                try:
                    line = json.loads(text)
                except ValueError:
                    return
                if not text.endswith(b"\n"):
                    return
                end += len(text)
                yield line, end

    def _cut_back(self) -> None:
        """Take away from the disk what the journal does not speak of."""
        journal = self.out / JOURNAL_FILE
        journal.touch()
        os.truncate(journal, self.journal_bytes)
        known = {self.out / shard.name for shard in self.shards}
        if self.open_bytes:
            path = self._shard_path(self.plan.items[self.done - 1].split)
            self._writer = ShardWriter(path, self.open_bytes)
            known.add(part_of(path))
        for split in (TRAIN, VAL):
            for path in self.out.glob(f"{split}-{'[0-9]' * 6}.tar*"):
                if path not in known and path.suffix in (".tar", ".part"):
                    path.unlink()

    def _shard_path(self, split: str) -> Path:
        return self.out / shard_name(split, sum(shard.split == split for shard in self.shards))

    def _take(self, item: Item, outcome: Outcome) -> None:
        if self.open_bytes >= self.options.shard_mb * 1e6 or (
            self.open_bytes and self.plan.items[self.done - 1].split != item.split
        ):
            self._close_shard()
        number = self.open_tracks + sum(shard.tracks for shard in self.shards if shard.split == item.split)
        about: dict[str, Any] = {"identity": item.file.identity, "file": item.file.name}
        if item.file.columns:
            about["manifest"] = item.file.columns
        for track in outcome.tracks:
            if self._writer is None:
                self._writer = ShardWriter(self._shard_path(item.split))
            self._writer.add(track, number, about)
            number += 1
            self.open_tracks += 1
            self.open_frames += len(track)
            self.frames += len(track)
        self.open_bytes = self._writer.bytes if self._writer is not None else 0
        self.done += 1
        self.refused += outcome.refusal is not None
        self._note(self._line(item, outcome))
        if time.monotonic() - self._settled > SETTLE_S:
            self._settle()

    def _line(self, item: Item, outcome: Outcome) -> dict[str, Any]:
        """What the journal says of a file."""
        clips = [track for track in outcome.tracks if track.is_clip]
        line: dict[str, Any] = {
            "file": item.name, "identity": item.file.identity, "split": item.split, "refusal": outcome.refusal,
            "tracks": len(outcome.tracks), "clips": len(clips), "frames": sum(map(len, outcome.tracks)),
            "seconds": round(sum(t.times_s[-1] - t.times_s[0] + 1 / self.options.rules.fps for t in clips), 3),
            "seen": outcome.seen, "dropped": dict(sorted(outcome.dropped.items())), "shard_bytes": self.open_bytes,
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
        split = self.plan.items[self.done - 1].split
        size, sha256 = self._writer.close()
        shard = Shard(self._writer.path.name, split, self.open_tracks, self.open_frames, size, sha256)
        self._writer = None
        self.shards.append(shard)
        self.open_tracks = self.open_frames = self.open_bytes = 0
        self._note(asdict(shard))

    def _note(self, line: dict[str, Any]) -> None:
        self._pending.append(json.dumps(line, sort_keys=True) + "\n")

    def _settle(self) -> None:
        """First the tracks onto the disk, then the lines that speak of them."""
        if self._writer is not None:
            self._writer.settle()
        self._journal.write("".join(self._pending).encode())
        self._journal.flush()
        os.fsync(self._journal.fileno())
        self._pending.clear()
        self._settled = time.monotonic()

    def _complete(self) -> dict[str, Any]:
        files = (line for line, _ in self._lines() if "sha256" not in line)
        report = build_report(files, self.plan.sources, self.shards)
        if not report["frames"]:
            reasons = ", ".join(f"{entry['files']} {reason}" for reason, entry in report["dropped_files"].items())
            raise InputError(
                f"No usable face in {report['files']} files: {reasons}. Details: {self.out / JOURNAL_FILE}."
            )
        write_json(self.out / REPORT_FILE, report)
        about = {
            "format": FORMAT,
            "options": self.options.to_dict() | {"size_px": PICTURE_SIZE_PX},
            "shards": [asdict(shard) for shard in self.shards],
            "identities": report["identities"],
            "made_with": {name: version(name) for name in ("mediapipe", "av", "numpy", "pillow")},
        }
        write_json(self.out / DATASET_FILE, about)
        return report


@contextmanager
def _writing(out: Path) -> Iterator[None]:
    """Make the folder; say plainly when the disk is full or may not be written."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        place = error.filename or out
        if error.errno in _NO_ROOM:
            free_mb = shutil.disk_usage(out).free / 1e6 if out.is_dir() else 0.0
            raise VisavisError(
                f"{out}: no room is left to write ({error.strerror}; {free_mb:.0f} MB free). What is done is kept: "
                "make room and run the same command again to go on."
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise VisavisError(
                f"{place} may not be written ({error.strerror}). Change its permissions or --out."
            ) from error
        if isinstance(error, FileExistsError | NotADirectoryError):
            raise UsageError(f"{out} is a file, or lies below one. Give a folder as --out.") from error
        raise


@contextmanager
def _alone_in(out: Path) -> Iterator[None]:
    """Keep a second build out of the folder. The lock goes with the process, however that ends."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    handle = os.open(out / LOCK_FILE, os.O_CREAT | os.O_RDWR, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"Another build is at work in {out}. Wait for it, or give another --out.") from None
        yield
    finally:
        os.close(handle)
