"""`visavis doctor`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

STYLES = {"ok": "green", "note": "yellow", "missing": "red"}


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False) -> None:
    """Check what visavis needs on this computer; each missing piece comes with the command that brings it.

    Exit code 1 when something is missing that enrolling or driving needs. Nothing is installed or changed.

    Example: visavis doctor
    """
    from avatar.cli.terminal import Terminal, print_json
    from avatar.live.doctor import examine

    findings = examine()
    healthy = all(finding.state != "missing" for finding in findings)
    if as_json:
        print_json({"healthy": healthy, "findings": [asdict(finding) for finding in findings]})
        raise typer.Exit(0 if healthy else 1)
    from rich.table import Table
    from rich.text import Text

    out = Terminal()
    table = Table.grid(padding=(0, 2))
    for finding in findings:
        table.add_row(Text(finding.state, STYLES[finding.state]), finding.name, finding.found)
    out.print(table)
    for finding in findings:
        if finding.mend:
            out.say("", f"{finding.name}:", *(f"  {line}" for line in finding.mend.split("\n")))
    out.say("", "enroll, drive and live can run." if healthy else "Mend what is marked missing, then run this again.")
    raise typer.Exit(0 if healthy else 1)
