"""`visavis profile`."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from avatar.cli.options import ThreadedEngineChoice

if TYPE_CHECKING:
    from avatar.cli.terminal import Terminal
    from avatar.profiling.glass_to_glass import GlassToGlass
    from avatar.profiling.profile import ProfileReport
    from avatar.publish.publisher import Publisher
    from avatar.sources.camera import Camera


LEAST_SHOWN_MS = 0.05


@dataclass(frozen=True)
class Length:
    """How long is measured."""

    seconds: Annotated[float, typer.Option(help="How long to measure.", min=1.0)] = 10.0
    soak: Annotated[
        float | None,
        typer.Option(
            help="Minutes instead of --seconds; also says whether latency, memory, open files or threads creep up.",
            min=0.1,
        ),
    ] = None


@dataclass(frozen=True)
class Also:
    """What is measured beside the loop, or written."""

    through: Annotated[
        str | None,
        typer.Option(
            help="Also measure glass to glass: publish to this virtual camera (virtual-camera, "
            "virtual-camera:/dev/video10 or pipewire) and read it back as another program does, whose load counts too."
        ),
    ] = None
    trace: Annotated[
        Path | None, typer.Option(help="Write every stage of every frame for https://ui.perfetto.dev to this file.")
    ] = None


@dataclass(frozen=True)
class Size:
    """How large the picture is."""

    size: Annotated[str, typer.Option(help="WIDTHxHEIGHT of the published picture.")] = "512x512"


@dataclass(frozen=True)
class Drawing(ThreadedEngineChoice, Size):
    """What draws the picture, and how large."""


def profile(
    name: Annotated[str | None, typer.Argument(help="The avatar: a name given to `enroll`, or a .avatar file.")] = None,
    camera: Annotated[
        str | None,
        typer.Option(
            "--camera", "-c", help="A webcam, address or video; without it, the avatar's own portrait, moving."
        ),
    ] = None,
    *,
    length: Length,
    also: Also,
    compare: Annotated[
        tuple[Path, Path] | None,
        typer.Option(help="Measure nothing: put two profiles beside each other that --json printed."),
    ] = None,
    drawing: Drawing,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Measure the live loop on this computer: each stage, the whole way, rate, drops, load, memory, against the budget.

    Examples: visavis profile ada --seconds 30

    visavis profile ada --through virtual-camera --json > today.json

    visavis profile --compare yesterday.json today.json
    """
    started_ns = time.monotonic_ns()
    from avatar.core.errors import UsageError

    if compare is not None:
        _print_comparison(*compare, as_json=as_json)
        return
    if name is None:
        raise UsageError("Name the avatar to measure: visavis profile NAME (`visavis enroll` makes one).")

    from avatar.cli.at_once import at_once
    from avatar.cli.offline import tracker_model_then_offline
    from avatar.cli.stop import sigterm_as_ctrl_c
    from avatar.cli.terminal import Terminal, print_json
    from avatar.identity.bundle import find_avatar
    from avatar.identity.mattes import open_avatar
    from avatar.live.framing import parse_size
    from avatar.live.options import LiveOptions
    from avatar.live.session import open_session
    from avatar.live.trace import Trace
    from avatar.profiling.profile import Measurement, Memory, profile_session
    from avatar.sources.camera import check_camera, open_camera
    from avatar.sources.portrait_camera import PortraitCamera

    if also.trace is not None and not also.trace.absolute().parent.is_dir():
        raise UsageError(f"--trace {also.trace}: the folder {also.trace.parent} does not exist.")
    options = LiveOptions(size=parse_size(drawing.size), engine=drawing.options(threads=drawing.threads))
    with at_once() as check:
        bundle = check(lambda: find_avatar(name))
        check(lambda: check_camera(camera) if camera else None)
    avatar = open_avatar(bundle)
    terminal = Terminal(stderr=True)
    sigterm_as_ctrl_c()
    tracker = tracker_model_then_offline(terminal, camera)
    source: Camera = open_camera(camera, loop=True) if camera else PortraitCamera(avatar.portraits[0])
    publisher: Publisher = Memory()
    glass: GlassToGlass | None = None
    if also.through is not None:
        source, publisher, glass = _through(also.through, source, options.size)
    measured_s = length.seconds if length.soak is None else 60 * length.soak
    with ExitStack() as parts:
        session = parts.enter_context(open_session(avatar, tracker, source, [publisher], options, terminal.note))
        if also.trace is not None:
            session.latency.trace = Trace()
        status = parts.enter_context(terminal.status(f"measuring for {measured_s:.0f} s"))
        report = profile_session(
            session,
            Measurement(measured_s, started_ns, length.soak is not None, glass),
            lambda done_s: status.update(f"measuring: {done_s:.0f} of {measured_s:.0f} s"),
        )
        if also.trace is not None and session.latency.trace is not None:
            count = session.latency.trace.write(also.trace)
            terminal.say(f"{also.trace}: {count} events, for https://ui.perfetto.dev")
    if as_json:
        print_json(report.as_json())
        return
    _print_report(report, drawing.size)


