"""visavis among the programs of a desktop: files that desktops read, one page at a time, and no trace left."""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from avatar.cli.install_desktop import _quoted
from avatar.cli.page_link import FILE

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="desktops of Linux")

COMMAND = [sys.executable, "-m", "avatar.cli.main"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "VISAVIS_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("BROWSER", "true")
    return tmp_path


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *words], capture_output=True, text=True, timeout=60)


def test_it_is_put_among_the_programs_and_taken_away(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "bin").mkdir()
    (folder / "bin/systemctl").write_text(f'#!/bin/sh\necho "$@" >> {folder}/systemctl\n')  # not this computer's own
    (folder / "bin/systemctl").chmod(0o700)
    monkeypatch.setenv("PATH", f"{folder}/bin:{os.environ['PATH']}")
    assert run("install-desktop", "--autostart").returncode == 0
    entry = folder / "XDG_DATA_HOME/applications/visavis.desktop"
    read = configparser.RawConfigParser()
    read.optionxform = str  # type: ignore[assignment, method-assign]
    read.read(entry, "utf-8")
    assert read["Desktop Entry"]["Exec"].endswith('" open') and read["Desktop Action stop"]["Exec"].endswith("--stop")
    if shutil.which("desktop-file-validate"):
        assert subprocess.run(["desktop-file-validate", entry], capture_output=True, text=True).stdout == ""
    unit = folder / "XDG_CONFIG_HOME/systemd/user/visavis.service"
    assert {"StandardOutput=null", "StandardError=journal"} < set(unit.read_text().splitlines())
    assert "open --no-open" in unit.read_text()
    assert run("install-desktop", "--remove").returncode == 0
    assert [path for path in folder.rglob("*visavis*") if path.is_file()] == []
    assert (folder / "systemctl").read_text().splitlines() == [
        "--user daemon-reload", "--user enable --now visavis.service",
        "--user daemon-reload", "--user disable --now visavis.service",
    ]  # fmt: skip
    assert "nothing to remove" in run("install-desktop", "--remove").stdout


def test_paths_are_quoted_as_each_of_the_two_reads_them() -> None:
    assert _quoted(["/a b/visavis"], entry=True) == '"/a b/visavis"'
    assert _quoted(["/a$b%c"], entry=True) == '"/a\\\\$b%%c"' and _quoted(["/a$b%c"], entry=False) == '"/a$$b%%c"'


def test_visavis_alone_serves_its_page_and_opens_the_one_that_is_served(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("aiortc")
    with (folder / "journal").open("w") as journal:
        kept = os.fstat(journal.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{kept.st_dev}:{kept.st_ino}")  # as systemd tells where stderr goes
        first = subprocess.Popen(COMMAND, stderr=journal)
    while not (folder / "VISAVIS_HOME" / FILE).exists():
        assert first.poll() is None
    link = (folder / "VISAVIS_HOME" / FILE).read_text().split()[-1]
    said = (folder / "journal").read_text()
    assert "Your page is served" in said and link not in said and link.partition("#")[2] not in said
    again = run("open")
    assert again.returncode == 0 and link in again.stderr
    assert run("open", "--stop").returncode == 0
    assert first.wait(30) in (0, 130)
    assert not (folder / "VISAVIS_HOME" / FILE).exists()
    assert run("open", "--stop").returncode == 2
    # a process of this user that does not listen there (any more)
    (folder / "VISAVIS_HOME" / FILE).write_text(f"{os.getpid()} {link}")
    assert run("open", "--stop").returncode == 2  # it is left alone
