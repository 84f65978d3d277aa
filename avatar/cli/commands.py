"""All commands by name, and the app that finds them. Each is one function in the file of its name."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from importlib import import_module
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand
from typer.main import get_command

from avatar.cli.command_app import CommandApp
from avatar.cli.terminal import Terminal

USE = "Use"
MAKE = "Make and measure networks"
# Only the command that is called is imported, so that `visavis --help` is quick and the base install needs no torch.
COMMANDS = {
    "open": (USE, "Open the page in your browser; `visavis` alone does it too (needs the call extra)."),
    "enroll": (USE, "Make an avatar from one to 32 photos, or from a selfie clip."),
    "avatars": (USE, "List the enrolled avatars, with whom each shows; rename, delete, export, import."),
    "finetune": (USE, "Make the network a person's own (needs the train extra)."),
    "drive": (USE, "Let a video drive an avatar, into a video file."),
    "live": (USE, "Let a camera drive an avatar, into a virtual camera, a file or a window."),
    "cameras": (USE, "List the webcams of this computer."),
    "record-motion": (USE, "Record how a face moves, as numbers without a picture."),
    "call": (USE, "Call others as your avatar, from browser to browser (needs the call extra)."),
    "forget": (USE, "Delete what is kept of drivers; with --all, everything that is kept of anybody."),
    "verify": (USE, "Say whether a video, photo or camera shows one of visavis' avatars."),
    "profile": (USE, "Measure the live loop on this computer."),
    "engines": (USE, "See, measure and clean the inference engines of this computer."),
    "config": (USE, "Print or write the file of your own defaults."),
    "install-desktop": (USE, "Put visavis among the programs of your desktop, or take it away again."),
    "doctor": (USE, "Check what is installed, and say what brings the rest."),
    "dataset": (MAKE, "Make training data of videos and photos, or look at it."),
    "train": (MAKE, "Train the networks (needs the train extra)."),
    "export": (MAKE, "Turn a checkpoint or an avatar into ONNX (train extra), or ONNX into TensorRT engines."),
    "evaluate": (MAKE, "Measure quality on clips (needs the train extra)."),
}
FOR_OTHERS = {"dataset", "train", "export"}  # write what a group may share; all others, what shows or holds a face

app = CommandApp(
    name="visavis",
    help="A talking head from a few photos, driven by your webcam, as the camera of any video call.",
    invoke_without_command=True,  # then the page is opened
    add_completion=True,
)


class _Door(TyperCommand):
    """Leads to a command that is imported only when it is called, or when its options are completed by a shell."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        if extra.get("resilient_parsing") and info_name in COMMANDS:
            with suppress(ModuleNotFoundError):  # an extra that is not installed: then nothing is completed
                return get_command(command_app(info_name)).make_context(info_name, args, parent, **extra)
        return super().make_context(info_name, args, parent, **extra)


def _register(name: str, panel: str, summary: str) -> None:
    @app.command(
        name,
        cls=_Door,
        help=summary,
        rich_help_panel=panel,
        add_help_option=False,  # the command's own --help answers
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "allow_interspersed_args": False},
    )
    def run(context: typer.Context) -> None:
        _run(name, context.args)


def _run(name: str, arguments: list[str]) -> NoReturn:
    _remove_kept_usage_data()
    with nullcontext() if name in FOR_OTHERS else _private_files():
        command = command_app(name)
        own = {"default_map": _own_defaults(name, command)}
        exit_code = command(arguments, prog_name=f"visavis {name}", standalone_mode=False, **own)
    raise typer.Exit(exit_code or 0)


for _name, (_panel, _summary) in COMMANDS.items():
    _register(_name, _panel, _summary)


@contextmanager
def _private_files() -> Iterator[None]:
    """Every file that is written meanwhile is for its owner alone, whichever library writes it."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def command_app(name: str) -> typer.Typer:
    """The command as an app of its own."""
    noun = name.replace("-", "_")
    function = getattr(import_module(f"avatar.cli.{noun}"), noun)
    if isinstance(function, typer.Typer):  # a group of commands
        return function
    command = CommandApp()
    command.command(name)(function)
    return command


def _own_defaults(name: str, command: typer.Typer) -> dict[str, Any]:
    """What the user's file says for this command. What it says of none is told."""
    from avatar.cli.config_file import defaults, read_config
    from avatar.core.paths import config_file

    if not (config := read_config()):
        return {}
    note = Terminal(stderr=True).note
    for table in config.keys() - COMMANDS.keys():
        note(f"{config_file()}: there is no command {table}. It is passed over.")
    return defaults(config[name], get_command(command), name, note) if name in config else {}


def _remove_kept_usage_data() -> None:
    from avatar.core.kept_usage_data import remove_kept_usage_data

    if (folder := remove_kept_usage_data()) is not None:
        line = f"Removed {folder}: usage data that ONNX Runtime kept for its vendor. visavis stops it now."
        Terminal(stderr=True).note(line)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        Terminal().say(f"visavis {version('visavis')}")
        raise typer.Exit


@app.callback()
def _visavis(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """The options before the command; without one, the page is opened."""
    if context.invoked_subcommand is None:
        _run("open", [])
