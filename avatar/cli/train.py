"""`visavis train`: meta-learning from training data."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from avatar.cli.terminal import Terminal, print_json
from avatar.core.errors import UsageError
from avatar.core.extras import without_torch

if TYPE_CHECKING:
    from avatar.learning.parallel import Parallel
    from avatar.model.layered_generator import Region


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
            help="face, mouth or eye: a net of the network that draws live. full: the paper's networks, for GPUs."
        ),
    ] = "mouth"
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

    On several GPUs: torchrun --nproc-per-node 8 -m avatar.cli.main train --size full --data shards --out runs/1
    """
    try:
        import torch

        from avatar.learning.parallel import parallel
    except ModuleNotFoundError as error:
        raise without_torch("Training", error) from error
    if summary:
        from avatar.learning.summary import summarise_all, summary_table

        rows = summarise_all()
        if as_json:
            print_json([asdict(row) for row in rows])
        else:
            Terminal().print(summary_table(rows))
        return
    from avatar.model.layered_generator import REGIONS

    regions = {region.name: region for region in REGIONS}
    if wish.size not in (*regions, "full"):
        raise UsageError(f"There is no size '{wish.size}'. Choose {', '.join(regions)} or full.")
    if not wish.dry_run and (wish.data is None or wish.out is None):
        raise UsageError("Say what to learn from and where to write: --data FOLDER --out FOLDER.")
    if wish.threads:
        torch.set_num_threads(wish.threads)
    with parallel() as group:
        if wish.size == "full":
            _train_full(wish, group)
        else:
            _train_region(regions[wish.size], wish, group)


def _train_region(region: Region, wish: Training, group: Parallel) -> None:
    from avatar.learning.region_objective import RegionOptions
    from avatar.learning.region_run import train_region
    from avatar.learning.settings import apply_settings
    from avatar.learning.trainer import RunOptions
    from avatar.learning.training_packs import training_packs

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


def _train_full(wish: Training, group: Parallel) -> None:
    import torch

    from avatar.learning.full_objective import FullObjective, FullOptions
    from avatar.learning.settings import apply_settings
    from avatar.learning.trainer import RunOptions, Trainer, TrainingData
    from avatar.learning.training_packs import training_packs
    from avatar.model.full.config import FullConfig

    defaults = [RunOptions(batch=4, rate_final=1.0), FullOptions(), FullConfig.at(wish.resolution)]  # the paper's rates
    run, options, config = apply_settings(wish.set_option or [], defaults)
    if wish.dry_run:
        print_json({"run": asdict(run), "options": asdict(options), "model": config.to_dict()})
        return
    assert wish.data is not None and wish.out is not None
    say = Terminal().say
    training, validation = training_packs(wish.data, wish.out / "pack", wish.hold_out or [], group, say)
    torch.manual_seed(run.seed)  # all processes start with the same networks
    objective = FullObjective(config, options, len(training.identities), group, run.bf16)
    Trainer(objective, TrainingData(training, objective.samples, validation), wish.out, run).run()
    if group.first:
        weights = wish.out / "full.safetensors"
        say(f"weights: {weights}. Next: visavis export {weights} --out {wish.out}")
