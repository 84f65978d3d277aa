"""`visavis evaluate`: how good the network is on given clips, beside two baselines that need no learning."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import TimeElapsedColumn

from avatar.cli.evaluate_driving import DrivingEvaluation
from avatar.cli.given_files import files_of
from avatar.cli.offline import tracker_model_then_offline
from avatar.cli.options import WEIGHTS_HELP, named_network
from avatar.cli.terminal import Terminal, print_json
from avatar.core.avatar import Avatar
from avatar.core.errors import UsageError, VisavisError
from avatar.core.extras import install
from avatar.core.whole_file import whole_file
from avatar.evaluation import manifest
from avatar.evaluation.evaluation import Evaluation, Report, result_names
from avatar.evaluation.html_report import as_html
from avatar.evaluation.json_report import as_json as as_json_report
from avatar.evaluation.markdown_report import as_markdown
from avatar.evaluation.person import FF, FT, FULL, FineTune, Lineup, Tell, Tuning
from avatar.evaluation.saved_run import check_file, check_folder
from avatar.evaluation.tables import print_paper_table, print_report
from avatar.sources.media import SUFFIXES as VIDEO_SUFFIXES
from avatar.sources.photo import SUFFIXES as PHOTO_SUFFIXES

MAX_SHOTS = 32


@dataclass(frozen=True)
class Comparison:
    """What is drawn of the clips."""

    shots: Annotated[str, typer.Option(help="Source frames per clip, e.g. 1 or 1,8,32 (at most 32).")] = "1"
    systems: Annotated[
        str, typer.Option(help="ff (feed-forward); ff,ft (and fine-tuned); with full beside, the paper's network.")
    ] = FF
    weights: Annotated[Path | None, typer.Option(help=WEIGHTS_HELP)] = None
    ft_minutes: Annotated[
        float, typer.Option("--ft-minutes", min=0.1, max=600.0, help="Minutes to fine-tune at most, per clip and T.")
    ] = 2.0
    drivers: Annotated[
        list[Path] | None, typer.Option("--drivers", help="Videos or folders that drive the clips' people; repeat it.")
    ] = None
    portraits: Annotated[
        list[Path] | None,
        typer.Option("--portraits", help="Without --clips: photos that --drivers move; measures what of them arrives."),
    ] = None
    stills: Annotated[
        list[Path] | None,
        typer.Option("--stills", help="Photos, or folders, for their teeth; at most 30 that smile are taken."),
    ] = None
    turned: Annotated[
        bool, typer.Option("--turned", help="Also photos of --clips' manifest.csv, for turned heads.")
    ] = False
    frames: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many frames to predict per clip.")] = 60


@dataclass(frozen=True)
class Written:
    """Where the results go."""

    save: Annotated[Path | None, typer.Option(help="Write each clip's pictures and frame numbers here.")] = None
    html: Annotated[Path | None, typer.Option(help="Write a report with pictures and curves to this file.")] = None
    markdown: Annotated[Path | None, typer.Option(help="Write the paper's table and all others to this file.")] = None

    def check(self, clips: Sequence[Path], drivers: Sequence[Path]) -> None:
        """Before the work. Raises UsageError for what cannot be written."""
        if self.save is not None:
            check_folder(self.save, result_names(clips, drivers))
        for path, option in ((self.html, "--html"), (self.markdown, "--markdown")):
            if path is not None:
                check_file(path, option)

    def write(self, report: Report) -> list[Path]:
        """The report's files. All that was written, the pictures with it."""
        if self.html is not None:
            with whole_file(self.html) as part:
                part.write_text(as_html(report), encoding="utf-8")
        if self.markdown is not None:
            with whole_file(self.markdown) as part:
                part.write_text(as_markdown(report), encoding="utf-8")
        return [path for path in (self.html, self.markdown, self.save) if path is not None]


