"""Training on a lent GPU for as long as there is: the run of `visavis train`, from a freight."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from avatar.core.errors import InputError
from avatar.learning.content_losses import FullContent
from avatar.learning.dataset.pack import Pack, open_pack, save_pack
from avatar.learning.efficientnet_lite import EfficientNetLite0
from avatar.learning.face_identity_net import FaceIdentityNet
from avatar.learning.full_objective import FullObjective, FullOptions
from avatar.learning.gpu.freight import IDENTITY_FILE, IMAGENET_FILE, Freight
from avatar.learning.gpu.machine import copy_out
from avatar.learning.losses import ContentNet
from avatar.learning.objective import Objective
from avatar.learning.parallel import Parallel
from avatar.learning.region_judge import judge_name
from avatar.learning.region_objective import RegionObjective, RegionOptions
from avatar.learning.region_run import begin_with_shipped, drawn_data
from avatar.learning.settings import apply_settings
from avatar.learning.trainer import RunOptions, Trainer, TrainingData
from avatar.model.config import RegionConfig
from avatar.model.full.checkpoint import load_full
from avatar.model.full.config import FullConfig
from avatar.model.layered_generator import REGIONS, load_region

SHEET_FILE, LOG_FILE = "sheet.png", "log.jsonl"
SAVE_EVERY_S = 60.0
SKIPS = 50  # steps without a finite loss, before training stops
SHARED_MEMORY_GB = 2.0  # through which processes hand over their batches
# Instead of the options' defaults, for a short run with large batches; --set overrides them
FULL_OPTIONS = FullOptions(k=4, rate_makers=2e-4, rate_judges=4e-4)
# for rehearsals on processors
TINY_REGION, TINY_CROPS = RegionConfig((8, 12, 16), 1), 8
TINY_FULL = FullConfig.at(32, channels_min=8, channels_max=24, embedding=24, down_blocks=2, residual_blocks=1)


@dataclass(frozen=True)
class Plan:
    """What a stage is asked for."""

    size: str  # a region, or full
    freight: Path
    run: Path  # the checkpoint stays in it, between calls to one machine
    out: Path  # what comes back
    device: torch.device
    ends: float  # by time.monotonic(): training, and what must be done before it
    batch: int
    workers: int
    start: Path | None = None  # a folder of trained weights; None: those that are shipped, if they are of the size
    settings: tuple[str, ...] = ()
    tiny: bool = False

    @property
    def bf16(self) -> bool:
        return self.device.type == "cuda"

    @property
    def folder(self) -> Path:
        return self.run / self.size


def make_objective(
    plan: Plan, freight: Freight, say: Callable[[str], None]
) -> tuple[Objective, TrainingData, RunOptions]:
    """Networks (from trained weights where the plan has them), samples and the run's options. Crops of a region are
    drawn now, where they are not yet.

    Raises InputError where weights are missing, damaged or of other sizes, or where the freight cannot teach,
    UsageError for a setting that is none.
    """
    run = RunOptions(
        steps=10_000_000, batch=plan.batch, bf16=plan.bf16, save_every=10_000_000, save_every_s=SAVE_EVERY_S,
        skips=SKIPS, workers=plan.workers, log_every=10,
    )  # fmt: skip
    torch.manual_seed(run.seed)
    try:
        return _full(plan, freight, run, say) if plan.size == "full" else _region(plan, freight, run, say)
    except ValueError as error:
        raise InputError(f"This freight cannot teach: {error}. Carry its other shards too.") from error


def _region(
    plan: Plan, freight: Freight, run: RunOptions, say: Callable[[str], None]
) -> tuple[Objective, TrainingData, RunOptions]:
    region = next(one for one in REGIONS if one.name == plan.size)
    if plan.tiny:
        region = replace(region, config=TINY_REGION)
    run, options = apply_settings(
        plan.settings, [run, RegionOptions(crops=TINY_CROPS) if plan.tiny else RegionOptions()]
    )
    group = Parallel(device=plan.device)
    objective = RegionObjective(region, options, group, run.bf16, _imagenet(plan))
    if plan.start:
        trained = load_region(plan.start / f"{region.name}.safetensors")
        if trained.region != region:
            raise InputError(f"The {region.name} to start from is of another size ({trained.region}).")
        objective.start_from(trained.net.state_dict(), trained.projection.state_dict())
        say(f"beginning with the weights in {plan.start}")
    elif not plan.tiny:
        begin_with_shipped(objective)
    train = _on_disk(freight.train, plan.run / "pack")
    val = None if freight.val is None else _on_disk(freight.val, plan.run / "pack" / "validation")
    data = drawn_data(region, (train, val), plan.folder, (options.crops, run), group, say)
    return objective, data, run


def _full(
    plan: Plan, freight: Freight, run: RunOptions, say: Callable[[str], None]
) -> tuple[Objective, TrainingData, RunOptions]:
    config = TINY_FULL if plan.tiny else FullConfig()
    run, options, config = apply_settings(plan.settings, [run, FULL_OPTIONS, config])
    trained = None
    if plan.start and not plan.tiny:
        trained, _ = load_full(plan.start / "full.safetensors")
        config = trained.generator.config
    content = FullContent(_imagenet(plan), FaceIdentityNet(plan.freight / IDENTITY_FILE))
    people, group = len(freight.train.identities), Parallel(device=plan.device)
    objective = FullObjective(config, options, people, group, run.bf16, content)
    if trained:
        objective.start_from(trained)
        say(f"beginning with the weights in {plan.start}")
    if plan.device.type == "cuda":  # the layout that its convolutions like
        for network in (objective.embedder_and_generator, objective.discriminators, objective.content):
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return objective, TrainingData(freight.train, objective.samples, freight.val), run


def _imagenet(plan: Plan) -> ContentNet:
    return ContentNet(EfficientNetLite0(plan.freight / IMAGENET_FILE))


def _on_disk(pack: Pack, folder: Path) -> Pack:
    """The same, where the processes that draw crops find it."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "pictures.raw").exists():
        save_pack(pack, folder)
    return open_pack(folder)


