"""`visavis live`."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from avatar.cli.engine_options import ENGINE_HELP, PRECISION_HELP, say_on


def live(
    name: Annotated[str, typer.Argument(help="The avatar: a name given to `enroll`, or a .avatar file.")],
    camera: Annotated[
        str, typer.Option("--camera", "-c", help="A webcam's number or path, or a video that plays as one.")
    ] = "0",
    to: Annotated[
        list[str] | None,
        typer.Option(
            "--to", "-t", help="virtual-camera[:DEVICE], preview, or FILE.mp4 (is replaced). May be given repeatedly."
        ),
    ] = None,
    seconds: Annotated[float | None, typer.Option(help="Stop after so many seconds.", min=0.1)] = None,
    loop: Annotated[bool, typer.Option("--loop", help="Start the video over when it ends.")] = False,
    size: Annotated[str, typer.Option(help="WIDTHxHEIGHT of the published picture.")] = "512x512",
    engine: Annotated[str, typer.Option(help=ENGINE_HELP)] = "auto",
    precision: Annotated[str, typer.Option(help=PRECISION_HELP)] = "auto",
    threads: Annotated[int | None, typer.Option(help="CPU threads of the generator.", min=1)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures at the end as JSON.")] = False,
) -> None:
    """Let a camera drive an avatar until Ctrl-C. No picture of the camera leaves: only numbers drive the avatar.

    Example: visavis live ada --camera 0 --to virtual-camera --to recording.mp4
    """
    from rich.console import Console

    from avatar.cli.offline import tracker_model_then_offline
    from avatar.cli.stop import sigterm_as_ctrl_c
    from avatar.cli.tables import drops_line, latency_table
    from avatar.errors import UsageError
    from avatar.identity.bundle import find_avatar, load_avatar
    from avatar.live.canvas import parse_size
    from avatar.live.loop import CAPTURE_TO_PUBLISHED, LiveReport
    from avatar.live.session import open_session
    from avatar.publish.factory import open_publishers
    from avatar.sources.camera import PlayedFile, open_camera

    if not to:
        raise UsageError("Say where the avatar goes: --to virtual-camera, --to preview or --to FILE.mp4.")
    picture_size = parse_size(size)
    publishers = open_publishers(to, camera)
    avatar = load_avatar(find_avatar(name))
    console = Console(stderr=True, highlight=False)
    tracker = tracker_model_then_offline(console)
    source = open_camera(camera, loop)
    sigterm_as_ctrl_c()
    with open_session(
        avatar,
        tracker,
        source,
        publishers,
        size=picture_size,
        backend=engine,
        threads=threads,
        precision=precision,
        say=say_on(console),
    ) as session:
        console.print(session.engine_line, soft_wrap=True)
        with console.status(f"{camera} → {name} → {', '.join(to)}; Ctrl-C ends") as status:

            def each_second(now: LiveReport) -> None:
                lag_ms = now.latency[CAPTURE_TO_PUBLISHED].p50_ms if CAPTURE_TO_PUBLISHED in now.latency else 0.0
                status.update(f"{now.fps:.1f} fps, {lag_ms:.0f} ms, {drops_line(now.drops)}; Ctrl-C ends")

            report = session.loop.run(seconds, each_second=each_second)
        backend = asdict(session.engine)
    if isinstance(source, PlayedFile) and source.video.damage:
        console.print(f"Note: {source.video.damage}", style="yellow", soft_wrap=True)
    if as_json:
        print(json.dumps({**asdict(report), "engine": backend}, indent=2))
        return
    out = Console(highlight=False)
    out.print(latency_table(report.latency))
    out.print(
        f"{report.published} frames in {report.seconds:.1f} s: {report.fps:.1f} fps; {drops_line(report.drops)}; "
        f"without a face: {report.faceless}",
        soft_wrap=True,
    )
