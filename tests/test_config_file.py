"""The user's own defaults, and what the shell completes: both know options of commands that are not imported yet."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from typer.main import get_command

from avatar.cli import commands
from avatar.cli.config_file import SAID_EACH_TIME, defaults, read_config
from avatar.core.errors import UsageError
from avatar.core.paths import config_file

COMMAND = [sys.executable, "-m", "avatar.cli.main"]


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("VISAVIS_CONFIG")
    monkeypatch.setenv("VISAVIS_HOME", str(tmp_path / "home"))
    (tmp_path / "visavis").mkdir()
    return config_file()


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *words], capture_output=True, text=True, env=os.environ | environment, timeout=60)


def test_what_is_typed_goes_before_the_file_and_the_file_before_the_program(file: Path) -> None:
    file.write_text(
        '[cameras]\njson = true\n[live]\ncamera = "none.mp4"\nto = ["out.nothing"]\n[avatars.list]\njson = true\n'
    )
    assert run("cameras").stdout.startswith("[")
    assert run("avatars", "list").stdout.startswith("[")
    assert "none.mp4: no such file" in (told := run("live", "mona_lisa").stderr) and "--to out.nothing" in told
    told = run("live", "mona_lisa", "--to", "x.nothing").stderr
    assert "none.mp4: no such file" in told and "--to x.nothing" in told


def test_what_no_command_has_is_told_and_statements_about_people_count_only_where_typed() -> None:
    told: list[str] = []
    enroll = get_command(commands.command_app("enroll"))
    table = {"shows": "oneself", "i-have-consent": "all agreed", "colour": 1, "seconds": 5, "name": "ada"}
    assert defaults(table, enroll, "enroll", told.append) == {"seconds": 5, "name": "ada"}
    assert [line.rpartition("config.toml: ")[2].split(" in ")[0] for line in told] == [
        "shows", "i-have-consent", "[enroll] has no colour. It is passed over.",
    ]  # fmt: skip
    live = get_command(commands.command_app("live"))
    assert defaults({"remember-me": True, "remember": True, "mirror": True}, live, "live", told.append) == {
        "mirror": True
    }
    with pytest.raises(UsageError, match="no table"):
        defaults(5, enroll, "enroll", told.append)


@pytest.mark.parametrize("text", [b"[live", b"\xff", b"a = " + b"[" * 5000, b"#" * (300 << 10)])
def test_a_file_that_cannot_be_read_is_named(file: Path, text: bytes) -> None:
    file.write_bytes(text)
    with pytest.raises(UsageError, match=r"config\.toml is"):
        read_config()


def test_a_pipe_is_not_waited_for(file: Path) -> None:
    os.mkfifo(file)
    with pytest.raises(UsageError, match="is no file"):
        read_config()


def test_it_is_written_once_with_every_option_and_changes_nothing_by_itself(file: Path) -> None:
    assert run("config", "--write").returncode == 0
    assert read_config().keys() == {"open", "enroll", "finetune", "drive", "live", "cameras", "record-motion", "call",
                                    "verify", "profile"}  # fmt: skip
    assert not any(read_config().values())
    written = file.read_text()
    assert all(f"# {name.replace('_', '-')} =" not in written for name in SAID_EACH_TIME)
    live = tomllib.loads(written.replace("\n# ", "\n").partition("[live]")[2].partition("\n[")[0])
    known = get_command(commands.command_app("live")).params
    assert live.keys() <= {option[2:] for parameter in known for option in parameter.opts}
    assert live["camera"] == "0" and live["to"] == [] and len(live) > 15
    again = run("config", "--write")
    assert again.returncode == 2 and "stays as it is" in again.stderr
    file.write_text('[live]\ncamera = "c920"\n')
    assert '\ncamera = "c920"  # ' in run("config").stdout


@pytest.mark.parametrize(
    ("words", "completed"),
    [("li", {"live"}), ("live --ca", {"--camera"}), ("avatars re", {"rename"}), ("live mona", {"mona_lisa"})],
)
def test_the_shell_completes_commands_options_and_avatars(words: str, completed: set[str]) -> None:
    typed = f"visavis {words}"
    done = subprocess.run(
        [sys.executable, "-c", "import sys; sys.argv = ['visavis']; from avatar.cli.main import main; main()"],
        capture_output=True,
        text=True,
        env=os.environ
        | {"_VISAVIS_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(len(typed.split()) - 1)},
        timeout=60,
    )
    assert set(done.stdout.split()) == completed
