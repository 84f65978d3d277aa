"""What ONNX Runtime kept for its vendor is removed once, and nothing else with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from avatar.core.kept_usage_data import remove_kept_usage_data


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("VISAVIS_CACHE", str(tmp_path / "visavis"))
    return tmp_path / "Microsoft" / "DeveloperTools" / ".onnxruntime"


def fill(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name in ("onnxruntime.db", "onnxruntime.db-wal", "deviceid"):
        (folder / name).write_bytes(b"x")
    return folder


def test_it_is_removed_with_the_folders_that_are_empty_then(folder: Path, tmp_path: Path) -> None:
    assert remove_kept_usage_data() is None  # there is none
    fill(folder)
    assert remove_kept_usage_data() == folder
    assert not (tmp_path / "Microsoft").exists()


def test_what_others_keep_there_stays(folder: Path) -> None:
    fill(folder)
    theirs = folder.parent / "deviceid"
    theirs.write_text("another program's")
    remove_kept_usage_data()
    assert [path.name for path in folder.parent.iterdir()] == ["deviceid"]


def test_it_happens_once(folder: Path) -> None:
    """Another program of this person may use the library, and keep something there on purpose."""
    fill(folder)
    remove_kept_usage_data()
    fill(folder)
    assert remove_kept_usage_data() is None
    assert (folder / "deviceid").exists()


def test_nothing_is_removed_through_a_link(folder: Path, tmp_path: Path) -> None:
    elsewhere = fill(tmp_path / "elsewhere")
    folder.parent.mkdir(parents=True)
    folder.symlink_to(elsewhere)
    assert remove_kept_usage_data() is None
    assert len(list(elsewhere.iterdir())) == 3