def evaluate(
    clips: Annotated[
        list[Path] | None,
        typer.Option(
            "--clips", help="A folder of videos, or with a manifest.csv (its val split), or a video; repeat it."
        ),
    ] = None,
    more: Annotated[list[Path] | None, typer.Argument(help="More videos.", show_default=False)] = None,
    *,
    comparison: Comparison,
    written: Written,
    paper: Annotated[bool, typer.Option("--paper", help="Print the paper's table instead of all metrics.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Self-reenactment: re-make a clip's second half from frames of its first, and compare with the real one.

    With --drivers also cross-reenactment: other clips drive the same people, as a camera would.

    With --portraits and --drivers, without --clips: whether what the drivers mean arrives on the portraits, signal by
    signal.

    Example: visavis evaluate --clips my_clips --shots 1,8,32 --systems ff,ft --html report.html
    """
    given = [*(clips or []), *(more or [])]
    driver_paths = find_clips(comparison.drivers, "--drivers") if comparison.drivers else []
    if comparison.portraits:
        if given:
            raise UsageError("--portraits take the place of --clips: give one of them.")
        DrivingEvaluation(comparison.portraits, driver_paths, comparison.frames, written.markdown, as_json).run()
        return
    if not given:
        raise UsageError("Give --clips to make again, or --portraits that --drivers move.")
    terminal = Terminal(stderr=as_json)
    paths = find_clips(given)
    photos = find_stills(comparison.stills or [], clips or [])
    groups = find_groups(clips or []) if comparison.turned else []
    counts = parse_shots(comparison.shots)
    asked = parse_systems(comparison.systems)
    full = named_network(FULL if FULL in asked else "fast", comparison.weights)
    tune = _fine_tune(comparison.ft_minutes) if FT in asked else None
    written.check(paths, driver_paths)
    tracker = tracker_model_then_offline(terminal)
    with terminal.progress(TimeElapsedColumn()) as bar:
        task = bar.add_task("starting", total=1.0)
        report = Evaluation(
            tracker_model=tracker,
            shots=counts,
            max_targets=comparison.frames,
            lineup=Lineup(tune, full),
            ft_minutes=None if tune is None else comparison.ft_minutes,
            save=written.save,
            progress=lambda line, share: bar.update(task, completed=share, description=line),
            note=lambda line: terminal.say(line, style="dim"),
        ).run(paths, driver_paths, photos, groups)
    if as_json:
        print_json(as_json_report(report))
    elif paper:
        print_paper_table(terminal, report)
    else:
        print_report(terminal, report)
    for path in written.write(report):
        terminal.say(f"Wrote {path}", style="dim")
    if report.failed:
        raise VisavisError(f"{len(report.failed)} evaluations failed, named above; the totals leave them out.")


def find_clips(given: Sequence[Path], option: str = "--clips") -> list[Path]:
    """The videos among files and folders, in order; of a folder with a manifest.csv those of its split `val`.

    Raises UsageError when there is none, or two of one name.
    """
    paths: list[Path] = []
    for path in given:
        if (path / manifest.NAME).is_file():
            inside = manifest.val_files(path, VIDEO_SUFFIXES)
        else:
            inside = files_of(path, VIDEO_SUFFIXES, f"{option} takes a folder of videos, or videos.")
        if not inside:
            raise UsageError(f"{path} holds no video ({', '.join(sorted(VIDEO_SUFFIXES))}). Give another {option}.")
        paths += inside
    seen: dict[str, Path] = {}
    for path in paths:
        if path.stem in seen:
            raise UsageError(f"{seen[path.stem]} and {path} have the same name, which names the results. Rename one.")
        seen[path.stem] = path
    return paths


def find_stills(given: Sequence[Path], clips: Sequence[Path]) -> list[Path]:
    """The photos among files and folders; those of the clips' manifest.csv where none are given. Raises UsageError."""
    photos: list[Path] = []
    for path in given or [folder for folder in clips if (folder / manifest.NAME).is_file()]:
        if (path / manifest.NAME).is_file():
            photos += manifest.stills(path, PHOTO_SUFFIXES)
        else:
            photos += files_of(path, PHOTO_SUFFIXES, "--stills takes photos, or folders of them.")
    return photos


def find_groups(clips: Sequence[Path]) -> list[list[Path]]:
    """Photos of one person each, of the folders with a manifest.csv. Raises UsageError when there are none."""
    folders = [path for path in clips if (path / manifest.NAME).is_file()]
    groups = [group for folder in folders for group in manifest.photo_groups(folder, PHOTO_SUFFIXES)]
    if not groups:
        raise UsageError("--turned: the manifests of --clips name no several photos of one person. Leave it out.")
    return groups


def parse_shots(text: str) -> list[int]:
    """ "1,8" to [1, 8]. Raises UsageError."""
    if not re.fullmatch(r"\s*\d+\s*(,\s*\d+\s*)*", text):
        raise UsageError(f"--shots {text}: give numbers such as 1 or 1,8.")
    counts = list(dict.fromkeys(int(part) for part in text.split(",")))
    if any(not 1 <= count <= MAX_SHOTS for count in counts):
        raise UsageError(f"--shots {text}: each number must be 1 to {MAX_SHOTS}.")
    return counts


def parse_systems(text: str) -> list[str]:
    """ "ff,ft" to ["ff", "ft"]. Raises UsageError."""
    names = [part.strip().lower() for part in text.split(",")]
    if FF not in names or not set(names) <= {FF, FT, FULL}:
        raise UsageError(
            f"--systems {text}: give ff, or ff with ft, full or both: they are compared with fast's feed-forward."
        )
    return names


def _fine_tune(minutes: float) -> FineTune:
    """Fine-tuning as `visavis finetune` does it. Raises VisavisError when it cannot run here."""
    try:
        from avatar.learning.finetune import finetune, leave_a_core
    except ImportError as error:
        raise VisavisError(
            f"Fine-tuning cannot start ({error.name or error} is missing). Run: {install('torch')}, or leave "
            "ft out of --systems."
        ) from error

    leave_a_core()

    def tune(avatar: Avatar, tell: Tell) -> tuple[Avatar, Tuning]:
        report = finetune(avatar, minutes=minutes, progress=tell)
        tuning = Tuning(report.kept, report.reason, report.steps, round(report.seconds, 1))
        return (report.avatar if report.kept else avatar), tuning

    return tune
