"""`visavis doctor`."""

from __future__ import annotations

import json
from dataclasses import asdict
from textwrap import indent
from typing import Annotated

import typer

MARKS = {"ok": "[green]ok[/]", "note": "[yellow]note[/]", "missing": "[red]missing[/]"}


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False) -> None:
    """Check what visavis needs on this computer; each missing piece comes with the command that brings it.

    Exit code 1 when something is missing that enrolling or driving needs. Nothing is installed or changed.

    Example: visavis doctor
    """
    from avatar.doctor import examine

    findings = examine()
    healthy = all(finding.state != "missing" for finding in findings)
    if as_json:
        print(json.dumps({"healthy": healthy, "findings": [asdict(finding) for finding in findings]}, indent=2))
        raise typer.Exit(0 if healthy else 1)
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    table = Table.grid(padding=(0, 2))
    for finding in findings:
        table.add_row(MARKS[finding.state], finding.name, escape(finding.found))
    console.print(table)
    for finding in findings:
        if finding.mend:
            # unwrapped, so that commands can be copied
            console.print(Text(f"\n{finding.name}:\n{indent(finding.mend, '  ')}"), soft_wrap=True)
    verdict = "enroll, drive and live can run." if healthy else "Mend what is marked missing, then run this again."
    console.print(f"\n{verdict}")
    raise typer.Exit(0 if healthy else 1)
