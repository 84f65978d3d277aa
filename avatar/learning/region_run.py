"""A training run of one region of `fast-3`, from packs to weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from avatar.core.model_files import model_file
from avatar.learning.dataset.pack import Pack
from avatar.learning.parallel import Parallel, to_device
from avatar.learning.region_crops import Crops, RegionCrops, draw_crops
from avatar.learning.region_objective import RegionObjective, RegionOptions
from avatar.learning.trainer import Feed, RunOptions, Trainer, TrainingData
from avatar.model.checkpoint import load_weights
from avatar.model.layered_generator import Region

VALIDATION_SEED, VALIDATION_CROPS = 7, 1024
OLDER = ("face", "mouth", "eye")  # the nets of `fast-2`, in the order of their ψ


def train_region(
    region: Region,
    packs: tuple[Pack, Pack | None],
    out: Path,
    run: RunOptions,
    options: RegionOptions,
    group: Parallel,
    say: Callable[[str], None] = print,
) -> None:
    """Draw the crops of training and validation people into `out`, where they are not yet, and train on them.

    It begins with the net of `fast-2`, whose shapes fit, and with that one's frozen embedder.
    """
    generator, embedder, _ = load_weights(model_file("fast/fast.safetensors"))
    made = {"train": (options.crops, run.seed), "val": (VALIDATION_CROPS, VALIDATION_SEED)}
    for pack, (name, (count, seed)) in zip(packs, made.items(), strict=True):
        if pack is not None and group.first:
            crops = Crops(_folder(pack), region, count, seed)
            draw_crops(crops, out / "crops" / name, embedder, run.workers or 1, say)
    group.wait()
    objective = RegionObjective(region, options, group, run.bf16)
    if not (out / "state.pt").exists():
        number = OLDER.index(region.name)
        first, size = sum(generator.psi_sizes[:number]), generator.psi_sizes[number]
        projection = {name: value[first : first + size] for name, value in embedder.projection.state_dict().items()}
        objective.start_from(getattr(generator, region.name).state_dict(), projection)
    training, validation = packs

    def feed(pack: Pack, seed: int) -> Feed:
        held_out = pack is validation
        crops = RegionCrops(out / "crops" / ("val" if held_out else "train"), seed, plain=held_out)
        return Feed(crops, lambda batch: to_device(batch, group.device))

    Trainer(objective, TrainingData(training, validation, feed), out, run, say).run()


def _folder(pack: Pack) -> Path:
    pictures = pack.pictures
    assert isinstance(pictures, np.memmap)
    return Path(str(pictures.filename)).parent
