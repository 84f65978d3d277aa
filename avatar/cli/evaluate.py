"""`visavis evaluate`: how good the network is on given clips, beside two baselines that need no learning."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from avatar.cli.offline import tracker_model_then_offline
from avatar.errors import InputError, UsageError, VisavisError
from avatar.evaluation.motion import FLOORS, SIGNALS, Correlation
from avatar.evaluation.saved_run import save_run
from avatar.evaluation.scores import METRICS, REAL, SLOW_METRIC_FRAMES, ClipScores, Judge, TotalScores, best, total
from avatar.evaluation.self_reenactment import SIZE_PX, SYSTEMS, ClipRun, SelfReenactment, Tick
from avatar.model_files import MODEL_ID, model_file
from engines import explain, open_engine

VIDEO_SUFFIXES = {".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v"}
FORMAT = 1  # of --json
MAX_SHOTS = 32
TITLES = {"unmoved": "unmoved", "landmark_warp": "landmark warp", "visavis": "visavis", REAL: "real"}
ARROWS = {"lower": "↓", "higher": "↑"}
LEGEND = (
    "↓ lower is better, ↑ higher is better; the best of the three is green. r: correlation of the driver's motion with "
    "the output's, tracked again (– without motion); lips and lids apart are measured on the mesh, beside the "
    "blendshapes. real: the true picture tracked again, the most that can be had. VGG16 and identity: "
    f"{SLOW_METRIC_FRAMES} frames a clip at most."
)
SIGNAL_TITLES = {
    "jaw_open": "jawOpen", "blink": "blink", "smile": "smile", "yaw": "yaw", "pitch": "pitch",
    "mouth_opening": "lips apart", "eye_opening": "lids apart",
}  # fmt: skip


def evaluate(
    clips: Annotated[
        list[Path], typer.Option("--clips", help="A folder of videos, or a video; repeat it, or add more at the end.")
    ],
    more: Annotated[list[Path] | None, typer.Argument(help="More videos.", show_default=False)] = None,
    shots: Annotated[str, typer.Option(help="Source frames per clip, e.g. 1 or 1,8 (at most 32).")] = "1",
    save: Annotated[Path | None, typer.Option(help="Write each clip's pictures and frame numbers here.")] = None,
    frames: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many frames to predict per clip.")] = 60,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Self-reenactment: re-make a clip's later frames from its first, and compare with the real ones.

    Example: visavis evaluate --clips my_clips --shots 1,8 --save evaluation
    """
    console = Console(stderr=as_json)
    paths = find_clips([*clips, *(more or [])])
    shot_counts = parse_shots(shots)
    failed: list[dict[str, Any]] = []
    runs: list[dict[str, Any]] = []
    tracker = tracker_model_then_offline(console)
    generator = open_engine(model_file("fast/generator.onnx"))
    embedder = open_engine(model_file("fast/embedder.onnx"))
    console.print(escape(explain(generator)), style="dim")
    chains = [SelfReenactment(tracker, embedder, generator, MODEL_ID, count, frames) for count in shot_counts]
    try:
        with Judge(tracker) as judge, _progress(console) as progress:
            for metric, reason in judge.skipped.items():
                console.print(f"[yellow]Without {metric}:[/] {escape(reason)}")
            whole = progress.add_task("all clips", total=len(chains) * len(paths))
            for chain in chains:
                scored: list[tuple[ClipRun, ClipScores]] = []
                for path in paths:
                    task = progress.add_task(path.name, total=2.0)
                    try:
                        run = chain.run(path, _tick(progress, task))
                        scores = judge.score(run, _tick(progress, task, 1.0))
                        if save is not None:
                            save_run(run, save if len(chains) == 1 else save / f"shots_{chain.shots}")
                        scored.append((run, scores))
                        if run.damage:
                            console.print(f"[yellow]{escape(run.damage)}[/]")
                    except InputError as error:
                        failed.append({"clip": str(path), "shots": chain.shots, "reason": str(error)})
                        console.print(f"[red]{escape(str(error))}[/]")
                    progress.remove_task(task)
                    progress.advance(whole)
                if scored:
                    summary = total([scores for _, scores in scored])
                    runs.append(_run_json(chain.shots, scored, summary))
                    if not as_json:
                        _print_tables(console, chain.shots, scored, summary)
            skipped = judge.skipped
        described = asdict(generator.describe())
    finally:
        generator.close()
        embedder.close()
    if as_json:
        report = _report_json(described, skipped, runs, failed)
        print(json.dumps(report, indent=2, allow_nan=False))
    if failed:
        raise VisavisError(
            f"{len(failed)} of {len(chains) * len(paths)} evaluations failed, named above; the totals leave them out."
        )


def find_clips(given: Sequence[Path]) -> list[Path]:
    """The videos among files and folders, in order. Raises UsageError when there is none, or two of one name."""
    paths: list[Path] = []
    for path in given:
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.suffix.lower() in VIDEO_SUFFIXES and p.is_file())
            if not inside:
                raise UsageError(f"{path} holds no video ({', '.join(sorted(VIDEO_SUFFIXES))}). Give another --clips.")
            paths += inside
        elif path.is_file():
            paths.append(path)
        else:
            raise UsageError(f"{path}: no such file or folder. --clips takes a folder of videos, or videos.")
    seen: dict[str, Path] = {}
    for path in paths:
        if path.stem in seen:
            raise UsageError(f"{seen[path.stem]} and {path} have the same name, which names the results. Rename one.")
        seen[path.stem] = path
    return paths


