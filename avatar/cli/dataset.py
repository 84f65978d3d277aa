"""`visavis dataset build`, `check`, `summary` and `pack`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from avatar.cli.command_app import CommandApp
from avatar.cli.terminal import Terminal, print_json
from avatar.core.errors import UsageError, VisavisError
from avatar.core.extras import without_torch

if TYPE_CHECKING:
    from avatar.learning.dataset.build import BuildOptions

dataset = CommandApp(
    help="Make training data of videos and photos, or look at it.\n\nExample: visavis dataset build SRC --out shards",
    no_args_is_help=True,
)


@dataclass(frozen=True)
class Taken:
    """What is taken of the sources, and how it is laid out."""

    shard_mb: Annotated[float, typer.Option(min=0.1, max=10_000.0, help="A shard of this size is full.")] = 256.0
    fps: Annotated[float, typer.Option(min=1.0, max=60.0, help="Frames taken per second of video.")] = 12.5
    min_face: Annotated[int, typer.Option(min=16, help="Smallest face that is used, in pixels of its source.")] = 48
    min_frames: Annotated[int, typer.Option(min=2, help="Shortest track of a video that is used.")] = 6
    max_turn: Annotated[
        float, typer.Option(min=5.0, max=90.0, help="Farthest turn of a head, to the side, up or down, in degrees.")
    ] = 45.0
    hold_out: Annotated[
        list[str] | None, typer.Option(help="Person kept for validation (repeatable; a final * is a prefix).")
    ] = None

    def options(self) -> BuildOptions:
        from avatar.learning.dataset.build import BuildOptions
        from avatar.learning.dataset.outcome import TrackRules

        rules = TrackRules(self.fps, self.min_face, self.min_frames, self.max_turn)
        return BuildOptions(rules, self.shard_mb, tuple(sorted(set(self.hold_out or []))))


@dataclass(frozen=True)
class Machines:
    """Where the work is done."""

    workers: Annotated[int, typer.Option(min=0, max=1024, help="Processes on this machine (0: one per core).")] = 0
    ray: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Work on a Ray cluster: its address, auto (a running one) or local."),
    ] = None


@dataset.command()
def build(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="Folder of videos and photos.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder for the shards: a new or empty one, or one to go on with.")],
    taken: Taken,
    machines: Machines,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Crop, track, filter and label faces, and write them as WebDataset shards.

    SRC holds a manifest.csv (columns file,identity and any others), or VoxCeleb2's folders, or one folder per person,
    or files side by side, each then a person of its own. Stop it at any moment: the same command goes on, and ends in
    the same bytes, whatever the number of workers. SHARDS/report.json and files.jsonl say what was left out, and why.

    Example: visavis dataset build faces --out shards --hold-out 'val_*'
    """
    _build(source, out, taken, machines, as_json)


def _build(source: Path, out: Path, taken: Taken, machines: Machines, as_json: bool = False) -> None:
    from rich.progress import MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    from avatar.cli.offline import tracker_model_then_offline
    from avatar.cli.stop import sigterm_as_ctrl_c
    from avatar.learning.dataset.build import Progress as State
    from avatar.learning.dataset.build import build_dataset
    from avatar.learning.dataset.workers import on_ray, on_this_machine
    from avatar.tracking.model_asset import tracker_model

    terminal = Terminal(stderr=True)
    if machines.ray is not None and machines.workers:
        raise UsageError("--workers is for this machine, --ray for a cluster, which knows its own size. Give one.")
    options = taken.options()
    if not source.is_dir():
        raise UsageError(f"{source} is not a folder. Give the folder that holds the videos and photos.")
    if machines.ray is not None:
        model, run = tracker_model(), on_ray(machines.ray)
        terminal.say("This process keeps its network, which Ray needs; the trackers' own have none.", style="dim")
    else:
        model, run = tracker_model_then_offline(terminal), on_this_machine(machines.workers or os.cpu_count() or 1)
    sigterm_as_ctrl_c()
    rates = TextColumn("{task.fields[rate]}", markup=False)
    columns = (MofNCompleteColumn(), rates, TimeElapsedColumn(), TimeRemainingColumn())
    try:
        with terminal.progress(*columns) as bar:
            task = bar.add_task("looking through the files", total=None, rate="")
            first: State | None = None

            def show(state: State) -> None:
                nonlocal first
                first = first or state  # after a resume, what was there before is no speed
                rate = (state.frames - first.frames) / max(bar.tasks[0].elapsed or 0.0, 1e-3)
                said = f"{state.frames:,} frames, {rate:.1f}/s, {state.refused} files left out"
                bar.update(task, completed=state.done, total=state.total, description="faces", rate=said)

            report = build_dataset(source, out, options, model, run, show, lambda line: terminal.say(line, style="dim"))
    except KeyboardInterrupt:
        terminal.say("Stopped. The same command goes on from here.")
        raise
    if as_json:
        print_json(report)
    else:
        to_terminal = Terminal()
        _print_report(to_terminal, report)
        to_terminal.say(f"Every file: {out / 'files.jsonl'}", f"Next: visavis train --data {out} --out runs/1")


