"""The Dockerfile, where nothing can build it: what it copies and installs is what is needed, what it runs a command."""

from __future__ import annotations

import json
import re
from pathlib import Path

from typer.main import get_command

from avatar.cli.commands import command_app
from avatar.core.system import SYSTEM_LIBRARIES
from avatar.identity.ready_faces import ready_names

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "Dockerfile").read_text("utf-8")


def test_all_that_the_wheel_is_built_of_is_let_in() -> None:
    let_in = [line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line.startswith("!")]
    assert all((ROOT / name).exists() for name in let_in)
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    for files in re.findall(r"^(?:packages|license-files) = \[(.+?)\]", project, re.MULTILINE):
        assert set(json.loads(f"[{files}]")) <= set(let_in)
    assert {"pyproject.toml", "README.md", "constraints.txt"} <= set(let_in)


def test_it_installs_the_libraries_that_are_needed() -> None:
    assert all(f" {library.packages['debian']} " in TEXT.replace("\\\n", " ") for library in SYSTEM_LIBRARIES)


def test_what_it_runs_is_a_command_with_a_face_that_comes_with_visavis() -> None:
    name, avatar, *options = json.loads(re.findall(r"^CMD (\[.+\])$", TEXT, re.MULTILINE)[0])
    assert avatar in ready_names()
    parameters = get_command(command_app(name)).params
    known = {option for parameter in parameters for option in (*parameter.opts, *parameter.secondary_opts)}
    assert {word for word in options if word.startswith("--")} <= known
