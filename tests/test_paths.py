"""Faces are for their owner alone, whatever the umask was, and whatever the folder was before."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from avatar.cli import commands
from avatar.core.errors import VisavisError
from avatar.core.paths import home, readable_by_others
from avatar.live import doctor

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VISAVIS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_a_new_home_is_private(folder: Path) -> None:
    before = os.umask(0)
    try:
        assert mode(home()) == 0o700
    finally:
        os.umask(before)


@pytest.mark.parametrize("wide", [0o777, 0o755, 0o770, 0o1777])
def test_an_open_home_of_ours_is_closed_with_a_line(
    wide: int, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("avatars", "uploads"):
        (folder / name).mkdir(parents=True)
        (folder / name).chmod(0o777)
    (folder / "call.pem").touch()
    folder.chmod(wide)
    assert home() == folder
    assert not mode(folder) & 0o077 and mode(folder / "avatars") == mode(folder / "uploads") == 0o700
    said = capsys.readouterr().err.splitlines()
    assert said[0] == f"{folder} was open to others; now it is yours alone." and len(said) == 3
    home()
    assert capsys.readouterr().err == ""


def test_a_folder_of_other_things_keeps_its_mode(folder: Path) -> None:
    (folder / "avatars").mkdir(parents=True)
    (folder / "thesis.pdf").touch()
    folder.chmod(0o755)
    (folder / "avatars").chmod(0o755)
    home()
    assert mode(folder) == 0o755 and mode(folder / "avatars") == 0o700


def test_a_folder_in_which_all_may_write_is_refused(folder: Path) -> None:
    folder.mkdir()
    (folder / "somebody-elses").touch()
    folder.chmod(0o1777)  # as /tmp
    with pytest.raises(VisavisError, match=r"home is no place for faces: others can write to it\. Set VISAVIS_HOME"):
        home()
    assert mode(folder) == 0o1777


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_somebody_else_in_which_others_may_write_is_refused(folder: Path) -> None:
    folder.mkdir()
    os.chown(folder, 12345, 12345)
    folder.chmod(0o770)
    with pytest.raises(VisavisError, match="no place for faces"):
        home()
    folder.chmod(0o755)
    assert home() == folder


def test_the_doctor_names_files_that_others_can_read(folder: Path) -> None:
    avatars = home() / "avatars"
    avatars.mkdir()
    (avatars / "a b.avatar").touch()
    (avatars / "a b.avatar").chmod(0o644)
    assert readable_by_others() == []  # nobody gets through a closed folder
    folder.chmod(0o755)
    found = doctor._faces()
    assert found.state == "note" and found.found == f"files in {folder} can be read by others: a b.avatar"
    assert found.mend == f"chmod -R go= {folder}"
    assert doctor._faces().state == "ok"  # looking for them has closed the folder


@pytest.mark.parametrize(("name", "written"), [("drive", 0o600), ("live", 0o600), ("call", 0o600), ("train", 0o666)])
def test_what_shows_a_face_is_written_for_its_owner_alone(
    name: str, written: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def command(*_: object, **__: object) -> None:
        (tmp_path / "made").touch()

    monkeypatch.setattr(commands, "command_app", lambda _: command)
    before = os.umask(0)
    try:
        commands.app([name], standalone_mode=False)
        assert os.umask(0) == 0  # and afterwards as it was
    finally:
        os.umask(before)
    assert mode(tmp_path / "made") == written