def _through(spec: str, camera: Camera, size: tuple[int, int]) -> tuple[Camera, Publisher, GlassToGlass]:
    """The camera with a time code in its pictures, the publisher that shows it as a number, and who reads it there."""
    from avatar.core.errors import UsageError
    from avatar.live.outputs import open_publisher
    from avatar.profiling.glass_to_glass import GlassToGlass, device_reader
    from avatar.profiling.time_code import CodedCamera, CodedPublisher, CodeReadingCamera

    if spec.partition(":")[0] not in ("virtual-camera", "pipewire"):
        raise UsageError(
            f"--through {spec} cannot be read back. Use virtual-camera, virtual-camera:DEVICE or pipewire."
        )
    reading = CodeReadingCamera(CodedCamera(camera))
    publisher = open_publisher(spec)
    return reading, CodedPublisher(publisher, reading), GlassToGlass(lambda: device_reader(publisher, *size))


def _print_report(report: ProfileReport, size: str) -> None:
    from rich.table import Table
    from rich.text import Text

    from avatar.cli.tables import drops_line, latency_table
    from avatar.cli.terminal import Terminal

    out = Terminal()
    out.say(report.engine_line, f"{report.camera} ({report.camera_fps:.0f} fps) → {report.avatar} at {size}", "")
    lines = dict(report.loop.latency)
    if report.glass_to_glass is not None:
        lines["glass to glass"] = report.glass_to_glass
    out.print(latency_table(lines))
    start_up = ", ".join(f"{part} {duration_ms:.0f} ms" for part, duration_ms in report.start_up_ms.items())
    levels = "; ".join(f"{seconds:.0f} s {name}" for name, seconds in report.loop.level_seconds.items())
    out.say(
        "",
        f"{report.loop.published} frames in {report.loop.seconds:.1f} s: {report.loop.fps:.1f} fps; "
        f"{drops_line(report.loop.drops)}; without a face: {report.loop.faceless}",
        f"work: {report.loop.work}; so far: {levels}",
        f"CPU {report.cpu_percent:.0f} % of one core ({report.cpu_cores} cores), memory {report.memory_mb:.0f} MB",
        f"start-up: {start_up}",
        "",
    )
    for line in report.slopes:
        verdict = "not different from zero" if line.flat else "NOT flat"
        interval = f"95 % interval {line.low:+.2f} to {line.high:+.2f}"
        out.say(f"{line.what}: {line.per_hour:+.2f} {line.unit} an hour ({interval}): {verdict}")
    _print_core_times(out, report)
    table = Table("budget (two CPU cores)", box=None, pad_edge=False)
    for heading in ("limit", "here", ""):
        table.add_column(heading, justify="right")
    for budget in report.budgets:
        relation = "≥" if budget.at_least else "≤"
        met = Text("met", "green") if budget.met else Text("missed", "red")
        table.add_row(
            budget.what, f"{relation} {budget.limit:g} {budget.unit}", f"{budget.value:.1f} {budget.unit}", met
        )
    out.print(table)
    missed = [budget.what for budget in report.budgets if not budget.met]
    out.say(f"missed: {', '.join(missed)}" if missed else "every budget is met")


def _print_core_times(out: Terminal, report: ProfileReport) -> None:
    """Of each process and thread, and what is left for the program that shows the picture."""
    from rich.table import Table

    if not report.core_ms:
        return
    table = Table("core-milliseconds a frame", "", box=None, pad_edge=False)
    table.columns[1].justify = "right"
    for who, core_ms in report.core_ms.items():
        if core_ms >= LEAST_SHOWN_MS:
            table.add_row(who, f"{core_ms:.1f}")
    taken = sum(report.core_ms.values())
    there = 1e3 * report.cpu_cores / report.loop.fps
    out.print(table)
    left = f"{max(there - taken, 0):.1f} are left for the program that shows the picture"
    out.say(
        f"{taken:.1f} of the {there:.1f} that {report.cpu_cores} cores have at {report.loop.fps:.1f} fps: {left}", ""
    )


def _print_comparison(before: Path, after: Path, *, as_json: bool) -> None:
    from dataclasses import asdict

    from rich.table import Table

    from avatar.cli.terminal import Terminal, print_json
    from avatar.profiling.compare_profiles import differences, read_profile

    found = differences(read_profile(before), read_profile(after))
    if as_json:
        print_json([{**asdict(row), "ratio": round(row.ratio, 3)} for row in found])
        return
    table = Table("", box=None, pad_edge=False)
    for heading in (before.name, after.name, "ratio"):
        table.add_column(heading, justify="right")
    for row in found:
        table.add_row(row.what, f"{row.before:.1f} {row.unit}", f"{row.after:.1f} {row.unit}", f"{row.ratio:.2f}")
    Terminal().print(table)
