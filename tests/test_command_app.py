"""Options that several commands share are declared once, as the fields of a dataclass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from avatar.cli.command_app import CommandApp


@dataclass(frozen=True)
class Base:
    engine: Annotated[str, typer.Option(help="What runs it.")] = "auto"


@dataclass(frozen=True)
class Threaded(Base):
    threads: Annotated[int | None, typer.Option(min=1)] = None


@pytest.fixture
def app() -> CommandApp:
    app = CommandApp()

    @app.command("run")
    def run(
        name: Annotated[str, typer.Argument()],
        *,
        drawing: Threaded,
        as_json: Annotated[bool, typer.Option("--json")] = False,
    ) -> None:
        """Run it."""
        print(name, drawing, as_json)

    return app


def test_fields_are_options_and_arrive_as_one_object(app: CommandApp) -> None:
    done = CliRunner().invoke(app, ["ada", "--threads", "3", "--json"])
    assert (done.exit_code, done.stdout) == (0, f"ada {Threaded('auto', 3)} True\n")
    assert CliRunner().invoke(app, ["ada"]).stdout == f"ada {Threaded()} False\n"


def test_what_is_wrong_with_a_field_is_wrong_with_its_option(app: CommandApp) -> None:
    done = CliRunner().invoke(app, ["ada", "--threads", "0"])
    assert done.exit_code == 2 and "'--threads'" in done.output


def test_help_lists_the_fields_in_order(app: CommandApp) -> None:
    told = CliRunner().invoke(app, ["--help"]).stdout
    assert told.index("--engine") < told.index("--threads") < told.index("--json")
    assert "What runs it." in told
