"""Avatars are renamed, exported and imported: none is replaced, and none taken that was changed since its signing."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from avatar.cli.commands import command_app
from avatar.core.errors import InputError, UsageError
from avatar.identity.bundle import avatar_names, avatar_path, load_avatar, save_avatar
from avatar.identity.bundle_members import MANIFEST, SIGNATURE
from avatar.identity.consent import Statement, consent_record
from avatar.live.avatar_file import keep_avatar
from avatar.live.bundle_report import report_on_bundle
from avatar.live.signing import can_sign
from tests.clips import astronaut_avatar


@pytest.fixture(autouse=True)
def ada(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VISAVIS_HOME", str(tmp_path / "home"))
    consent = consent_record(Statement.of("agreed", "She agreed to a test.", "Ada"))
    keep_avatar(replace(astronaut_avatar(), name="ada", consent=consent), avatar_path("ada"))
    return avatar_path("ada")


def avatars(*words: str) -> None:
    command_app("avatars")(list(words), prog_name="visavis avatars", standalone_mode=False)


def test_alone_they_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    avatars()
    assert "ada" in capsys.readouterr().out
    avatars("--json")
    own, *ready = json.loads(capsys.readouterr().out)
    assert own["shows"].startswith("agreed: Ada") and ready and all(row["ready"] for row in ready)


def test_a_new_name_is_that_of_its_file_too() -> None:
    avatars("rename", "ada", "Ada Lovelace")
    assert avatar_names() == ["Ada Lovelace"] and avatar_path("Ada Lovelace").name == "Ada-Lovelace.avatar"
    with pytest.raises(InputError, match="There are: Ada Lovelace, "):
        avatars("rename", "ada", "other")
    with pytest.raises(UsageError, match="comes with visavis"):
        avatars("rename", "mona_lisa", "mine")
    with pytest.raises(UsageError, match="already"):
        avatars("rename", "Ada Lovelace", "Ada Lovelace")


def test_an_exported_one_comes_back_as_it_was_signed(
    tmp_path: Path, ada: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, before = tmp_path / "out.avatar", ada.read_bytes()
    avatars("export", "ada", str(file))
    with pytest.raises(UsageError, match="--force"):
        avatars("export", "ada", str(file))
    with pytest.raises(UsageError, match=r"name it out\.avatar"):
        avatars("export", "ada", str(tmp_path / "out.zip"))
    assert file.stat().st_mode & 0o777 == 0o600
    with pytest.raises(UsageError, match="already"):
        avatars("import", str(file))
    assert ada.read_bytes() == before
    avatars("delete", "ada")
    capsys.readouterr()
    avatars("import", str(file))
    said = capsys.readouterr().out
    assert "It shows ada: agreed: Ada" in said and "She agreed to a test." in said
    if can_sign():
        assert ada.read_bytes() == before and "signed by visavis on this computer" in said
    avatars("import", str(file), "--name", "Twin")
    assert avatar_names() == ["Twin", "ada"] and report_on_bundle(avatar_path("Twin")).signed == can_sign()


def test_what_nobody_has_signed_gets_no_signature_by_a_new_name(
    tmp_path: Path, ada: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "stranger.avatar"
    save_avatar(load_avatar(ada), file)
    avatars("import", str(file), "--name", "Guest")
    if can_sign():
        assert f"Guest is kept without a signature, as {file} has none." in capsys.readouterr().err
    avatars("rename", "Guest", "Friend")
    avatars("export", "Friend", str(tmp_path / "out.avatar"))
    assert not report_on_bundle(avatar_path("Friend")).signed and not report_on_bundle(tmp_path / "out.avatar").signed


def test_what_is_no_avatar_or_not_as_signed_is_not_taken(tmp_path: Path, ada: Path) -> None:
    file = tmp_path / "other.avatar"
    file.write_bytes(ada.read_bytes()[:5000])
    with pytest.raises(InputError, match="cannot be used as an avatar"):
        avatars("import", str(file))
    with zipfile.ZipFile(ada) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members[MANIFEST] = members[MANIFEST].replace(b"She agreed to a test.", b"She agreed to it all.")
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    ada.unlink()
    if SIGNATURE in members:
        with pytest.raises(InputError, match="not as it was signed"):
            avatars("import", str(file))
        assert avatar_names() == []
    else:
        avatars("import", str(file))
        assert load_avatar(ada).consent["statement"] == "She agreed to it all."
