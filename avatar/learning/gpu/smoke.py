"""What works on a lent GPU, how fast, and with which batch: half a minute, so that the rest is well spent."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from avatar.learning.gpu.freight import Freight
from avatar.learning.gpu.machine import seconds_of, try_compile
from avatar.learning.gpu.training import Plan, make_objective
from avatar.learning.objective import Batch, NotFiniteError, Objective
from avatar.learning.pair_choice import Batches
from avatar.learning.parallel import to_device

SMOKE_FILE = "smoke.json"
BATCHES = (8, 16, 32, 64, 128, 256, 512)
CROPS = 512  # of each region, drawn to be tried
STEPS = 2  # timed, of each batch size
GOOD_SHARE = 0.85  # of the best rate: the smallest batch that reaches it is chosen, since it makes the most steps
MEMORY_SHARE = 0.85  # of the GPU that a batch may fill
COMPILE_SHARE = 0.3  # of the stage's limit that trying to compile may take


@dataclass
class SizeFigures:
    """What `smoke` found of one size."""

    size: str
    losses: dict[str, float]  # of the first step
    rates: dict[int, float]  # samples per second by batch size
    memory_gb: dict[int, float]
    feed_per_s: float  # samples of one process
    batch: int
    why_no_more: str


def smoke(plan: Plan, freight: Freight, sizes: tuple[str, ...], say: Callable[[str], None]) -> dict[str, Any]:
    """Try each size until the plan ends; writes smoke.json beside the runs and to `out`."""
    found: list[SizeFigures] = []
    compiles: dict[str, Any] = {}
    for i, size in enumerate(sizes):
        share = (plan.ends - time.monotonic()) / (len(sizes) - i)
        few = () if size == "full" or plan.tiny else (f"crops={CROPS}",)
        one = replace(plan, size=size, run=plan.run / "smoke", settings=(*plan.settings, *few))
        objective, data, _ = make_objective(one, freight, say)
        samples = data.samples(data.pack, 1)
        found.append(_measure(one, objective, samples, time.monotonic() + share * (1 - COMPILE_SHARE), say))
        if size != "full" and plan.device.type == "cuda":
            compiles = _compile_trial(objective, samples, found[-1].batch, say)
        del objective, samples
        if plan.device.type == "cuda":
            torch.cuda.empty_cache()
    shutil.rmtree(plan.run / "smoke", ignore_errors=True)
    told = {"sizes": {one.size: asdict(one) for one in found}, "compile": compiles}
    for folder in (plan.run, plan.out):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / SMOKE_FILE).write_text(json.dumps(told, indent=1), encoding="utf-8")
    return told


def advised(run: Path, size: str) -> tuple[int | None, bool]:
    """The batch that `smoke` chose for a size, if it did, and whether compiling pays."""
    try:
        told = json.loads((run / SMOKE_FILE).read_text(encoding="utf-8"))
        batch = int(told["sizes"][size]["batch"]) if size in told["sizes"] else None
        return batch, bool(told["compile"].get("pays", False))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None, False


def _measure(
    plan: Plan, objective: Objective, samples: Dataset[Batch], ends: float, say: Callable[[str], None]
) -> SizeFigures:
    figures = SizeFigures(plan.size, {}, {}, {}, 0.0, 0, "all were tried")
    sizes = [size for size in BATCHES if size <= plan.batch] or [plan.batch]
    for size in sizes:
        made = _first_batch(samples, size, figures)
        try:
            if plan.device.type == "cuda":
                torch.cuda.reset_peak_memory_stats(plan.device)
            batch = to_device(made, plan.device)
            # one step of each phase: the second, past every threshold, trains the discriminators too
            for number in (0, 1_000_000):
                losses = objective.step([batch], number, 0.01)
                figures.losses = figures.losses or losses
            figures.losses |= losses
            seconds = _seconds_of_a_step(objective, made, plan.device)
        except torch.OutOfMemoryError:
            figures.why_no_more = f"{size} do not fit"
            break
        except NotFiniteError as error:
            figures.why_no_more = f"at {size}: {error}"
            break
        figures.rates[size] = size / seconds
        memory = torch.cuda.max_memory_allocated(plan.device) / 1e9 if plan.device.type == "cuda" else 0.0
        figures.memory_gb[size] = memory
        say(f"{plan.size}, batch {size}: {size / seconds:.1f} samples/s, {memory:.1f} GB")
        if time.monotonic() > ends:
            figures.why_no_more = "the time is over"
            break
        if plan.device.type == "cuda":
            total = torch.cuda.get_device_properties(plan.device).total_memory / 1e9
            if memory * 2 > MEMORY_SHARE * total:
                figures.why_no_more = f"twice as many would take {memory * 2:.0f} of {total:.0f} GB"
                break
    if figures.rates:
        best = max(figures.rates.values())
        figures.batch = min(size for size, rate in figures.rates.items() if rate >= GOOD_SHARE * best)
    say(
        f"{plan.size}: batch {figures.batch or 'none'} ({figures.why_no_more}); one process makes "
        f"{figures.feed_per_s:.0f} samples/s; "
        + ", ".join(f"{name} {value:.3f}" for name, value in figures.losses.items())
    )
    return figures


def _seconds_of_a_step(objective: Objective, made: Batch, device: torch.device) -> float:
    return seconds_of(lambda: objective.step([to_device(made, device)], 1_000_000, 0.01), device, STEPS)


def _first_batch(samples: Dataset[Batch], size: int, figures: SizeFigures) -> Batch:
    started = time.perf_counter()
    made: Batch = next(iter(DataLoader(samples, batch_sampler=Batches(0, 1, size))))
    figures.feed_per_s = size / (time.perf_counter() - started)
    return made


def _compile_trial(
    objective: Objective, samples: Dataset[Batch], batch: int, say: Callable[[str], None]
) -> dict[str, Any]:
    """Whether a step is faster once the network that takes most of it is compiled."""
    first = next(iter(DataLoader(samples, batch_sampler=Batches(0, 1, max(batch, 1)))))
    made = to_device(first, objective.group.device)
    trial = try_compile(
        objective.compilable()[0], lambda: objective.step([made], 1_000_000, 0.01), objective.group.device
    )
    said = f"compiling took {trial.took_s:.0f} s, {trial.eager_s * 1e3:.0f} → {trial.compiled_s * 1e3:.0f} ms"
    say(said if trial.works else f"compiling does not work here: {trial.reason}")
    return asdict(trial) | {"pays": trial.pays}
