"""`visavis evaluate --portraits … --drivers …`: what of the drivers arrives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.progress import TimeElapsedColumn
from rich.table import Table

from avatar.cli.given_files import files_of
from avatar.cli.offline import tracker_model_then_offline
from avatar.cli.terminal import Terminal, print_json
from avatar.core.avatar import Avatar
from avatar.core.errors import InputError, UsageError
from avatar.core.whole_file import whole_file
from avatar.evaluation.clip import track
from avatar.evaluation.driving import Driven, Driver, drive_all
from avatar.evaluation.driving_report import HEADS, as_json, as_markdown, cells, sections
from avatar.identity.enrolment import enroll
from avatar.sources.photo import SUFFIXES as PHOTO_SUFFIXES
from avatar.sources.video_file import VideoFile
from avatar.tracking.caged_tracker import CagedTracker


@dataclass(frozen=True)
class DrivingEvaluation:
    """What is driven by whom, and by which of its frames it is measured."""

    portraits: Sequence[Path]
    drivers: Sequence[Path]
    frames: int
    markdown: Path | None
    as_json: bool

    def run(self) -> None:
        """Print the tables. Raises UsageError where there are no drivers, InputError for what cannot be used."""
        if not self.drivers:
            raise UsageError("--portraits are moved by --drivers: give some videos.")
        photos = find_portraits(self.portraits)
        terminal = Terminal(stderr=self.as_json)
        model = tracker_model_then_offline(terminal)
        with terminal.progress(TimeElapsedColumn()) as bar:
            task = bar.add_task("enrolling", total=1.0)
            avatars: list[Avatar] = [enroll([photo], photo.stem, model).avatar for photo in photos]
            drivers = []
            for path in self.drivers:
                bar.update(task, description=f"tracking {path.name}")
                drivers.append(_driver(path, model))
            bar.update(task, description="driving")
            with CagedTracker(model, "image", patient=True) as tracker:
                driven = drive_all(
                    avatars, drivers, tracker, self.frames,
                    lambda share: bar.update(task, completed=share),
                )  # fmt: skip
        if self.as_json:
            print_json(as_json(driven))
        else:
            _print(terminal, driven)
        if self.markdown is not None:
            with whole_file(self.markdown) as part:
                part.write_text(as_markdown(driven), encoding="utf-8")
            terminal.say(f"Wrote {self.markdown}", style="dim")


def find_portraits(given: Sequence[Path]) -> list[Path]:
    """The photos among files and folders, in order. Raises UsageError."""
    takes = "--portraits takes photos, or folders of them."
    photos = [photo for path in given for photo in files_of(path, PHOTO_SUFFIXES, takes)]
    if not photos:
        raise UsageError("There is no photo in --portraits.")
    return photos


def _driver(path: Path, model: Path) -> Driver:
    driver = Driver(path.stem, tuple(track(VideoFile(path), model)))
    if sum(state.found for state in driver.states) < 2:
        raise InputError(f"{path}: no face in it that could drive. Take this clip out.")
    return driver


def _print(terminal: Terminal, driven: Sequence[Driven]) -> None:
    for one in sections(driven):
        table = Table(*HEADS, title=one.title, title_justify="left")
        for column in table.columns[1:]:
            column.justify = "right"
        for row in one.rows:
            table.add_row(*cells(row))
        terminal.print(table)
        for label, value in one.notes():
            terminal.say(f"{label}: {value}")
