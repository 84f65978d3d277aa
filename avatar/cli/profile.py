"""`visavis profile`."""

from __future__ import annotations

import json
import time
from typing import Annotated

import typer

from avatar.cli.engine_options import ENGINE_HELP, PRECISION_HELP, say_on


def profile(
    name: Annotated[str, typer.Argument(help="The avatar: a name given to `enroll`, or a .avatar file.")],
    camera: Annotated[
        str | None,
        typer.Option("--camera", "-c", help="A webcam or video; without it, the avatar's own portrait, moving."),
    ] = None,
    seconds: Annotated[float, typer.Option(help="How long to measure.", min=1.0)] = 10.0,
    size: Annotated[str, typer.Option(help="WIDTHxHEIGHT of the published picture.")] = "512x512",
    engine: Annotated[str, typer.Option(help=ENGINE_HELP)] = "auto",
    precision: Annotated[str, typer.Option(help=PRECISION_HELP)] = "auto",
    threads: Annotated[int | None, typer.Option(help="CPU threads of the generator.", min=1)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Measure the live loop on this computer: each stage, the whole way, rate, drops, load, memory, against the budget.

    Example: visavis profile ada --seconds 30
    """
    started_ns = time.monotonic_ns()
    from rich.console import Console
    from rich.table import Table

    from avatar.cli.offline import tracker_model_then_offline
    from avatar.cli.tables import drops_line, latency_table
    from avatar.identity.bundle import find_avatar, load_avatar
    from avatar.live.canvas import parse_size
    from avatar.live.profile import Memory, profile_session
    from avatar.live.session import open_session
    from avatar.sources.camera import Camera, open_camera
    from avatar.sources.portrait_camera import PortraitCamera

    picture_size = parse_size(size)
    avatar = load_avatar(find_avatar(name))
    console = Console(stderr=True, highlight=False)
    tracker = tracker_model_then_offline(console)
    source: Camera = open_camera(camera, loop=True) if camera else PortraitCamera(avatar.portraits[0])
    with (
        open_session(
            avatar,
            tracker,
            source,
            [Memory()],
            size=picture_size,
            backend=engine,
            threads=threads,
            precision=precision,
            say=say_on(console),
        ) as session,
        console.status(f"measuring for {seconds:.0f} s") as status,
    ):
        report = profile_session(
            session,
            avatar.name,
            source.name,
            source.fps,
            picture_size,
            seconds,
            started_ns,
            lambda done_s: status.update(f"measuring: {done_s:.0f} of {seconds:.0f} s"),
        )
    if as_json:
        print(json.dumps(report.as_json(), indent=2))
        return
    out = Console(highlight=False)
    out.print(report.engine_line, soft_wrap=True)
    out.print(f"{report.camera} ({report.camera_fps:.0f} fps) → {report.avatar} at {size}\n", soft_wrap=True)
    out.print(latency_table(report.loop.latency))
    start_up = ", ".join(f"{part} {duration_ms:.0f} ms" for part, duration_ms in report.start_up_ms.items())
    out.print(
        f"\n{report.loop.published} frames in {report.loop.seconds:.1f} s: {report.loop.fps:.1f} fps; "
        f"{drops_line(report.loop.drops)}; without a face: {report.loop.faceless}\n"
        f"CPU {report.cpu_percent:.0f} % of one core ({report.cpu_cores} cores), memory {report.memory_mb:.0f} MB\n"
        f"start-up: {start_up}\n",
        soft_wrap=True,
    )
    table = Table("budget (two CPU cores)", box=None, pad_edge=False)
    for heading in ("limit", "here", ""):
        table.add_column(heading, justify="right")
    for budget in report.budgets:
        relation = "≥" if budget.at_least else "≤"
        verdict = "[green]met[/]" if budget.met else "[red]missed[/]"
        table.add_row(
            budget.what, f"{relation} {budget.limit:g} {budget.unit}", f"{budget.value:.1f} {budget.unit}", verdict
        )
    out.print(table)
    missed = [budget.what for budget in report.budgets if not budget.met]
    out.print(f"missed: {', '.join(missed)}" if missed else "every budget is met", soft_wrap=True)
