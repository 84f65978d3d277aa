"""A training run of one region, from packs to weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from avatar.core.model_files import WEIGHTS, model_file
from avatar.learning.dataset.pack import Pack
from avatar.learning.parallel import Parallel
from avatar.learning.region_crops import Crops, RegionCrops, draw_crops
from avatar.learning.region_objective import RegionObjective, RegionOptions
from avatar.learning.trainer import RunOptions, Trainer, TrainingData
from avatar.model.embedder import load_embedder
from avatar.model.layered_generator import Region, load_region

VALIDATION_SEED, VALIDATION_CROPS = 7, 1024


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

    It begins with the weights that come with visavis, where the region has some.
    """
    data = drawn_data(region, packs, out, (options.crops, run), group, say)
    objective = RegionObjective(region, options, group, run.bf16)
    if not (out / "state.pt").exists():
        begin_with_shipped(objective)
    Trainer(objective, data, out, run, say).run()


def drawn_data(
    region: Region,
    packs: tuple[Pack, Pack | None],
    out: Path,
    wanted: tuple[int, RunOptions],
    group: Parallel,
    say: Callable[[str], None],
) -> TrainingData:
    """`wanted`: how many crops of the people to learn from, and the run that reads them. `packs` lie in folders."""
    count, run = wanted
    made = {"train": (count, run.seed), "val": (min(count, VALIDATION_CROPS), VALIDATION_SEED)}
    if group.first:
        embedder = load_embedder(model_file("fast-3/embedder.safetensors"))
        for pack, (name, (crops, seed)) in zip(packs, made.items(), strict=True):
            if pack is not None:
                drawn = Crops(_folder(pack), region, crops, seed)
                draw_crops(drawn, out / "crops" / name, embedder, run.workers or 1, say)
    group.wait()
    training, validation = packs

    def samples(pack: Pack, seed: int) -> RegionCrops:
        held_out = pack is validation
        return RegionCrops(out / "crops" / ("val" if held_out else "train"), seed, plain=held_out)

    return TrainingData(training, samples, validation)


def begin_with_shipped(objective: RegionObjective) -> None:
    """Begin with the region's weights that come with visavis, if there are any."""
    shipped = WEIGHTS / "fast-3" / f"{objective.region.name}.safetensors"
    if shipped.is_file():
        trained = load_region(shipped)
        objective.start_from(trained.net.state_dict(), trained.projection.state_dict())


def _folder(pack: Pack) -> Path:
    pictures = pack.pictures
    assert isinstance(pictures, np.memmap)
    return Path(str(pictures.filename)).parent