def train(plan: Plan, freight: Freight, say: Callable[[str], None], compiled: Callable[[Objective], None]) -> Trainer:
    """Train until the plan ends, or go on so from the checkpoint in its folder. `compiled` may compile networks.

    Whatever ends the call, the last checkpoint stands in the folder, and in `out` what was last copied.
    """
    objective, data, run = make_objective(plan, freight, say)
    compiled(objective)
    run = replace(run, workers=_workers(run.workers, say))

    def bring_out() -> None:
        sheets = sorted(plan.folder.glob("sheet_*.png"))
        if sheets:
            shutil.copyfile(sheets[-1], plan.folder / SHEET_FILE)
        names = (LOG_FILE, SHEET_FILE, f"{plan.size}.safetensors", judge_name(plan.size))
        copy_out([plan.folder / name for name in names], plan.out)

    trainer = Trainer(objective, data, plan.folder, run, say=say, saved=bring_out)
    left_s = max(plan.ends - time.monotonic(), 1.0)
    trainer.options = replace(trainer.options, limit_s=left_s)
    say(f"all is in place; {left_s:.0f} s to train")
    trainer.run()
    return trainer


def _workers(wanted: int, say: Callable[[str], None]) -> int:
    """Processes that hand their batches over through shared memory, where there is enough of it."""
    try:
        free_gb = shutil.disk_usage("/dev/shm").free / 1e9
    except OSError:
        free_gb = 0.0
    if wanted and free_gb < SHARED_MEMORY_GB:
        say(f"shared memory has {free_gb:.1f} GB free, processes need {SHARED_MEMORY_GB:.0f}: one process does all")
        return 0
    return wanted
