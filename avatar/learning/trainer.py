"""The training loop of every size: exact resume, logs, validation, sample sheets, one process or many."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from avatar.core.errors import InputError, VisavisError
from avatar.core.whole_file import whole_file
from avatar.learning.dataset.pack import Pack
from avatar.learning.objective import Batch, NotFiniteError, Objective, mean_of
from avatar.learning.pair_choice import Batches
from avatar.learning.parallel import to_device

VALIDATION_SEED = 1
VALIDATION_BATCHES = 8
SHEETS_KEPT = 40


@dataclass(frozen=True)
class RunOptions:
    """What all sizes have in common."""

    steps: int = 8000
    batch: int = 8  # samples of one process in one pass
    accumulate: int = 1  # passes for one update
    seed: int = 1
    warm_up_steps: int = 100
    rate_final: float = 0.1  # of the first rate, reached by a cosine; 1 keeps it
    bf16: bool = False
    log_every: int = 20
    save_every: int = 250  # a checkpoint, the weights, validation and a sheet
    save_every_s: float = 0.0  # the same after so many seconds; 0: by steps alone
    limit_s: float = 0.0  # training ends after so many seconds, its rates lowered by then; 0: only after the steps
    skips: int = 0  # steps without a finite loss that are left out before training stops
    workers: int = 1  # processes that make samples, for each process that trains

    def share(self, step: int, seconds: float = 0.0) -> float:
        """The share of the full learning rate at a step, `seconds` after training began or went on."""
        done = max(step / max(self.steps, 1), seconds / self.limit_s if self.limit_s else 0.0)
        done = min(done, 1.0)
        fall = self.rate_final + (1 - self.rate_final) * 0.5 * (1 + math.cos(math.pi * done))
        return fall * min(1.0, (step + 1) / max(self.warm_up_steps, 1))


@dataclass(frozen=True)
class TrainingData:
    """What is learned from."""

    pack: Pack
    # of a pack and a seed; sample number i is always the same. Raises ValueError where the pack has none
    samples: Callable[[Pack, int], Dataset[Batch]]
    validation: Pack | None = None  # people who are not learned from


class Trainer:
    """One training run. It goes on from the checkpoint in `folder` where there is one."""

    def __init__(
        self,
        objective: Objective,
        data: TrainingData,
        folder: Path,
        options: RunOptions,
        say: Callable[[str], None] = print,
        saved: Callable[[], None] = lambda: None,
    ) -> None:
        """`saved` is called after each save.

        Raises InputError where the data cannot teach, or where the checkpoint is damaged or of another network."""
        self.objective, self.folder, self.options = objective, folder, options
        self.group, self.step = objective.group, 0
        self.say: Callable[[str], None] = say if self.group.first else lambda line: None
        self.saved, self.skipped = saved, 0
        try:
            self.samples = data.samples(data.pack, options.seed)
        except ValueError as error:
            raise InputError(f"This data cannot teach: {error}. Add clips of people who talk.") from error
        self.validation = self._validation_batches(data)
        self.people = len(data.pack.identities)
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / "state.pt").exists():
            self._resume()

    def run(self) -> None:
        """Train to the last step. Raises VisavisError when a loss is no number; the last checkpoint stays."""
        o = self.options
        sums: dict[str, float] = {}
        started, since = time.monotonic(), self.step
        saved = started
        with _Log(self.folder, self.step, self.group.first) as log:
            for batches in self._updates():
                # a seed for each step and process: nothing that draws random numbers beside can shift a run
                torch.manual_seed((o.seed * 1_000_003 + self.step) * 4096 + self.group.rank)
                try:
                    share = o.share(self.step, time.monotonic() - started)
                    figures = self.objective.step(batches, self.step, share)
                except NotFiniteError as error:
                    self.skipped += 1
                    if self.skipped > o.skips:
                        raise VisavisError(self._stopped(error)) from error
                    self.say(f"step {self.step + 1} is left out ({self.skipped} of at most {o.skips}): {error}")
                    figures = {}
                self.step += 1
                for name, value in figures.items():
                    sums[name] = sums.get(name, 0.0) + value
                now = time.monotonic()
                over = bool(o.limit_s) and now - started >= o.limit_s
                if self.step % o.log_every == 0:
                    means = {name: value / o.log_every for name, value in sums.items()}
                    pace = (now - started) / (self.step - since)
                    log.write(self.step, means, seconds_per_step=round(pace, 3))
                    of = "" if o.limit_s else f"/{o.steps}"
                    self.say(f"step {self.step}{of}  {pace:.2f} s/step  " + _brief(means))
                    sums = {}
                due = bool(o.save_every_s) and now - saved >= o.save_every_s
                if over or due or self.step % o.save_every == 0 or self.step == o.steps:
                    self._save(batches[-1], log)
                    saved = time.monotonic()
                if over:
                    self.say(f"{o.limit_s:.0f} seconds are over at step {self.step}")
                    break

    def _updates(self) -> Iterator[list[Batch]]:
        """The batches of each update that is left."""
        o, group = self.options, self.group
        loader = DataLoader(
            self.samples,
            batch_sampler=Batches(self.step * o.accumulate, o.steps * o.accumulate, o.batch, group.rank, group.world),
            num_workers=o.workers,
            prefetch_factor=3 if o.workers else None,
            pin_memory=group.device.type == "cuda",
            worker_init_fn=_one_thread,
        )
        made = iter(loader)
        device = group.device
        while batches := [to_device(batch, device) for batch in islice(made, o.accumulate)]:
            yield batches

    def _save(self, batch: Batch, log: _Log) -> None:
        """Checkpoint, weights, validation and a sheet, written by the first process."""
        if self.group.first:
            about = {"step": self.step, "options": asdict(self.options), "people": self.people}
            self.objective.save(self.folder, about)
            self.objective.save_sheet(self.folder / f"sheet_{self.step:06d}.png", batch)
            for old in sorted(self.folder.glob(f"sheet_{'[0-9]' * 6}.png"))[:-SHEETS_KEPT]:
                old.unlink()
            if self.validation:
                torch.manual_seed(VALIDATION_SEED)
                batches = (to_device(batch, self.group.device) for batch in self.validation)
                found = mean_of([self.objective.validate(batch) for batch in batches])
                figures = {f"validation/{name}": float(value) for name, value in found.items()}
                log.write(self.step, figures)
                self.say(f"step {self.step}  " + _brief(figures))
            state = {"step": self.step, "run": self._identity(), "objective": self.objective.state_dict()}
            _write_whole(self.folder / "state.pt", state)
            self.saved()
        self.group.wait()

    def _resume(self) -> None:
        path = self.folder / "state.pt"
        try:
            state = torch.load(path, weights_only=True, map_location=self.group.device)
            self.objective.load_state_dict(state["objective"])
            self.step, before = state["step"], state["run"]
        except Exception as error:  # torch raises a dozen kinds for a damaged file
            reason = str(error).splitlines()[0][:200]
            raise InputError(
                f"{path} is damaged or belongs to other networks ({reason}). Train into another folder, or delete it "
                "to start again."
            ) from error
        now = self._identity()
        if changed := [f"{name} {before.get(name)} → {now[name]}" for name in now if before.get(name) != now[name]]:
            self.say(f"going on with other settings, so this is no longer one unbroken run: {', '.join(changed)}")
        self.say(f"going on from step {self.step} in {self.folder}")

    def _identity(self) -> dict[str, Any]:
        """What decides the losses of a run."""
        o = self.options
        return {
            "processes": self.group.world, "batch": o.batch, "accumulate": o.accumulate, "seed": o.seed,
            "steps": o.steps, "bf16": o.bf16, "people": self.people, "objective": repr(self.objective.options),
        }  # fmt: skip

    def _validation_batches(self, data: TrainingData) -> Sequence[Batch]:
        """What the networks are tried on at each save."""
        if data.validation is None or not self.group.first:
            return []
        try:
            samples = data.samples(data.validation, VALIDATION_SEED)
        except ValueError as error:
            self.say(f"no validation: among the people held out, {error}")
            return []
        return list(DataLoader(samples, batch_sampler=Batches(0, VALIDATION_BATCHES, self.options.batch)))

    def _stopped(self, error: NotFiniteError) -> str:
        kept = self.folder / "state.pt"
        where = f"The last good checkpoint is {kept}" if kept.exists() else "There is no checkpoint yet"
        return f"Step {self.step + 1}: {error}. {where}; train again with a lower rate (--set rate_makers=…) to go on."


class _Log:
    """log.jsonl and TensorBoard's event files. Lines after the checkpoint that training goes on from are dropped."""

    def __init__(self, folder: Path, step: int, writes: bool) -> None:
        self.path, self.step, self.writes = folder / "log.jsonl", step, writes
        self.board: Any = None

    def __enter__(self) -> _Log:
        if not self.writes:
            return self
        if self.path.exists():
            lines = self.path.read_text().splitlines(keepends=True)
            self.path.write_text("".join(line for line in lines if _step_of(line) <= self.step))
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            return self  # log.jsonl has the same figures
        self.board = SummaryWriter(str(self.path.parent / "tensorboard"), purge_step=self.step + 1)
        return self

    def __exit__(self, *_: object) -> None:
        if self.board is not None:
            self.board.close()

    def write(self, step: int, figures: dict[str, float], **beside: float) -> None:
        if not self.writes:
            return
        with self.path.open("a") as file:
            file.write(json.dumps({"step": step, **beside, **{k: round(v, 5) for k, v in figures.items()}}) + "\n")
        if self.board is not None:
            for name, value in figures.items():
                self.board.add_scalar(name if "/" in name else f"training/{name}", value, step)


def _step_of(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf  # cut off by a kill


def _write_whole(path: Path, state: dict[str, Any]) -> None:
    """A kill at any moment leaves the old checkpoint or the new one."""
    try:
        with whole_file(path, durable=True) as part, part.open("wb") as file:
            torch.save(state, file)
    except (OSError, RuntimeError) as error:
        raise VisavisError(
            f"The checkpoint cannot be written ({error}); the last good one stays in {path}. Make room on the disk and "
            "train again to go on."
        ) from error


def _brief(figures: dict[str, float]) -> str:
    return "  ".join(f"{name} {value:.3f}" for name, value in figures.items())


def _one_thread(_: int) -> None:
    import cv2

    cv2.setNumThreads(1)
    torch.set_num_threads(1)
