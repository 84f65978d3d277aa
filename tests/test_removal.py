"""What is kept of people can be listed, and goes away whole; what cannot be reached is said."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from avatar.cli.avatars import avatars
from avatar.cli.command_app import CommandApp
from avatar.cli.forget import forget
from avatar.core.errors import UsageError
from avatar.core.paths import engine_folder
from avatar.identity.bundle import avatar_names, avatar_path, save_avatar
from avatar.identity.consent import Statement, consent_record
from avatar.identity.removal import OUT_OF_REACH, delete_avatar
from tests.clips import astronaut_avatar


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder with something of every kind in it, and a file beside that is not ours."""
    home = tmp_path / "home"
    monkeypatch.setenv("VISAVIS_HOME", str(home))
    monkeypatch.setenv("VISAVIS_CACHE", str(tmp_path / "cache"))
    (home / "avatars").mkdir(parents=True, mode=0o700)
    home.chmod(0o700)
    for name, kind in (("anna", "agreed"), ("anna.b", "historical")):
        consent = consent_record(Statement.of(kind, person="Anna" if kind == "agreed" else ""))
        save_avatar(replace(astronaut_avatar(), name=name, consent=consent), avatar_path(name))
    for name in (
        "avatars/broken.avatar", "avatars/.anna.k3x_9aab.part", "avatars/.anna.b.k3x_9aab.part", "drivers/0123.driver",
        "recordings/anna.mp4", "records/unlabelled.jsonl", "uploads/upload-k3x_9aab/photo-0", "call.pem", "notes.txt",
    ):  # fmt: skip
        (home / name).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        (home / name).write_bytes(b"1234")
    return home


def run(app: CommandApp, *arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def forget_app() -> CommandApp:
    app = CommandApp()
    app.command()(forget)
    return app


def test_an_avatar_is_deleted_with_what_was_left_of_it_and_no_other(kept: Path) -> None:
    result = run(avatars, "delete", "anna")
    assert result.exit_code == 0, result.output
    assert "Not reached" in result.stdout
    left = sorted(path.name for path in (kept / "avatars").iterdir())
    assert left == [".anna.b.k3x_9aab.part", "anna.b.avatar", "broken.avatar"]
    assert run(avatars, "delete", "anna").exit_code != 0
    assert delete_avatar("broken") == [kept / "avatars" / "broken.avatar"]  # also one that cannot be read
    with pytest.raises(UsageError):
        delete_avatar("../drivers/0123")


def test_the_list_says_whom_each_shows(kept: Path) -> None:
    table = run(avatars, "list").stdout
    assert "agreed: Anna, 20" in table and "a historical person" in table and "broken" in table
    anna, other, broken, *ready = json.loads(run(avatars, "list", "--json").stdout)
    assert "Mona Lisa" in table and all(one["ready"] for one in ready) and not anna["ready"]
    assert (anna["name"], anna["shows"][:13], anna["consent"]["person"]) == ("anna", "agreed: Anna,", "Anna")
    assert (other["name"], other["shows"]) == ("anna.b", "a historical person")
    assert "problem" in broken


def test_everything_is_forgotten_and_nothing_of_others(kept: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "photo.jpg").write_bytes(b"mine")
    (kept / "recordings" / "link").symlink_to(tmp_path / "mine")
    built = engine_folder() / "choice.json"
    built.parent.mkdir(parents=True, exist_ok=True)
    built.write_bytes(b"{}")
    refused = run(forget_app(), "--all")
    assert isinstance(refused.exception, UsageError) or refused.exit_code == UsageError.exit_code
    assert "5 in avatars" in refused.stderr and avatar_names() == ["anna", "anna.b", "broken"]
    told = json.loads(run(forget_app(), "--all", "--yes", "--json").stdout)
    assert told.pop("not_reached") == OUT_OF_REACH
    counts = {what: kind["files"] for what, kind in told.items()}
    assert counts == {
        "avatars": 5,
        "drivers": 1,
        "recordings": 1,
        "records": 1,
        "keys": 0,
        "uploads": 1,
        "call": 1,
        "engines": 1,
    }
    assert sorted(path.name for path in kept.iterdir()) == ["notes.txt"]
    assert (tmp_path / "mine" / "photo.jpg").read_bytes() == b"mine"
    assert not built.exists()
    assert "There was nothing" in run(forget_app(), "--all", "--yes").stdout


def test_without_all_only_drivers_are_forgotten(kept: Path) -> None:
    assert json.loads(run(forget_app(), "--json").stdout) == {"drivers": 1}
    assert avatar_names() == ["anna", "anna.b", "broken"]
    assert run(forget_app(), "--yes").exit_code != 0
