"""What a command says: on stdout what was asked for, on stderr all else. The text of others is shown and never obeyed.

Every command prints by a `Terminal` or by `print_json`: names of files hold brackets, which rich would take for its
markup, and escape sequences, which a terminal would take for commands.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NoReturn, TextIO, cast

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.status import Status
from rich.text import Text

from avatar.core.errors import OutputError
from avatar.core.printable import continued, printable, printable_lines
from avatar.core.strict_json import finite

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn

NOTE_STYLE = "yellow"
SPINNER_WIDTH = 3  # with the blank after it, and one before the edge


class Terminal(Console):
    """rich's console without markup: strings are shown letter by letter, colours come by `Text` and `style`."""

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, markup=False, emoji=False, highlight=False)

    def say(self, *lines: str, style: str = "") -> None:
        """Each as a line of its own, unwrapped: commands can be copied from it, and a log searched."""
        for line in lines:
            self.print(Text(printable(line), style), soft_wrap=True)

    def note(self, message: str) -> None:
        """Something that did not go as wished. For whatever takes a `say`."""
        self.print(Text(continued(message), NOTE_STYLE), soft_wrap=True)

    def progress(self, *columns: ProgressColumn, transient: bool = True) -> Progress:
        """A bar after the task's description, and these columns after the bar."""
        from rich.progress import BarColumn, Progress, TextColumn

        described = TextColumn("{task.description}", markup=False)
        return Progress(described, BarColumn(), *columns, console=self, transient=transient)

    def status(self, status: RenderableType, **how: Any) -> Status:
        return _PlainStatus(status, console=self, **how)

    def print(self, *objects: Any, **how: Any) -> None:
        """Raises OutputError."""
        try:
            super().print(*objects, **how)
        except OSError as error:
            _lost(error)

    def on_broken_pipe(self) -> None:
        _lost(BrokenPipeError())

    def render_str(self, text: str, **how: Any) -> Text:
        return super().render_str(printable(text), **{**how, "markup": False})

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):  # what came as `Text`
            yield segment if segment.control else segment._replace(text=printable_lines(segment.text))


class _PlainStatus(Status):
    """One line of the terminal: what is longer is cut off."""

    def __init__(self, status: RenderableType, *, console: Console, **how: Any) -> None:
        super().__init__(_cut(status, console), console=console, **how)

    def update(self, status: RenderableType | None = None, **how: Any) -> None:
        super().update(None if status is None else _cut(status, self.console), **how)


def _cut(status: RenderableType, console: Console) -> RenderableType:
    if not isinstance(status, str):
        return status
    text = Text(printable(status))
    text.truncate(max(1, console.width - SPINNER_WIDTH), overflow="ellipsis")
    return text


def print_json(value: Any, *, indent: int | None = 2) -> None:
    """The figures of `--json`, exactly, for another program; paths as text, null for what is no number.

    Raises OutputError.
    """
    text = json.dumps(finite(value), indent=indent, default=os.fspath, allow_nan=False)
    try:
        if sys.stdout is None:
            raise OSError("it is closed")
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    except OSError as error:
        _lost(error)


def flush_stdout() -> None:
    """What is still on its way. Raises OutputError."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        _lost(error)


def _lost(error: OSError) -> NoReturn:
    """stdout takes no more. What it still holds goes nowhere, else the interpreter tries it again at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    if sys.stdout is not None:
        os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
    raise OutputError(error) from error


class _Unfailing:
    """stderr that may be closed or full: nobody is there to be told so, and the work goes on."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except (OSError, ValueError):  # ValueError: closed
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except (OSError, ValueError):
            return

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Harmless(_Unfailing):
    """What libraries, warnings and tracebacks write, past every Terminal."""

    @property
    def rich_proxied_file(self) -> _Unfailing:  # so rich asks for the stream that takes its colours
        return _Unfailing(self._stream)

    def write(self, text: str) -> int:
        super().write(printable_lines(text))
        return len(text)


def guard_streams() -> None:
    """For the whole process: stderr obeys no text of others and never fails; no letter is too foreign for either."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    if sys.stderr is not None and not isinstance(sys.stderr, _Harmless):
        sys.stderr = cast(TextIO, _Harmless(sys.stderr))
