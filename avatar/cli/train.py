"""`visavis train`: meta-learning from training data."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from avatar.cli.terminal import Terminal, print_json
from avatar.core.errors import UsageError, VisavisError

if TYPE_CHECKING:
    from avatar.learning.parallel import Parallel


@dataclass(frozen=True)
class Training:
    """What is learnt, from which data, and where it is written."""

    data: Annotated[
        Path | None,
        typer.Option(help="Shards of `visavis dataset build`, or a folder with manifest.csv (columns file,identity)."),
    ] = None
    out: Annotated[
        Path | None, typer.Option(help="Folder of the run: checkpoints, log.jsonl, TensorBoard files, sample sheets.")
    ] = None
    size: Annotated[
        str,
        typer.Option(
            help="fast: for live use on any machine. face, mouth, eye: a net of fast-3. full: the paper's, for GPUs."
        ),
    ] = "fast"
    resolution: Annotated[int, typer.Option(help="Side of the pictures of `full`, in pixels.")] = 256
    hold_out: Annotated[
        list[str] | None, typer.Option(help="Identity kept for validation (repeatable; a final * is a prefix).")
    ] = None
    set_option: Annotated[
        list[str] | None,
        typer.Option("--set", help="An option of the run, such as steps=8000 (repeatable; --dry-run lists all)."),
    ] = None
    threads: Annotated[int, typer.Option(min=0, max=1024, help="CPU threads of torch (0: its own choice).")] = 0
    dry_run: Annotated[bool, typer.Option(help="Print the whole configuration and stop.")] = False


def train(
    wish: Training,
    summary: Annotated[bool, typer.Option(help="Print parameters and FLOPs of every size and stop.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --summary: as JSON.")] = False,
) -> None:
    """Meta-train the networks. Run the same command again to go on from the last checkpoint.

    Example: visavis train --data shards --out runs/1 --set steps=8000

    On several GPUs: torchrun --nproc-per-node 8 -m avatar.cli.main train --data shards --out runs/1 --set bf16=1
    """
    try:
        import torch

        from avatar.learning.parallel import parallel
    except ModuleNotFoundError as error:
        raise VisavisError(f"Training needs torch ({error.name} is missing): pip install 'visavis[train]'") from error
    if summary:
        from avatar.learning.summary import summarise_all, summary_table

        rows = summarise_all()
        if as_json:
            print_json([asdict(row) for row in rows])
        else:
            Terminal().print(summary_table(rows))
        return
    if wish.size not in ("fast", "face", "mouth", "eye", "full"):
        raise UsageError(f"There is no size '{wish.size}'. Choose fast, face, mouth, eye or full.")
    if not wish.dry_run and (wish.data is None or wish.out is None):
        raise UsageError("Say what to learn from and where to write: --data FOLDER --out FOLDER.")
    if wish.threads:
        torch.set_num_threads(wish.threads)
    with parallel() as group:
        if wish.size in ("face", "mouth", "eye"):
            _train_region(wish, group)
        else:
            _train(wish, group)


def _train_region(wish: Training, group: Parallel) -> None:
    from avatar.learning.region_objective import RegionOptions
    from avatar.learning.region_run import train_region
    from avatar.learning.settings import apply_settings
    from avatar.learning.trainer import RunOptions
    from avatar.learning.training_packs import training_packs
    from avatar.model.layered_generator import REGIONS

    region = {one.name: one for one in REGIONS}[wish.size]
    run, options = apply_settings(wish.set_option or [], [RunOptions(batch=16, save_every=500), RegionOptions()])
    if wish.dry_run:
        print_json({"run": asdict(run), "options": asdict(options), "model": asdict(region)})
        return
    assert wish.data is not None and wish.out is not None
    say = Terminal().say
    packs = training_packs(wish.data, wish.out / "pack", wish.hold_out or [], group, say)
    train_region(region, packs, wish.out, run, options, group, say)
    if group.first:
        weights = wish.out / f"{region.name}.safetensors"
        say(f"weights: {weights}. Next: visavis export {weights} --out {wish.out}")


def _train(wish: Training, group: Parallel) -> None:
    import torch

    from avatar.learning.fast_objective import FastObjective, FastOptions
    from avatar.learning.full_objective import FullObjective, FullOptions
    from avatar.learning.objective import Objective
    from avatar.learning.settings import apply_settings
    from avatar.learning.trainer import RunOptions, Trainer, TrainingData
    from avatar.learning.training_packs import training_packs
    from avatar.model.config import ModelConfig
    from avatar.model.full.config import FullConfig

    fast, settings = wish.size == "fast", wish.set_option or []
    defaults = RunOptions() if fast else RunOptions(batch=4, rate_final=1.0)  # the paper keeps its rates
    run: RunOptions
    config: ModelConfig | FullConfig
    if fast:
        run, options = apply_settings(settings, [defaults, FastOptions()])
        config = ModelConfig()
    else:
        run, options, config = apply_settings(settings, [defaults, FullOptions(), FullConfig.at(wish.resolution)])
    if wish.dry_run:
        shown = {"run": asdict(run), "options": asdict(options), "model": config.to_dict()}
        print_json(shown)
        return
    assert wish.data is not None and wish.out is not None
    say = Terminal().say
    training, validation = training_packs(wish.data, wish.out / "pack", wish.hold_out or [], group, say)
    torch.manual_seed(run.seed)  # all processes start with the same networks
    people = len(training.identities)
    objective: Objective
    if isinstance(config, ModelConfig):
        objective = FastObjective(config, options, people, group, run.bf16)
    else:
        objective = FullObjective(config, options, people, group, run.bf16)
    Trainer(objective, TrainingData(training, validation), wish.out, run).run()
    if group.first:
        weights = wish.out / f"{wish.size}.safetensors"
        Terminal().say(f"weights: {weights}. " + (f"Next: visavis export {weights} --out {wish.out}" if fast else ""))
