"""`visavis cameras`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer


def cameras(as_json: Annotated[bool, typer.Option("--json", help="Print the list as JSON.")] = False) -> None:
    """List the webcams: number, path and name (--camera takes any of them), best mode, and who holds each.

    Virtual ones carry another program's picture, perhaps this one's. On macOS and Windows, which is untested, the first
    six numbers are tried, and each camera is switched on for a moment.

    Example: visavis cameras --json

    Then: visavis live NAME --camera 0 --to preview
    """
    from avatar.cli.terminal import Terminal, print_json
    from avatar.sources.local_cameras import list_cameras

    found = list_cameras()
    if as_json:
        print_json([asdict(camera) for camera in found])
        return
    from rich.table import Table

    out = Terminal()
    if not found:
        out.say("This computer shows no camera. Plug one in, or let a video play the camera: --camera FILE.mp4")
        return
    table = Table("number", "path", "name", "best mode", "", box=None, pad_edge=False)
    for camera in found:
        name = camera.name + (" (virtual)" if camera.virtual else "")
        table.add_row(str(camera.number), camera.path or "", name, str(camera.mode or "not told"), camera.state)
    out.print(table)
    if any(camera.state == "not allowed" for camera in found):
        out.say("", "To be allowed: sudo usermod -aG video $USER    # then log out and in again")
