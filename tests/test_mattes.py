"""Where the person is in each portrait, and who it is: made at enrolment, kept in the bundle, or made up for later."""

import hashlib
import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load, save

from avatar.core.avatar import Avatar
from avatar.core.errors import InputError
from avatar.core.file_name import version
from avatar.face.state import BLENDSHAPE_NAMES
from avatar.identity.bundle import avatar_path, load_avatar, save_avatar
from avatar.identity.bundle_members import MANIFEST, PARAMETERS
from avatar.identity.descriptors import with_descriptors
from avatar.identity.enrolment_steps import Portraits, make_avatar
from avatar.identity.mattes import open_avatar, with_mattes
from avatar.live.background import Background
from avatar.live.canvas import Canvas
from avatar.render.embedding import open_embedder
from avatar.render.refined_matte import face_oval
from benchmarks.hostile import made_up_avatar
from tests.clips import astronaut_avatar

LATER = ("mattes", "descriptors")


@pytest.fixture(autouse=True)
def visavis_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VISAVIS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(scope="module")
def astronaut() -> Avatar:
    return with_descriptors(with_mattes(astronaut_avatar()))


def in_format_2(path: Path) -> Path:
    """The bundle as visavis wrote it before there were mattes and descriptors."""
    with zipfile.ZipFile(path) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    tensors = {name: array for name, array in load(members[PARAMETERS]).items() if name not in LATER}
    members[PARAMETERS] = save(tensors)
    manifest = json.loads(members[MANIFEST]) | {"format_version": 2}
    for name in LATER:
        del manifest["arrays"][name]
    manifest["members"][PARAMETERS] = {
        "bytes": len(members[PARAMETERS]),
        "sha256": hashlib.sha256(members[PARAMETERS]).hexdigest(),
    }
    members[MANIFEST] = json.dumps(manifest).encode()
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    path.write_bytes(data.getvalue())
    return path


def test_the_face_is_the_person_and_the_corner_above_is_not(astronaut: Avatar) -> None:
    matte = astronaut.mattes[0]
    assert astronaut.mattes.shape == (1, 512, 512) and astronaut.mattes.dtype == np.uint8
    assert (matte[face_oval(astronaut.landmarks[0], 512, 0.9) > 0] == 255).all()
    assert matte[:60, :60].max() == 0 and 0.3 < (matte > 127).mean() < 0.8


def test_they_are_made_only_once(astronaut: Avatar) -> None:
    assert with_mattes(astronaut) is astronaut and with_descriptors(astronaut) is astronaut


def test_enrolment_makes_them(astronaut: Avatar) -> None:
    shown = Portraits(astronaut.portraits, astronaut.landmarks, np.zeros((1, len(BLENDSHAPE_NAMES)), np.float32))
    with open_embedder() as embedder:
        made = make_avatar("ada", shown, embedder, {}, {})
    assert np.array_equal(made.mattes, astronaut.mattes)
    assert np.array_equal(made.descriptors, astronaut.descriptors)


def test_a_bundle_keeps_them_in_a_few_kilobytes(astronaut: Avatar, tmp_path: Path) -> None:
    without, with_them = tmp_path / "a.avatar", tmp_path / "b.avatar"
    save_avatar(astronaut_avatar(), without)
    save_avatar(astronaut, with_them)
    assert np.array_equal(load_avatar(with_them).mattes, astronaut.mattes)
    assert np.array_equal(load_avatar(with_them).descriptors, astronaut.descriptors)
    assert with_them.stat().st_size - without.stat().st_size < 40_000


def test_an_older_bundle_is_read_without(tmp_path: Path) -> None:
    path = tmp_path / "anna.avatar"
    save_avatar(made_up_avatar(), path)
    back = load_avatar(in_format_2(path))
    assert back.mattes.shape == (0, 512, 512) and back.descriptors.shape == (0, 128)
    assert np.array_equal(back.embedding, made_up_avatar().embedding)


def test_an_older_avatar_of_the_user_gets_them_once_and_for_all(astronaut: Avatar) -> None:
    path = avatar_path("ada")
    save_avatar(astronaut, path)
    opened = open_avatar(in_format_2(path))
    kept = version(path)
    for avatar in (opened, load_avatar(path)):
        assert np.array_equal(avatar.mattes, astronaut.mattes)
        assert np.array_equal(avatar.descriptors, astronaut.descriptors)
    assert np.array_equal(open_avatar(path).mattes, astronaut.mattes) and version(path) == kept


def test_a_file_from_elsewhere_stays_as_it_is(astronaut: Avatar, tmp_path: Path) -> None:
    path = tmp_path / "ada.avatar"
    save_avatar(astronaut, path)
    before = in_format_2(path).read_bytes()
    assert np.array_equal(open_avatar(path).mattes, astronaut.mattes)
    assert path.read_bytes() == before


def test_no_such_file_is_said_as_ever(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such file"):
        open_avatar(tmp_path / "none.avatar")


@pytest.mark.parametrize(
    "mattes",
    [
        np.zeros((2, 512, 512), np.uint8),
        np.zeros((1, 256, 256), np.uint8),
        np.zeros((512, 512), np.uint8),
        np.zeros((1, 512, 512), np.float32),
        np.zeros(0, np.uint8),
    ],
)
def test_others_are_refused(mattes: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"mattes is .* instead of uint8"):
        save_avatar(replace(made_up_avatar(), mattes=mattes), tmp_path / "anna.avatar")


def test_a_picture_that_is_only_the_square_does_not_ask_where_the_person_is(astronaut: Avatar) -> None:
    portrait, matte = astronaut.portraits[0], astronaut.mattes[0]
    assert not Canvas(portrait, 512, 512, None, matte).shows_matte
    assert Canvas(portrait, 1280, 720, None, matte).shows_matte
    assert Canvas(portrait, 512, 512, Background("blur"), matte).shows_matte
