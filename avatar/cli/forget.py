"""`visavis forget`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer


def forget(
    everything: Annotated[
        bool,
        typer.Option("--all", help="Also avatars, recordings, uploads, records, the call's key, what engines keep."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="With --all: do not ask.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print how many were forgotten as JSON.")] = False,
) -> None:
    """Delete what `--remember-me` and its switch on the page have kept of drivers; with --all, everything of anybody.

    Example: visavis forget

    Example: visavis forget --all
    """
    from avatar.cli.terminal import Terminal, print_json
    from avatar.core.errors import UsageError
    from avatar.core.paths import home_path
    from avatar.live.driver_memory import FOLDER, forget_drivers

    if everything:
        _forget_all(yes, as_json)
        return
    if yes:
        raise UsageError("--yes belongs to --all: without it, only what is kept of drivers is deleted.")
    count = forget_drivers()
    if as_json:
        print_json({"drivers": count})
        return
    kept = {0: "Nobody was", 1: "One driver was"}.get(count, f"{count} drivers were")
    Terminal().say(f"{kept} remembered in {home_path() / FOLDER}; now nobody is.")


def _forget_all(yes: bool, as_json: bool) -> None:
    from avatar.cli.terminal import Terminal, print_json
    from avatar.core.errors import UsageError
    from avatar.core.paths import engine_folder, home_path
    from avatar.identity.removal import OUT_OF_REACH, forget_all, kept_of_people

    if not yes:
        kept = ", ".join(f"{len(files)} in {what}" for what, files in kept_of_people().items() if files)
        Terminal(stderr=True).say(f"To be deleted from {home_path()}: {kept or 'nothing'}. It cannot be brought back.")
        if sys.stdin is None or not sys.stdin.isatty():
            raise UsageError("Add --yes to delete all that.")
        if not typer.confirm("Delete all that?", err=True):
            raise UsageError("Nothing was deleted.")
    removed = forget_all()
    if as_json:
        counts = {kind.what: {"files": kind.files, "bytes": kind.size_bytes} for kind in removed}
        print_json({**counts, "not_reached": OUT_OF_REACH})
        return
    lines = [f"  {kind.what}: {kind.files} ({kind.size_bytes / 1e6:.1f} MB)" for kind in removed if kind.files]
    where = f"{home_path()} and {engine_folder()}"
    Terminal().say(f"Deleted from {where}:" if lines else f"There was nothing in {where}.", *lines, OUT_OF_REACH)
