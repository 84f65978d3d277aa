"""Whatever is typed after an option is taken, or refused in a line that says what to type: never a traceback."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from avatar.cli import commands, main

HOSTILE = [
    "", "-", "--", "a[red]b", "x\x1b[2J\n\u202ey", "\udcff", "é" * 300, "x" * 5000, "nan", "inf", "-inf", "1e999",
    "1e308", "-1", "9" * 40, "/dev/null", "/", "1,2", "²",
]  # fmt: skip
# each ends early by itself: the avatar or the file that it wants is not there
LINES = {
    "enroll": ["--video", "none.mp4", "--name", "x"],
    "finetune": ["nobody"],
    "drive": ["nobody", "-i", "none.mp4", "-o", "out.mp4"],
    "live": ["nobody", "--to", "out.mp4"],
    "record-motion": ["-o", "x.motion", "--camera", "none.mp4"],
    "call": ["nobody", "--no-open"],
    "profile": ["nobody"],
    "verify": ["none.mp4"],
    "export": ["nobody"],
}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VISAVIS_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(sys, "stdin", None)  # closed


def refuses(app: typer.Typer, words: list[str]) -> None:
    with pytest.raises(Exception) as refused:
        app(words, prog_name="visavis", standalone_mode=False)
    explained = main._explain(refused.value)
    assert explained is not None, f"{words}: {refused.value!r}"
    message, exit_code = explained
    assert message and exit_code in (1, 2)


@pytest.mark.parametrize("name", LINES)
def test_every_option_takes_or_refuses_what_is_typed(name: str) -> None:
    """Three values each, in turn: over all commands every value meets many kinds of options."""
    app, line = commands.command_app(name), LINES[name]
    values = itertools.cycle(HOSTILE)
    for parameter in typer.main.get_command(app).params:
        if parameter.param_type_name == "option" and not getattr(parameter, "is_flag", False):
            for value in itertools.islice(values, 3):
                refuses(app, [*line, max(parameter.opts, key=len), *[value] * parameter.nargs])


@pytest.mark.parametrize("name", ["drive", "live", "verify"])
def test_every_name_is_taken_or_refused(name: str) -> None:
    app, (_, *options) = commands.command_app(name), LINES[name]
    for value in HOSTILE:
        refuses(app, [*options, "--", value])


@pytest.mark.parametrize("number", ["nan", "inf", "1e999", "1e308", "-1"])
def test_a_time_is_a_number_that_a_clock_can_hold(number: str) -> None:
    app = commands.command_app("live")
    with pytest.raises(Exception) as refused:
        app(["nobody", "--to", "preview", "--seconds", number], prog_name="visavis", standalone_mode=False)
    explained = main._explain(refused.value)
    assert explained is not None and "--seconds" in explained[0] and explained[1] == 2


@pytest.mark.skipif(sys.platform == "win32", reason="names of bytes")
def test_a_name_that_is_no_text_and_a_terminal_that_has_few_letters(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"\xffx[red].jpg")).touch()
    environment = {**os.environ, "LC_ALL": "C", "PYTHONIOENCODING": "ascii", "TERM": "dumb", "COLUMNS": "20"}
    command = [sys.executable, "-m", "avatar.cli.main", "enroll", ".", "--name", "x"]
    done = subprocess.run(command, capture_output=True, timeout=60, env=environment, cwd=tmp_path)
    assert done.returncode == 1 and b"Traceback" not in done.stderr
    assert b"x[red].jpg: is empty" in done.stderr
