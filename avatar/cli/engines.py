"""`visavis engines`, `visavis engines measure` and `visavis engines clean`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from avatar.cli.command_app import CommandApp
from avatar.cli.terminal import Terminal, print_json
from avatar.core.errors import VisavisError
from avatar.core.extras import install

if TYPE_CHECKING:
    from engines.selection.choice import Choice

engines = CommandApp(
    help="Which inference engines this computer has, which is the fastest, and what they keep.\n\n"
    "Without a command: every engine with its devices, or what brings them; what was measured, and when; the kept "
    "files.\n\nExamples: visavis engines --json\n\nvisavis engines measure\n\nvisavis engines clean",
    invoke_without_command=True,
)


@engines.callback()
def show(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print the list as JSON.")] = False,
) -> None:
    if context.invoked_subcommand is not None:
        return
    from avatar.core.paths import engine_folder
    from engines.files import kept_files
    from engines.selection.choice import remembered

    backends = _backends()
    folder = engine_folder()
    lines: list[str] = []
    choices = remembered(folder, lines.append)
    files = kept_files(folder)
    if as_json:
        kept = [{"path": file.path, "bytes": file.size_bytes, "what": file.what} for file in files]
        measured = [{**asdict(choice), "current": _current(choice)} for choice in choices]
        print_json({"backends": backends, "measured": measured, "folder": folder, "files": kept})
        return
    from rich.table import Table
    from rich.text import Text

    out = Terminal()
    table = Table("engine", "device", "", box=None, pad_edge=False)
    for backend in backends:
        title = f"{backend['label']} {backend['version'] or ''}".strip()
        if backend["reason"]:
            table.add_row(title, "", backend["reason"])
        for device, reason in backend["devices"].items():
            table.add_row(title, device, reason or Text("usable", "green"))
            title = ""
        if backend["name"] == "torch" and backend["version"]:
            table.add_row(title, "", "only for comparison: --engine torch")
    out.print(table)
    for choice in filter(_current, choices):
        _print_choice(out, choice)
    if outdated := sum(not _current(choice) for choice in choices):
        out.say("", f"Measured with other versions or networks than now: {outdated}.")
    if not choices:
        out.say("", "Nothing was measured yet: the first `visavis live` does, or `visavis engines measure`.")
    out.say(*lines)
    out.say("", f"{folder}: {len(files) or 'no'} file{'' if len(files) == 1 else 's'}")
    for file in files:
        out.say(f"  {file.path.name}  {file.size_bytes / 1e6:.1f} MB, {file.what}")


@engines.command()
def measure(
    threads: Annotated[int | None, typer.Option(help="CPU threads of one inference.", min=1, max=1024)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was measured as JSON.")] = False,
) -> None:
    """Time every engine with the generator, and remember which is the fastest, in place of what was remembered.

    Each runs in a process of its own: one that crashes is left out, with the reason. Exit code 1 when none works.

    Example: visavis engines measure
    """
    from avatar.core.model_files import model_file
    from avatar.core.paths import engine_folder
    from avatar.render.layered_network import NETWORK, example_inputs
    from engines.selection.choice import choose

    folder = engine_folder()
    terminal = Terminal(stderr=True)
    with terminal.status("measuring"):
        choice = choose(model_file(NETWORK), threads, folder, terminal.note, anew=True, example=example_inputs)
    if as_json:
        print_json(asdict(choice))
    else:
        _print_choice(Terminal(), choice)
    if not choice.usable:
        raise VisavisError("No engine works here: the reasons stand above. `visavis doctor` says what is missing.")


@engines.command()
def clean() -> None:
    """Remove what the engines keep: built and compiled networks, and the memory of which is the fastest.

    All of it is made again when it is needed. Avatars are not touched.

    Example: visavis engines clean
    """
    from avatar.core.paths import engine_folder
    from engines.files import remove_kept

    folder = engine_folder()
    files = remove_kept(folder)
    size = sum(file.size_bytes for file in files) / 1e6
    Terminal().say(f"Removed {len(files)} file{'' if len(files) == 1 else 's'} ({size:.1f} MB) from {folder}.")


def _backends() -> list[dict[str, Any]]:
    """Every engine: its devices, each None where it is usable or else the reason; or why it is not usable at all."""
    from importlib.metadata import PackageNotFoundError, version

    from engines.backends import BACKENDS, Devices
    from engines.selection.measure import find_devices

    rows: list[dict[str, Any]] = []
    for name, found in find_devices().items():
        row: dict[str, Any] = {"name": name, "label": BACKENDS[name].label, "version": None, "reason": None}
        if isinstance(found, Devices):
            row |= {"version": found.version, "devices": dict.fromkeys(found.usable) | found.absent}
        else:
            row |= {"reason": found, "devices": {}}
        rows.append(row)
    row = {"name": "torch", "label": "torch", "version": None, "reason": None, "devices": {}}
    try:  # not imported: that takes seconds
        row["version"] = version("torch")
    except PackageNotFoundError:
        row["reason"] = f"not installed ({install('torch')})"
    return [*rows, row]


def _current(choice: Choice) -> bool:
    """Whether nothing that the choice depends on has changed."""
    from avatar.core.model_files import model_file
    from avatar.render.layered_network import NETWORK
    from engines.selection.choice import choice_key

    return choice.key == choice_key(model_file(NETWORK), int(choice.key.get("threads", 0)))


def _print_choice(out: Terminal, choice: Choice) -> None:
    from rich.table import Table
    from rich.text import Text

    threads = choice.key.get("threads")
    out.say("", f"{choice.model}, {threads} threads, measured {choice.measured}")
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_column()
    for at, result in enumerate(choice.results):
        time = "" if result.ms is None else f"{result.ms:.1f} ms"
        mark = Text("runs", "green") if at == 0 and result.ms is not None else result.reason
        table.add_row(result.candidate.label, time, mark)
    out.print(table)
