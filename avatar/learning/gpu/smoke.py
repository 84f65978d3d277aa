"""What works on a lent GPU, how fast, and with which batch: half a minute, so that the rest is well spent."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader

from avatar.core.errors import InputError
from avatar.learning.fast_objective import FastObjective
from avatar.learning.gpu.device_samples import device_feed
from avatar.learning.gpu.freight import Freight
from avatar.learning.gpu.machine import seconds_of, synchronise, try_compile
from avatar.learning.gpu.training import Plan, make_objective
from avatar.learning.objective import Batch, NotFiniteError, Objective
from avatar.learning.pair_dataset import Batches
from avatar.learning.trainer import Feed

SMOKE_FILE = "smoke.json"
BATCHES = (8, 16, 32, 64, 128, 256, 512)
STEPS = 2  # timed, of each batch size
GOOD_SHARE = 0.85  # of the best rate: the smallest batch that reaches it is chosen, since it makes the most steps
MEMORY_SHARE = 0.85  # of the GPU that a batch may fill
COMPILE_SHARE = 0.3  # of the stage's limit that trying to compile may take


@dataclass
class SizeFigures:
    """What `smoke` found of one size."""

    size: str
    parameters_m: float
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
        one = replace(plan, size=size)
        objective, samples, _ = make_objective(one, len(freight.train.identities), say)
        try:
            feed = device_feed(samples, plan.device, min(plan.variants, 1), max(plan.workers, 1))(freight.train, 1)
        except ValueError as error:
            raise InputError(f"This freight cannot teach: {error}. Carry its other shards too.") from error
        found.append(_measure(one, objective, feed, time.monotonic() + share * (1 - COMPILE_SHARE), say))
        if isinstance(objective, FastObjective) and plan.device.type == "cuda":
            compiles = _compile_trial(objective, feed, found[-1].batch, say)
        del objective, feed
        if plan.device.type == "cuda":
            torch.cuda.empty_cache()
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


def _measure(plan: Plan, objective: Objective, feed: Feed, ends: float, say: Callable[[str], None]) -> SizeFigures:
    figures = SizeFigures(plan.size, _parameters(objective), {}, {}, {}, 0.0, 0, "all were tried")
    sizes = [size for size in BATCHES if size <= plan.batch] or [plan.batch]
    for size in sizes:
        made = _first_batch(feed, size, figures)
        try:
            if plan.device.type == "cuda":
                torch.cuda.reset_peak_memory_stats(plan.device)
            batch = feed.batch(made)
            # one step of each phase: the second, past every threshold, trains the discriminators too
            for number in (0, 1_000_000):
                losses = objective.step([batch], number, 0.01)
                figures.losses = figures.losses or losses
            figures.losses |= losses
            seconds = _seconds_of_a_step(objective, feed, made, plan.device)
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
        f"{plan.size}: {figures.parameters_m:.1f} M parameters, batch {figures.batch or 'none'} "
        f"({figures.why_no_more}); one process plans {figures.feed_per_s:.0f} samples/s; "
        + ", ".join(f"{name} {value:.3f}" for name, value in figures.losses.items())
    )
    return figures


def _seconds_of_a_step(objective: Objective, feed: Feed, made: Batch, device: torch.device) -> float:
    return seconds_of(lambda: objective.step([feed.batch(made)], 1_000_000, 0.01), device, STEPS)


def _first_batch(feed: Feed, size: int, figures: SizeFigures) -> Batch:
    started = time.perf_counter()
    made: Batch = next(iter(DataLoader(feed.samples, batch_sampler=Batches(0, 1, size))))
    figures.feed_per_s = size / (time.perf_counter() - started)
    return made


def _parameters(objective: Objective) -> float:
    parts = objective.state_dict()["makers"], objective.state_dict()["judges"]
    return float(sum(value.numel() for part in parts for value in part.values())) / 1e6


def _compile_trial(objective: FastObjective, feed: Feed, batch: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Whether the face's network, forwards and backwards, is faster compiled: the largest of `fast`."""
    made = feed.batch(next(iter(DataLoader(feed.samples, batch_sampler=Batches(0, 1, max(batch, 1))))))

    def run() -> None:
        with torch.autocast(objective.group.device.type, torch.bfloat16, enabled=objective.bf16):
            embedding = objective.embedder.embed(made["source"], made["source_drawing"])
            face, *_ = objective.embedder.psi(embedding).split(objective.generator.psi_sizes, dim=1)
            drawn = objective.generator.face(made["source"], made["face_flow"], made["face_drawing"], face, 2)
        drawn.picture.float().mean().backward()
        synchronise(objective.group.device)

    trial = try_compile(objective.generator.face, run, objective.group.device)
    said = f"compiling took {trial.took_s:.0f} s, {trial.eager_s * 1e3:.0f} → {trial.compiled_s * 1e3:.0f} ms"
    say(said if trial.works else f"compiling does not work here: {trial.reason}")
    return asdict(trial) | {"pays": trial.pays}
