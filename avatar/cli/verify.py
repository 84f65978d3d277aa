"""`visavis verify`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from avatar.cli.terminal import Terminal
    from avatar.live.bundle_report import BundleReport
    from avatar.live.mark_report import MarkReport

CONFIRMED, NOT_CONFIRMED = 0, 3  # exit codes


def verify(
    source: Annotated[
        str | None,
        typer.Argument(
            help="A video or photo, a recording of a whole screen, an .avatar file, a camera's number, name or path, "
            "or its address."
        ),
    ] = None,
    page: Annotated[
        bool, typer.Option("--page", help="Open a page onto which files are dropped. They stay on this computer.")
    ] = False,
    open_page: Annotated[bool, typer.Option("--open/--no-open", help="Open that page in your browser.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found, or the page's link, as JSON.")] = False,
) -> None:
    """Say whether pictures carry the invisible mark of visavis, of which avatar and day.

    Of a video, five seconds are enough, at any size, compressed, cropped or mirrored; of a single picture, it is found
    unless that was compressed hard. No mark proves nothing: other programs make other pictures, and a mark can be
    removed. Nothing leaves this computer.

    Of an .avatar file it says whom it shows, by whom it was signed, and whether it was changed since.

    Exit codes: 0 marked, or signed and unchanged; 3 not; 2 it cannot be read.

    Example: visavis verify recording.mp4

    Then, for a script: visavis verify recording.mp4 --json

    Example: visavis verify --page    # drop files; Ctrl-C ends it
    """
    from avatar.cli.terminal import Terminal, print_json
    from avatar.core.errors import DeviceError, InputError, UsageError

    if page == (source is not None):
        raise UsageError("Name what to look at, a file or a camera, or give --page alone and drop files there.")
    terminal = Terminal(stderr=True)
    if source is None:
        _serve_page(terminal, open_page, as_json)
        return
    try:
        report = _report(source, terminal)
    except (InputError, DeviceError) as error:
        raise UsageError(str(error)) from error
    for note in report.notes:
        terminal.note(f"Note: {note}")
    if as_json:
        print_json({"source": source, **report.as_json()})
    else:
        Terminal().say(*report.in_words())
    raise typer.Exit(CONFIRMED if report.confirmed else NOT_CONFIRMED)


def _report(source: str, terminal: Terminal) -> MarkReport | BundleReport:
    """Raises InputError or DeviceError for what cannot be read."""
    from avatar.core.errors import InputError
    from avatar.live.mark_report import report_on_camera, report_on_file
    from avatar.sandbox.no_network import refuse_network
    from avatar.sources.camera import open_camera
    from avatar.sources.local_cameras import find_webcam
    from avatar.sources.network_camera import is_address

    if not is_address(source):
        refuse_network()
        if find_webcam(source) is None:
            if not Path(source).exists():
                raise InputError(f"{source}: there is no such file or camera. `visavis cameras` lists the cameras.")
            with terminal.status(f"reading {source}") as status:
                return report_on_file(Path(source), lambda share: status.update(f"reading {source}: {share:.0%}"))
    camera = open_camera(source, real_time=False, say=terminal.note)
    try:
        with terminal.status(f"watching {camera.name}"):
            return report_on_camera(camera)
    finally:
        camera.close()


def _serve_page(terminal: Terminal, open_page: bool, as_json: bool) -> None:
    """Until Ctrl-C."""
    import asyncio
    from contextlib import suppress

    from avatar.cli.page_link import open_link
    from avatar.cli.stop import sigterm_as_ctrl_c
    from avatar.cli.terminal import print_json
    from avatar.dashboard.verify_page import serve

    def tell(link: str) -> None:
        if as_json:
            print_json({"page": link}, indent=None)
        terminal.say(f"Drop files here: {link}")
        terminal.say("They stay on this computer, and are deleted as soon as they are looked at. Ctrl-C ends it.")
        if open_page:
            open_link(link)

    sigterm_as_ctrl_c()
    with suppress(KeyboardInterrupt):
        asyncio.run(serve(tell))
