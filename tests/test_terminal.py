"""What commands print: text of others is shown letter by letter, and never obeyed by rich or by the terminal."""

from __future__ import annotations

import ast
import errno
import io
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from rich.table import Table
from rich.text import Text

import avatar
from avatar.cli.terminal import Terminal, print_json
from avatar.core.errors import OutputError
from avatar.core.printable import continued, printable

COMMAND = [sys.executable, "-m", "avatar.cli.main"]
COMMANDS = Path(avatar.__file__).parent / "cli"
HOSTILE = "a[red]b[/]\x1b]0;title\x07\x1b[2J\u202egnp.exe\x9b1m\x7f\r\udcff:smile:"
SHOWN = r"a[red]b[/]\x1b]0;title\x07\x1b[2J\u202egnp.exe\x9b1m\x7f\x0d\xff:smile:"
posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals, devices and permissions")


@pytest.fixture
def colours(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a terminal that has them."""
    for variable, value in (("FORCE_COLOR", "1"), ("COLUMNS", "200"), ("TERM", "xterm-256color")):
        monkeypatch.setenv(variable, value)


def test_each_control_character_is_shown() -> None:
    for code in (*range(0x20), *range(0x7F, 0xA0), 0x61C, *range(0x202A, 0x202F), *range(0x2066, 0x206A)):
        if chr(code) != "\t":
            assert printable(chr(code)) == (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")
    for kept in ("\t", "ä", "→", "日本", "👩‍🚀", "[bold]", "\\"):
        assert printable(kept) == kept


def test_a_line_break_in_a_name_starts_no_message_of_its_own() -> None:
    assert printable("x\nError: all is lost") == r"x\x0aError: all is lost"
    assert continued("first\nError: forged\n    a command") == "first\n  Error: forged\n    a command"


@pytest.mark.parametrize("way", ["say", "note", "print", "text", "cell", "text cell", "heading", "title"])
@pytest.mark.usefixtures("colours")
def test_a_terminal_obeys_nothing_that_it_shows(way: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = Terminal()
    if way in ("say", "note"):
        getattr(out, way)(HOSTILE)
    elif way in ("print", "text"):
        out.print(Text(HOSTILE) if way == "text" else HOSTILE)
    else:
        table = Table(HOSTILE if way == "heading" else "", title=HOSTILE if way == "title" else None)
        table.add_row(HOSTILE if way == "cell" else Text(HOSTILE) if way == "text cell" else "wide" * 30)
        out.print(table)
    # rich drops five control characters of a `Text` before anybody sees them, and measures it before they are shown
    shown = {"text": SHOWN.replace(r"\x07", "").replace(r"\x0d", ""), "text cell": r"a[red]b[/]\x1b]0;title"}.get(
        way, SHOWN
    )
    said = capsys.readouterr().out
    assert shown in said
    assert "\x1b]" not in said and "\x1b[2J" not in said


@pytest.mark.usefixtures("colours")
def test_what_moves_obeys_nothing_either(capsys: pytest.CaptureFixture[str]) -> None:
    out = Terminal()
    with out.status(HOSTILE) as status:
        status.update(HOSTILE)
        time.sleep(0.2)
    with out.progress(transient=False) as bar:
        bar.add_task(HOSTILE)
    text = capsys.readouterr().out
    assert text.count("a[red]b[/]") >= 2
    assert "\x1b]" not in text and "\u202e" not in text


def test_json_is_exact(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"name": HOSTILE, "path": Path("[x]")})
    said = capsys.readouterr().out
    assert json.loads(said) == {"name": HOSTILE, "path": "[x]"}
    assert "\x1b" not in said


def test_what_is_no_number_is_null_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"r": math.nan, "rows": [(1.5, -math.inf), {"fps": np.float64("nan")}]}, indent=None)
    assert capsys.readouterr().out == '{"r": null, "rows": [[1.5, null], {"fps": null}]}\n'


def test_output_that_cannot_be_written_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.StringIO):
        def flush(self) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        def fileno(self) -> int:
            return os.open(os.devnull, os.O_WRONLY)

    writers: list[Callable[[], None]] = [lambda: print_json([]), lambda: Terminal().say("x")]
    for write in writers:
        monkeypatch.setattr(sys, "stdout", Full())
        with pytest.raises(OutputError, match="could not be written: No space left on device"):
            write()
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(OutputError, match="it is closed"):
        print_json([])


@posix
@pytest.mark.parametrize("arguments", ["--version", "--help", "cameras --json"])
@pytest.mark.parametrize(("sink", "said"), [(">/dev/full", "No space left on device"), ("| :", ""), (">&-", None)])
def test_an_output_that_takes_nothing_is_one_line_at_most(arguments: str, sink: str, said: str | None) -> None:
    line = f'set -o pipefail; "$0" -m avatar.cli.main {arguments} {sink}'
    done = subprocess.run(["bash", "-c", line, sys.executable], capture_output=True, text=True, timeout=60)
    assert done.stderr.count("\n") == bool(said) or said is None, done.stderr
    assert "Traceback" not in done.stderr and "Exception" not in done.stderr
    if said is not None:
        assert done.returncode in (0, 1) and said in done.stderr  # 0: ended before the pipe was closed
        assert done.returncode == 1 or not said


@posix
def test_messages_that_nobody_can_read_stop_nothing() -> None:
    line = '"$0" -m avatar.cli.main cameras --json --no 2>/dev/full'
    assert subprocess.run(["bash", "-c", line, sys.executable], timeout=60).returncode == 2


@posix
def test_a_closed_stream_is_not_taken_by_a_file(tmp_path: Path) -> None:
    """Else what is printed lands in the avatar that was opened in its place."""
    code = f"from avatar.cli import main\nmain._open_streams()\nassert open({str(tmp_path / 'x')!r}, 'w').fileno() > 2"
    line = '"$0" -c "$1" <&- >&- 2>&-'
    assert subprocess.run(["bash", "-c", line, sys.executable, code], timeout=60).returncode == 0


def test_libraries_warnings_and_tracebacks_obey_nothing() -> None:
    code = (
        "import logging, sys, warnings\nfrom avatar.cli.terminal import Terminal, guard_streams\n"
        "guard_streams()\nbad = 'x\\x1b[2Jy'\n"
        "print(bad, file=sys.stderr)\nwarnings.warn(bad)\nlogging.getLogger('a').error(bad)\n"
        "Terminal(stderr=True).note(bad)\nraise ValueError(bad)"
    )
    environment = {**os.environ, "FORCE_COLOR": "1", "TERM": "xterm-256color"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=environment)
    assert done.stderr.count(r"x\x1b[2Jy") >= 5 and "\x1b[2J" not in done.stderr
    assert "\x1b[33m" in done.stderr  # a Terminal's own colours are meant


@posix
@pytest.mark.parametrize("package", ["typer", "rich"])
def test_ctrl_c_while_imports_are_going_on_is_quiet(package: str, tmp_path: Path) -> None:
    (tmp_path / f"{package}.py").write_text(
        "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(9)"
    )
    root = str(COMMANDS.parents[1])
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{root}"}
    done = subprocess.run([*COMMAND, "cameras"], capture_output=True, text=True, timeout=60, env=environment)
    assert (done.returncode, done.stdout, done.stderr) == (128 + signal.SIGINT, "", "")


QUITS = """
import os, signal, sys, time
from avatar.cli.keys import listening
from avatar.cli.stop import leave_on_quit
from avatar.cli.terminal import Terminal
leave_on_quit()
with Terminal(stderr=True).status("moving"), listening({}):
    time.sleep(0.3)
    os.kill(os.getpid(), signal.SIGQUIT)
    time.sleep(9)
"""


@posix
def test_ctrl_backslash_leaves_the_terminal_as_it_was() -> None:
    import pty
    import termios

    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    program = subprocess.Popen([sys.executable, "-c", QUITS], stdin=theirs, stdout=theirs, stderr=theirs)
    assert program.wait(30) == 128 + signal.SIGQUIT
    said = os.read(ours, 100_000)
    assert b"moving" in said and said.endswith(b"\x1b[?25h") and b"Traceback" not in said
    assert termios.tcgetattr(theirs) == before
    os.close(ours)
    os.close(theirs)


def called_names(path: Path) -> set[str]:
    calls = [node.func for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)]
    return {
        call.id if isinstance(call, ast.Name) else call.attr if isinstance(call, ast.Attribute) else ""
        for call in calls
    }


def test_one_way_to_the_terminal() -> None:
    """No console of rich's own, which takes brackets for markup, and no text past the one that shows all."""
    others = [path for path in COMMANDS.parent.rglob("*.py") if path.name != "terminal.py"]
    assert len(others) > 100
    for path in others:
        called = called_names(path)
        assert not called & {"Console", "from_markup", "echo", "secho"}, path
        assert path.parent != COMMANDS or not called & {"Progress", "dumps"}, path
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert node.module not in ("rich.markup", "rich.prompt"), path
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id != "print" or path.parent != COMMANDS, path
                assert node.func.id != "TextColumn" or "markup" in {word.arg for word in node.keywords}, path