@dataset.command()
def check(
    folder: Annotated[Path, typer.Argument(metavar="SHARDS", help="A built data set.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Print the faults as JSON.")] = False,
) -> None:
    """Read every shard and compare it with the sha256 that was written when it was made.

    Example: visavis dataset check shards
    """
    from rich.progress import DownloadColumn, TimeRemainingColumn

    from avatar.learning.dataset.built_dataset import check_shards, read_dataset

    shards = read_dataset(folder)["shards"]
    total = sum(shard.bytes for shard in shards)
    with Terminal(stderr=True).progress(DownloadColumn(), TimeRemainingColumn()) as bar:
        task = bar.add_task("reading", total=total)
        faults = check_shards(folder, lambda count: bar.advance(task, count))
    if as_json:
        print_json({"shards": len(shards), "bytes": total, "faults": faults})
    elif not faults:
        Terminal().say(f"{len(shards)} shards, {total / 1e6:,.1f} MB: all as they were written.")
    if faults:
        raise VisavisError(
            f"{len(faults)} of {len(shards)} shards are not as they were written:\n  "
            + "\n  ".join(faults)
            + "\nDelete "
            "these files and run the same `visavis dataset build` again: it makes them anew, and what comes after them."
        )


@dataset.command()
def summary(
    folder: Annotated[Path, typer.Argument(metavar="SHARDS", help="A built data set.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """What a data set holds and what was left out, and how heads turn, mouths open and eyes shut in it.

    Example: visavis dataset summary shards
    """
    from avatar.learning.dataset.built_dataset import read_dataset, read_report

    read_dataset(folder)
    report = read_report(folder)
    if as_json:
        print_json(report)
        return
    output = Terminal()
    _print_report(output, report)
    for title, histogram in report["histograms"].items():
        output.say("")
        output.say(title, style="bold")
        most = max(*histogram["frames"], 1)
        table = Table(box=None, pad_edge=False, show_header=False)
        for justify in ("right", "right", "left"):
            table.add_column(justify=justify)
        edges = histogram["edges"]
        for low, high, count in zip(edges[:-1], edges[1:], histogram["frames"], strict=True):
            blocks = "█" * round(40 * count / most) or ("▏" if count else "")
            table.add_row(f"{low:g} to {high:g}", f"{count:,}", blocks)
        output.print(table)
    table = Table("licence", box=None, pad_edge=False)
    for heading in ("tracks", "frames"):
        table.add_column(heading, justify="right")
    for licence, counts in report["licences"].items():
        table.add_row(licence, f"{counts['tracks']:,}", f"{counts['frames']:,}")
    output.say("")
    output.print(table)


def _print_report(output: Terminal, report: dict[str, Any]) -> None:
    table = Table("split", box=None, pad_edge=False)
    figures = ("people", "clips", "hours", "stills", "frames", "shards", "MB")
    for heading in figures:
        table.add_column(heading, justify="right")
    for name, split in report["splits"].items():
        values = split | {"MB": split["bytes"] / 1e6}
        cells = (f"{values[f]:,.2f}" if f in ("hours", "MB") else f"{values[f]:,}" for f in figures)
        table.add_row(name, *cells)
    output.print(table)
    table = Table(box=None, pad_edge=False)
    table.add_column("left out", no_wrap=True)
    for heading, justify in (("files", "right"), ("frames", "right"), ("for example", "left")):
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]
    for title, kind in (
        ("file: ", "dropped_files"),
        ("used in part: ", "files_used_in_part"),
        ("frames: ", "dropped_frames"),
    ):
        for reason, entry in sorted(report[kind].items(), key=lambda item: -item[1]["files"]):
            example = entry["examples"][0]
            said = f": {example['detail']}" if "detail" in example else ""
            frames = f"{entry['frames']:,}" if entry["frames"] else ""
            table.add_row(title + reason, f"{entry['files']:,}", frames, example["file"] + said)
    for suffix, count in report["ignored"].items():
        table.add_row(f"neither photo nor video: {suffix}", f"{count:,}", "", "")
    seen = f"{report['files']:,} files, {report['frames_seen']:,} frames looked at, {report['shot_cuts']:,} cuts"
    output.say("", seen)
    output.print(table if table.row_count else "Nothing was left out.")
    if names := report["people_without_data"]:
        output.say(f"{len(names)} people gave nothing: {', '.join(names[:5])}{' …' if len(names) > 5 else ''}")


@dataset.command()
def pack(
    source: Annotated[
        Path,
        typer.Argument(metavar="DATA", help="A built data set, or the folder to build it from.", show_default=False),
    ],
    for_gpu: Annotated[
        Path, typer.Option(metavar="OUT", help="Folder for what travels: new, empty, or packed before.")
    ],
    mb: Annotated[float, typer.Option(min=1.0, max=10_000.0, help="Megabytes in all.")] = 60.0,
    shard_mb: Annotated[float, typer.Option(min=0.5, max=64.0, help="Megabytes of one shard at most.")] = 28.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was packed as JSON.")] = False,
) -> None:
    """Make training data small for a machine with a GPU and no network: see docs/TRAINING.md.

    All stills go along and, as far as they fit, the frames of clips that differ most in pose, mouth and eyes. Who is
    held out is marked and never trained on. A folder of videos and photos is first built into OUT-shards.

    Example: visavis dataset pack shards --for-gpu freight
    """
    from avatar.cli.stop import sigterm_as_ctrl_c
    from avatar.learning.dataset.built_dataset import DATASET_FILE

    try:
        from avatar.learning.gpu.freight_packing import pack_freight
    except ImportError as error:
        raise without_torch("Packing", error) from error
    sigterm_as_ctrl_c()
    shards = source
    if not (source / DATASET_FILE).is_file():
        if as_json:
            raise UsageError(f"--json is for a built data set. First: visavis dataset build {source} --out shards")
        shards = for_gpu.with_name(for_gpu.name + "-shards")
        _build(source, shards, Taken(), Machines())
    with Terminal(stderr=True).status("packing") as status:

        def show(what: str, done: int, total: int) -> None:
            status.update(f"{what}: {done:,} of {total:,}")

        said = pack_freight(shards, for_gpu, mb, shard_mb, os.cpu_count() or 1, show)
    if as_json:
        print_json(said)
        return
    table = Table("split", box=None, pad_edge=False)
    for heading in ("people", "stills", "clips", "clip frames"):
        table.add_column(heading, justify="right")
    for split, counts in said["counts"].items():
        table.add_row(split, *(f"{count:,}" for count in counts.values()))
    output = Terminal()
    output.print(table)
    sizes = ", ".join(f"{shard['bytes'] / 1e6:.1f}" for shard in said["shards"])
    output.say(
        f"{said['bytes'] / 1e6:.1f} MB: shards of {sizes} MB, and the networks of the losses; "
        f"{said['left_out_frames']:,} frames did not fit.",
        f"Next: scripts/gpu/run.sh --rehearse --freight {for_gpu}",
    )
