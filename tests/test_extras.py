"""What the base install lacks is explained, with the command that brings it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from avatar.core import extras
from avatar.core.extras import EXTRAS, install
from avatar.live import doctor
from engines.installing import pip

DISTRIBUTIONS = {"c2pa": "c2pa-python", "skimage": "scikit-image", "dlib": "dlib-bin", "livekit": "livekit-agents"}
PROJECT = Path(extras.__file__).parents[2] / "pyproject.toml"


def test_the_extras_are_those_of_the_project() -> None:
    offered = tomllib.loads(PROJECT.read_text("utf-8"))["project"]["optional-dependencies"]
    for extra, modules in EXTRAS.items():
        brought = {re.match(r"[A-Za-z0-9-]+", wanted).group() for wanted in offered[extra]}  # type: ignore[union-attr]
        assert {DISTRIBUTIONS.get(module, module.replace("_", "-")) for module in modules} == brought
    assert set(EXTRAS) == set(offered) - {"dev", "docs"}


def test_every_dependency_is_bounded_and_pinned() -> None:
    """Above, so that a new major version breaks nobody's installation; in constraints.txt, what the tests ran with."""
    about = tomllib.loads(PROJECT.read_text("utf-8"))
    parts = [about["project"]["dependencies"], *about["project"]["optional-dependencies"].values()]
    needed = [Requirement(line) for part in parts for line in part]
    build = [Requirement(line) for line in about["build-system"]["requires"]]
    endless = [str(one) for one in needed + build if not any(bound.operator == "<" for bound in one.specifier)]
    assert not endless

    lines = PROJECT.with_name("constraints.txt").read_text("utf-8").splitlines()
    constraints = [Requirement(line) for line in lines if not line.startswith("#")]
    pins = {canonicalize_name(one.name): str(one.specifier).removeprefix("==") for one in constraints}
    unpinned = [str(one) for one in needed if not one.specifier.contains(pins.get(canonicalize_name(one.name), "0"))]
    assert not unpinned


@pytest.mark.parametrize(
    ("module", "command"),
    [
        ("aiortc.sdp", "install 'visavis[call]'"),
        ("torch", "install 'visavis[train]'"),
        ("ray", "install 'visavis[cluster]'"),
        ("numpy", "install --force-reinstall visavis"),
    ],
)
def test_a_module_is_brought_by_its_extra(module: str, command: str) -> None:
    assert install(module) == pip(command)


@pytest.mark.parametrize(
    ("arguments", "package", "extra"),
    [
        (["call"], "aiortc", "call"),
        (["live", "mona_lisa", "--camera", "whip", "--to", "whip:https://sfu.example/whip"], "aiortc", "call"),
        (["train", "--dry-run"], "torch", "train"),
        (["dataset", "build", ".", "--out", "y", "--ray", "local"], "ray", "cluster"),
        (["finetune", "x"], "torch", "train"),
        (["evaluate", "--help"], "no_such_module", None),
    ],
)
def test_a_command_without_its_extra_names_it(
    arguments: list[str], package: str, extra: str | None, tmp_path: Path
) -> None:
    """As in the base install: the brackets of the command are there too."""
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.partition('.')[0] == {package!r}:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        f"        if name == 'avatar.cli.evaluate' and {extra is None}:\n"
        "            raise ModuleNotFoundError('No module named x', name='no_such_module')\n"
        "sys.meta_path.insert(0, Absent())\n"
    )
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{PROJECT.parent}", "VISAVIS_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "avatar.cli.main", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, cwd=tmp_path)
    assert done.returncode in (1, 2) and "Traceback" not in done.stderr
    wanted = pip(f"install 'visavis[{extra}]'" if extra else "install --force-reinstall visavis")
    assert done.stderr.startswith("Error: ") and done.stderr.count("\n") == 1
    assert wanted in done.stderr and package in done.stderr


def test_the_doctor_knows_of_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "missing_of", lambda extra: {"call": ["aiohttp", "aiortc"]}[extra])
    found = doctor._calls()
    assert (found.state, found.mend) == ("note", pip("install 'visavis[call]'"))
    assert found.found == "`call`, `live --to whip:` and `--camera whip` need aiohttp and aiortc"
