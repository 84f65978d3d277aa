"""The command `visavis`: parse, call, print. Each command is one function in the file of its name."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Annotated

import typer

from avatar.errors import VisavisError

USE = "Use"
MAKE = "Make and measure networks"
# Only the command that is called is imported, so that `visavis --help` is quick and the base install needs no torch.
COMMANDS = {
    "enroll": (USE, "Make an avatar from one to 32 photos, or from a selfie clip."),
    "finetune": (USE, "Make the network a person's own (needs the train extra)."),
    "drive": (USE, "Let a video drive an avatar, into a video file."),
    "live": (USE, "Let a camera drive an avatar, into a virtual camera, a file or a window."),
    "cameras": (USE, "List the webcams of this computer."),
    "record-motion": (USE, "Record how a face moves, as numbers without a picture."),
    "call": (USE, "Call others as your avatar, from browser to browser (needs the call extra)."),
    "profile": (USE, "Measure the live loop on this computer."),
    "engines": (USE, "See, measure and clean the inference engines of this computer."),
    "doctor": (USE, "Check what is installed, and say what brings the rest."),
    "dataset": (MAKE, "Make training data of videos and photos, or look at it."),
    "train": (MAKE, "Train the networks (needs the train extra)."),
    "export": (MAKE, "Turn a checkpoint or an avatar into ONNX (train extra), or ONNX into TensorRT engines."),
    "evaluate": (MAKE, "Measure quality on clips (needs the train extra)."),
}
OWN_PACKAGES = {"avatar", "engines", "export"}

app = typer.Typer(
    name="visavis",
    help="A talking head from a few photos, driven by your webcam, as the camera of any video call.",
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["--help", "-h"]},
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)


def _register(name: str, panel: str, summary: str) -> None:
    @app.command(
        name,
        help=summary,
        rich_help_panel=panel,
        add_help_option=False,  # the command's own --help answers
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "allow_interspersed_args": False},
    )
    def run(context: typer.Context) -> None:
        _remove_kept_usage_data()
        _command_app(name)(context.args, prog_name=f"visavis {name}")


for _name, (_panel, _summary) in COMMANDS.items():
    _register(_name, _panel, _summary)


def _command_app(name: str) -> typer.Typer:
    """The command as an app of its own. Raises VisavisError when a package that it needs is not installed."""
    try:
        noun = name.replace("-", "_")
        function = getattr(import_module(f"avatar.cli.{noun}"), noun)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in OWN_PACKAGES:
            raise
        wanted = "visavis[call]" if name == "call" else "visavis[train]" if COMMANDS[name][0] == MAKE else "visavis"
        raise VisavisError(
            f"`visavis {name}` needs the package {package}, which is not installed. Run: pip install '{wanted}'"
        ) from error
    except (ImportError, OSError) as error:
        raise VisavisError(
            f"`visavis {name}` cannot start: {error}. Run `visavis doctor`, which names what is missing."
        ) from error
    if isinstance(function, typer.Typer):  # a group of commands
        return function
    command = typer.Typer(
        add_completion=False,
        context_settings={"help_option_names": ["--help", "-h"]},
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
    )
    command.command(name)(function)
    return command


def _remove_kept_usage_data() -> None:
    from avatar.trust.kept_usage_data import remove_kept_usage_data

    if (folder := remove_kept_usage_data()) is not None:
        line = f"Removed {folder}: usage data that ONNX Runtime kept for its vendor. visavis refuses it that now."
        print(line, file=sys.stderr)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"visavis {version('visavis')}")
        raise typer.Exit


@app.callback()
def _visavis(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """The options before the command."""


def main() -> None:
    """Entry point. Errors that a person can act on end in one message on stderr and exit code 1 or 2.

    VISAVIS_DEBUG=1 shows their tracebacks. Anything else is a bug and shows its traceback by itself.
    """
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        explained = _explain(error)
        if explained is None or os.environ.get("VISAVIS_DEBUG"):
            raise
        message, exit_code = explained
        _print_error(message)
        sys.exit(exit_code)


def _explain(error: Exception) -> tuple[str, int] | None:
    """The message for the person at the terminal and the exit code; None for a bug."""
    if isinstance(error, VisavisError):
        return str(error), error.exit_code
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}. Check the path, its permissions and the free space.", 1
    from engines.engine import EngineFailure

    if isinstance(error, EngineFailure):
        return f"{str(error).rstrip('.')}. Run `visavis doctor` to see which engines work here.", 1
    return None


def _print_error(message: str) -> None:
    from rich.console import Console
    from rich.text import Text

    Console(stderr=True, highlight=False, soft_wrap=True).print(Text(f"Error: {message}", style="red"))


if __name__ == "__main__":
    main()
