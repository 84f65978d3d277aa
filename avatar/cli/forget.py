"""`visavis forget`."""

from __future__ import annotations

from typing import Annotated

import typer


def forget(
    as_json: Annotated[bool, typer.Option("--json", help="Print how many were forgotten as JSON.")] = False,
) -> None:
    """Delete what `--remember-me` and its switch on the page have kept of drivers. Avatars stay.

    Example: visavis forget
    """
    from avatar.cli.terminal import Terminal, print_json
    from avatar.core.paths import home_path
    from avatar.live.driver_memory import FOLDER, forget_drivers

    count = forget_drivers()
    if as_json:
        print_json({"drivers": count})
        return
    kept = {0: "Nobody was", 1: "One driver was"}.get(count, f"{count} drivers were")
    Terminal().say(f"{kept} remembered in {home_path() / FOLDER}; now nobody is.")