def parse_shots(text: str) -> list[int]:
    """ "1,8" to [1, 8]. Raises UsageError."""
    if not re.fullmatch(r"\s*\d+\s*(,\s*\d+\s*)*", text):
        raise UsageError(f"--shots {text}: give numbers such as 1 or 1,8.")
    counts = list(dict.fromkeys(int(part) for part in text.split(",")))
    if any(not 1 <= count <= MAX_SHOTS for count in counts):
        raise UsageError(f"--shots {text}: each number must be 1 to {MAX_SHOTS}.")
    return counts


def _progress(console: Console) -> Progress:
    return Progress(TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=console, transient=True)


def _tick(progress: Progress, task: TaskID, start: float = 0.0) -> Tick:
    return lambda share: progress.update(task, completed=start + share)


def _print_tables(
    console: Console, shots: int, scored: Sequence[tuple[ClipRun, ClipScores]], summary: TotalScores
) -> None:
    for run, scores in scored:
        about = f"{run.clip}, {shots}-shot, {len(run.target_frames)} of {run.frame_count} frames predicted"
        if run.without_face:
            about += f", {run.without_face} show no face and are left out"
        console.print(_table(about, scores.values, scores.lost, scores.correlations))
    if len(scored) > 1:
        frames = sum(len(run.target_frames) for run, _ in scored)
        about = f"All {len(scored)} clips, {shots}-shot, {frames} frames: mean of the clips; r over pooled frames"
        console.print(_table(about, summary.values, summary.lost, summary.pooled))
    console.print(LEGEND, style="dim", highlight=False)


def _table(
    title: str,
    values: dict[str, dict[str, float | None]],
    lost: dict[str, int],
    correlations: dict[str, dict[str, Correlation]],
) -> Table:
    columns = (*SYSTEMS, REAL)
    table = Table("", *(TITLES[system] for system in columns), title=escape(title), title_justify="left")
    for column in table.columns[1:]:
        column.justify = "right"
    for metric in METRICS:
        row = {system: values[system].get(metric.key) for system in columns}
        label = f"{metric.label} [dim]{metric.unit}[/] {ARROWS[metric.better]}"
        table.add_row(label, *_marked(row, {s: _number(value) for s, value in row.items()}, metric.better))
    table.add_row("Face lost [dim]frames[/] ↓", *(str(lost[system]) for system in columns), end_section=True)
    notes = []
    for signal in SIGNALS:
        found = {system: correlations[system][signal] for system in columns}
        cells = _marked({s: c.r for s, c in found.items()}, {s: _number(c.r) for s, c in found.items()}, "higher")
        table.add_row(f"r {SIGNAL_TITLES[signal]} ↑", *cells)
        if (reason := found[REAL].reason) is not None:
            notes.append(f"{SIGNAL_TITLES[signal]}: {reason}")
    if notes:
        table.caption = escape("No r for " + "; ".join(notes) + ".")
    return table


def _marked(values: dict[str, float | None], cells: dict[str, str], better: Any) -> list[str]:
    winner = best(values, better)
    return [f"[bold green]{cell}[/]" if system == winner else cell for system, cell in cells.items()]


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}" if abs(value) >= 10 else f"{value:.4f}"


def _run_json(shots: int, scored: Sequence[tuple[ClipRun, ClipScores]], summary: TotalScores) -> dict[str, Any]:
    return {
        "shots": shots,
        "clips": [
            {
                "clip": run.clip,
                "damage": run.damage,
                "frame_count": run.frame_count,
                "frames_without_face": run.without_face,
                "source_frames": run.source_frames,
                "target_frames": run.target_frames,
                "crop": asdict(run.crop),
                "values": _all_metrics(scores.values),
                "lost": scores.lost,
                "correlations": {
                    system: {signal: asdict(found) for signal, found in by_signal.items()}
                    for system, by_signal in scores.correlations.items()
                },
            }
            for run, scores in scored
        ],
        "total": {
            "values": _all_metrics(summary.values),
            "lost": summary.lost,
            "better": {m.key: best({s: summary.values[s][m.key] for s in SYSTEMS}, m.better) for m in METRICS},
            "correlations": {
                system: {
                    signal: {"pooled": asdict(found), "mean_of_clips": summary.clip_means[system][signal]}
                    for signal, found in by_signal.items()
                }
                for system, by_signal in summary.pooled.items()
            },
        },
    }


def _all_metrics(values: dict[str, dict[str, float | None]]) -> dict[str, dict[str, float | None]]:
    return {system: {m.key: found.get(m.key) for m in METRICS} for system, found in values.items()}


def _report_json(
    engine: dict[str, Any], skipped: dict[str, str], runs: list[dict[str, Any]], failed: list[dict[str, Any]]
) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "protocol": "self-reenactment, absolute motion",
        "model": MODEL_ID,
        "engine": engine,
        "size_px": SIZE_PX,
        "systems": [*SYSTEMS, REAL],
        "metrics": [asdict(metric) for metric in METRICS],
        "signal_floors": FLOORS,
        "skipped_metrics": skipped,
        "runs": runs,
        "failed": failed,
    }
