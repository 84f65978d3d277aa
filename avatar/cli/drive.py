"""`visavis drive`."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from avatar.cli.options import AvatarName, Disclosure, DriverChoice, EngineChoice, NetworkChoice, Verbosity
from avatar.core.errors import UsageError

if TYPE_CHECKING:
    from avatar.live.drive import DriveOptions
    from avatar.retarget.retargeter import Mode

PACED = 3  # frames that are timed, before the user is told how slow the network is


@dataclass(frozen=True)
class Written(Disclosure, DriverChoice):
    """What is written."""

    absolute_head: Annotated[
        bool, typer.Option("--absolute-head", help="Take the head's pose and place as they are, not their changes.")
    ] = False
    size: Annotated[int, typer.Option(help="Side of the written picture in pixels, even.", min=64, max=2048)] = 512
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace the output if it exists.")] = False

    def options(self) -> DriveOptions:
        """As the product has them. Raises UsageError."""
        from avatar.live.drive import DriveOptions

        if self.size % 2:
            raise UsageError(f"--size {self.size}: H.264 needs an even side, for example {self.size + 1}.")
        head: Mode = "absolute" if self.absolute_head else "relative"
        return DriveOptions(
            head,
            self.expression(),
            self.unlock is not None,
            self.size,
            self.force,
            label=self.style(),
            sign_with=self.key_file(),
        )


@dataclass(frozen=True)
class Telling(Verbosity):
    """What is told."""

    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False


@dataclass(frozen=True)
class Drawing(EngineChoice, NetworkChoice):
    """What draws the picture."""


def drive(
    name: AvatarName,
    source: Annotated[Path, typer.Option("--input", "-i", help="A video of the person who moves.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The video to write: .mp4, .mov or .mkv.")],
    *,
    written: Written,
    drawing: Drawing,
    telling: Telling,
) -> None:
    """Let a video drive an avatar: every frame in is one frame out, at the same time, with the sound.

    Example: visavis drive ada --input talk.mp4 --output ada-talks.mp4
    """
    from rich.progress import MofNCompleteColumn, TimeRemainingColumn

    from avatar.cli.offline import tracker_model_then_offline
    from avatar.cli.stop import sigterm_as_ctrl_c
    from avatar.cli.tables import latency_table
    from avatar.cli.terminal import Terminal, print_json
    from avatar.live.drive import Drive, drive_file
    from engines import explain

    options = written.options()
    engine = drawing.options(drawing.full(), os.cpu_count())  # all cores: nothing overlaps
    avatar = written.opened(name)
    job = Drive.open(source, output, options)  # before the engines are opened, which takes a while
    terminal = Terminal(stderr=True)
    tracker = tracker_model_then_offline(terminal)
    avatar = engine.person(avatar)
    generator = engine.open(avatar, terminal.note)
    if telling.verbose:
        terminal.say(explain(generator))
    slow = engine.full is not None and generator.describe().device == "cpu"
    tell_pace = _pace_teller(terminal.note) if slow else None
    sigterm_as_ctrl_c()
    try:
        with terminal.progress(MofNCompleteColumn(), TimeRemainingColumn(), transient=False) as bar:
            task = bar.add_task("driving", visible=False)  # until there is something to show

            def progress(done: int, expected: int) -> None:
                bar.update(task, completed=done, total=expected, visible=True)
                if tell_pace is not None:
                    tell_pace(done, expected)

            report = drive_file(avatar, generator, tracker, job, progress)
            bar.update(task, total=report.frames_out)
    finally:
        generator.close()
    if telling.as_json:
        print_json(asdict(report))
        return
    for note in report.notes:
        terminal.note(f"Note: {note}")
    out = Terminal()
    if telling.verbose:
        out.print(latency_table(report.latency))
    out.say(f"{report.output}: {report.frames_out} frames, {report.faceless} of them without a face")


def _pace_teller(say: Callable[[str], None]) -> Callable[[int, int], None]:
    """A progress callback that says once, after PACED frames, how slow `full` is on a processor."""
    first_s = 0.0

    def tell(done: int, expected: int) -> None:
        nonlocal first_s
        if done == 1:
            first_s = time.monotonic()
        elif done == 1 + PACED:
            rate = PACED / (time.monotonic() - first_s)
            say(
                f"full is slow on a processor: {rate:.1f} frames a second here, so {expected} take about "
                f"{expected / rate:.0f} s. It is made for GPUs."
            )

    return tell
