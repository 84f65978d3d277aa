"""The entry point of `visavis`: however a run ends, the person, the shell and the pipe get an end that they can read.

Imports little: what a command needs takes a third of a second, in which Ctrl-C is pressed too.
"""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress
from typing import Any

from avatar.cli.stop import CTRL_C, ctrl_c_as_exception, leave_on_ctrl_c, leave_on_quit
from avatar.core.errors import OutputError, VisavisError
from avatar.core.own_process import settle

OWN_PACKAGES = ("avatar", "engines", "export")
MEND_PACKAGE = "If that names a library of the system, install it; else install the packages again"
CHECK_PATH = "Check the path, its permissions and the free space."
SCARCE = {  # what the system may have no more of, whatever was being done
    errno.ENOSPC: "Make room on the disk, then try again.",
    errno.EDQUOT: "Make room on the disk, then try again.",
    errno.EMFILE: "Raise the limit of open files: ulimit -n 4096",
    errno.ENFILE: "Close other programs, then try again.",
    errno.ENOMEM: "Close other programs, then try again.",
}


def main() -> None:
    """Errors that a person can act on end in one message on stderr and exit code 1 or 2; Ctrl-C in 130.

    VISAVIS_DEBUG=1 shows their tracebacks. Anything else is a bug and shows its traceback by itself.
    """
    leave_on_ctrl_c()
    settle()
    _open_streams()
    try:
        from avatar.cli.terminal import flush_stdout, guard_streams

        guard_streams()
        leave_on_quit()
        from avatar.cli.commands import app

        ctrl_c_as_exception()
        exit_code = app(standalone_mode=False) or 0
        flush_stdout()
    except KeyboardInterrupt:
        exit_code = CTRL_C
    except Exception as error:
        explained = _explain(error)
        if explained is None or os.environ.get("VISAVIS_DEBUG"):
            raise
        message, exit_code = explained
        _print_error(message)
        if isinstance(error, OSError):  # of stdout perhaps, which still holds what it could not write
            from avatar.cli.terminal import flush_stdout

            with suppress(OutputError):
                flush_stdout()
    leave_on_ctrl_c()  # the interpreter takes a while to end
    sys.exit(exit_code)


def _open_streams() -> None:
    """Whoever closed one of the three gets none of this program's files or devices in its place."""
    while (nowhere := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(nowhere, True)
    os.close(nowhere)


def _explain(error: Any) -> tuple[str, int] | None:
    """The message for the person at the terminal, "" for none, and the exit code; None for a bug."""
    if isinstance(error, OutputError) and error.unread:
        return "", 1
    if isinstance(error, VisavisError):
        return str(error), error.exit_code
    import typer

    if isinstance(error, typer.Abort):  # Ctrl-C or Ctrl-D at a question
        return "", CTRL_C
    if hasattr(error, "format_message"):  # of typer's parser, which is click's or, since 0.20, its own
        return _of_usage(error), error.exit_code
    if isinstance(error, ModuleNotFoundError) and (package := str(error.name).partition(".")[0]) not in OWN_PACKAGES:
        from avatar.core.extras import install

        return f"This needs the package {package}, which is not installed. Run: {install(package)}", 1
    if isinstance(error, ImportError) and str(error.name).partition(".")[0] not in OWN_PACKAGES:
        from avatar.core.extras import install

        return f"An installed package does not start: {error}. {MEND_PACKAGE}: {install(str(error.name))}", 1
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}. {CHECK_PATH}", 1
    if isinstance(error, OSError) and error.errno in SCARCE:
        return f"{error.strerror}. {SCARCE[error.errno]}", 1
    if isinstance(error, MemoryError):
        return "There is not enough memory for this. Close other programs, or give a smaller picture or file.", 1
    if isinstance(error, RecursionError):
        return "A file that was read is nested too deeply to be one of visavis'. Give another one.", 1
    if isinstance(error, UnicodeEncodeError):
        text = error.object[max(0, error.start - 40) : error.end + 40]
        return f"{text!r} cannot be written in {error.encoding}. Rename the file, or set LANG=C.UTF-8.", 1
    from engines.engine import EngineFailure

    if isinstance(error, EngineFailure):
        return f"{str(error).rstrip('.')}. Run `visavis doctor` to see which engines work here.", 1
    return None


def _of_usage(error: Any) -> str:
    message, context = error.format_message(), getattr(error, "ctx", None)
    if not message or context is None:  # help was asked for by giving nothing, and is on the screen
        return str(message)
    sentence = message if message.endswith("?") else f"{message.rstrip('.')}."
    return f"{sentence} See `{context.command_path} --help`."


def _print_error(message: str) -> None:
    from rich.text import Text

    from avatar.cli.terminal import Terminal
    from avatar.core.printable import continued

    if message:
        Terminal(stderr=True).print(Text(continued(f"Error: {message}"), "red"), soft_wrap=True)


if __name__ == "__main__":
    main()
