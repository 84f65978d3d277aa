"""What is to be typed to bring a package is right for the environment in which visavis runs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from engines.installing import BY_PIPX, BY_UV, pip

WHAT = "install 'visavis[call]'"


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment of its own, whose programs no shell looks for."""
    folder = tmp_path / "an environment" / "bin"
    folder.mkdir(parents=True)
    monkeypatch.setattr(sys, "prefix", str(folder.parent))
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    monkeypatch.setenv("PATH", "/nowhere")
    return folder.parent


def test_the_shells_pip_is_named_only_where_it_is_this_environments(
    environment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = f"'{environment}/bin/python' -m pip {WHAT}"
    assert pip(WHAT) == own
    for folder, typed in ((tmp_path / "other", own), (environment / "bin", f"pip {WHAT}")):
        folder.mkdir(exist_ok=True)
        (folder / "pip").write_text("#!/bin/sh\n")
        (folder / "pip").chmod(0o755)
        monkeypatch.setenv("PATH", str(folder))
        assert pip(WHAT) == typed


def test_a_tools_environment_is_reached_by_what_made_it(environment: Path) -> None:
    (environment / BY_PIPX).touch()
    assert pip(WHAT) == f"pipx runpip visavis {WHAT}"
    (environment / BY_UV).touch()
    assert pip(WHAT) == f"uv pip {WHAT} --python '{environment}/bin/python'"
