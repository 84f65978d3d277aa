"""Every test has a kind, and where CI is set no end-to-end test is left out."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TESTS = """
import pytest
def test_plain(request):
    assert request.node.get_closest_marker("unit")
@pytest.mark.realtime
def test_with_a_clock(request):
    assert not request.node.get_closest_marker("unit")
@pytest.mark.e2e
@pytest.mark.skipif(True, reason="REASON")
def test_whole(): ...
@pytest.mark.skipif(True, reason="no such device")
def test_plain_that_lacks_something(): ...
"""
MODULE = "import pytest\npytest.importorskip('no_such_module')\n"


def outcome(folder: Path, reason: str, ci: str) -> str:
    (folder / "e2e").mkdir()
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n  unit: .\n  realtime: .\n  e2e: .\n")
    (folder / "test_some.py").write_text(TESTS.replace("REASON", reason))
    (folder / "e2e" / "test_module.py").write_text(MODULE)
    environment = os.environ | {"CI": ci, "PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": ""}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.kinds", "-p", "no:cacheprovider"]
    command += ["--continue-on-collection-errors"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment, timeout=120)
    return done.stdout.splitlines()[-1].partition(" in ")[0]


@pytest.mark.parametrize(
    ("reason", "ci", "wanted"),
    [
        ("no Janus: apt-get install janus", "", "2 passed, 3 skipped"),
        ("no Janus: apt-get install janus", "true", "2 passed, 1 skipped, 2 errors"),
        ("needs an NVIDIA GPU", "true", "2 passed, 2 skipped, 1 error"),
    ],
)
def test_in_ci_an_end_to_end_test_that_lacks_something_fails(reason: str, ci: str, wanted: str, tmp_path: Path) -> None:
    assert outcome(tmp_path, reason, ci) == wanted
