"""Meta-learning on a lent GPU for as long as there is: the run of `visavis train`, with its pictures on the device."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from avatar.core.model_files import WEIGHTS
from avatar.learning.content_losses import FullContent
from avatar.learning.efficientnet_lite import EfficientNetLite0
from avatar.learning.face_identity_net import FaceIdentityNet
from avatar.learning.fast_objective import FastObjective, FastOptions
from avatar.learning.full_objective import FullObjective, FullOptions
from avatar.learning.gpu.device_samples import FewShotSamples, PairSamples, Samples, device_feed
from avatar.learning.gpu.freight import IDENTITY_FILE, IMAGENET_FILE, Freight
from avatar.learning.gpu.machine import copy_out
from avatar.learning.losses import ContentNet
from avatar.learning.objective import Objective
from avatar.learning.parallel import Parallel
from avatar.learning.settings import apply_settings
from avatar.learning.trainer import RunOptions, Trainer, TrainingData
from avatar.model.checkpoint import load_discriminators, load_weights
from avatar.model.config import ModelConfig, RegionConfig
from avatar.model.full.checkpoint import load_full
from avatar.model.full.config import FullConfig

SHEET_FILE, LOG_FILE = "sheet.png", "log.jsonl"
SAVE_EVERY_S = 60.0
SKIPS = 50  # steps without a finite loss, before training stops
SHARED_MEMORY_GB = 2.0  # through which processes hand over their batches
VARIANTS = 4  # degraded copies of each still
ADVERSARIAL_AFTER = 200  # steps of `fast`, in which the people's vectors find their places
# Instead of the options' defaults, for a short run with large batches; --set overrides them
FAST_OPTIONS = FastOptions(rate_makers=4e-4, adversarial_from_step=ADVERSARIAL_AFTER)
FULL_OPTIONS = FullOptions(k=4, rate_makers=2e-4, rate_judges=4e-4)
# for rehearsals on processors
TINY_FAST = ModelConfig(
    embedder_channels=(8, 8, 16), face=RegionConfig((8, 12, 16), 1), mouth=RegionConfig((8, 12, 16), 1),
    eye=RegionConfig((8, 12, 16), 1), discriminator_channels=(8, 8, 12),
)  # fmt: skip
TINY_FULL = FullConfig.at(32, channels_min=8, channels_max=24, embedding=24, down_blocks=2, residual_blocks=1)


@dataclass(frozen=True)
class Plan:
    """What a stage is asked for."""

    size: str  # fast or full
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
    variants: int = VARIANTS

    @property
    def bf16(self) -> bool:
        return self.device.type == "cuda"

    @property
    def folder(self) -> Path:
        return self.run / self.size


def make_objective(plan: Plan, people: int, say: Callable[[str], None]) -> tuple[Objective, Samples, RunOptions]:
    """Networks (from trained weights where the plan has them), samples and the run's options.

    Raises InputError where weights are missing, damaged or of other sizes, UsageError for a setting that is none.
    """
    group = Parallel(device=plan.device)
    imagenet = ContentNet(EfficientNetLite0(plan.freight / IMAGENET_FILE))
    run = RunOptions(
        steps=10_000_000, batch=plan.batch, bf16=plan.bf16, save_every=10_000_000, save_every_s=SAVE_EVERY_S,
        skips=SKIPS, workers=plan.workers, log_every=10,
    )  # fmt: skip
    objective: FastObjective | FullObjective
    samples: Samples
    torch.manual_seed(run.seed)
    if plan.size == "fast":
        run, options = apply_settings(plan.settings, [run, FAST_OPTIONS])
        start = plan.start or WEIGHTS / "fast"
        if plan.tiny:
            objective = FastObjective(TINY_FAST, options, people, group, run.bf16, imagenet)
        else:
            generator, embedder, _ = load_weights(start / "fast.safetensors")
            objective = FastObjective(generator.config, options, people, group, run.bf16, imagenet)
            objective.start_from((generator, embedder), load_discriminators(start / "judges.safetensors"))
            say(f"beginning with the weights in {start}")
        samples = PairSamples()
    else:
        full_config = TINY_FULL if plan.tiny else FullConfig()
        run, full_options, full_config = apply_settings(plan.settings, [run, FULL_OPTIONS, full_config])
        trained = None
        if plan.start and not plan.tiny:
            trained, _ = load_full(plan.start / "full.safetensors")
            full_config = trained.generator.config
        content = FullContent(imagenet, FaceIdentityNet(plan.freight / IDENTITY_FILE))
        objective = FullObjective(full_config, full_options, people, group, run.bf16, content)
        if trained:
            objective.start_from(trained)
            say(f"beginning with the weights in {plan.start}")
        samples = FewShotSamples(full_config.picture_size_px, full_options.k)
    _channels_last(objective)
    return objective, samples, run


def _channels_last(objective: FastObjective | FullObjective) -> None:
    """The layout that a GPU's convolutions like."""
    networks: list[nn.Module] = [objective.embedder_and_generator, objective.discriminators, objective.content]
    if objective.group.device.type == "cuda":
        for network in networks:
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def train(plan: Plan, freight: Freight, say: Callable[[str], None], compiled: Callable[[Objective], None]) -> Trainer:
    """Train until the plan ends, or go on so from the checkpoint in its folder. `compiled` may compile networks.

    Whatever ends the call, the last checkpoint stands in the folder, and in `out` what was last copied.
    """
    objective, samples, run = make_objective(plan, len(freight.train.identities), say)
    compiled(objective)
    run = replace(run, workers=_workers(run.workers, say))
    feed = device_feed(samples, plan.device, plan.variants, threads=max(plan.workers, 1))

    def bring_out() -> None:
        sheets = sorted(plan.folder.glob("sheet_*.png"))
        if sheets:
            shutil.copyfile(sheets[-1], plan.folder / SHEET_FILE)
        names = (LOG_FILE, SHEET_FILE, "fast.safetensors", "judges.safetensors")
        copy_out([plan.folder / name for name in names], plan.out)

    trainer = Trainer(
        objective, TrainingData(freight.train, freight.val, feed), plan.folder, run, say=say, saved=bring_out
    )  # fmt: skip
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
