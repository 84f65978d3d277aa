"""The faces that come with visavis: whole, alive, found by name, and left as they are."""

from __future__ import annotations

import io
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from avatar.core.avatar import Avatar
from avatar.core.errors import UsageError
from avatar.core.model_files import MODEL_ID
from avatar.dashboard.avatars import Shelf, delete, rename
from avatar.dashboard.making import require_free
from avatar.face.state import no_face
from avatar.identity.bundle import (
    all_names,
    avatar_names,
    avatar_path,
    find_avatar,
    load_avatar,
    save_avatar,
    shown_names,
)
from avatar.identity.mattes import open_shown
from avatar.identity.ready_faces import READY, ready_names, refuse_ready_face, shown_title
from avatar.identity.removal import delete_avatar
from avatar.live.bundle_report import report_on_bundle
from avatar.live.latency import LatencyRecorder
from avatar.live.live_report import STAGES
from avatar.live.options import LiveOptions
from avatar.live.session import open_rig
from avatar.render.engine_options import EngineOptions


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VISAVIS_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="module")
def faces() -> list[Avatar]:
    return [load_avatar(READY / f"{name}.avatar") for name in ready_names()]


def test_each_is_of_this_visavis_and_moves(faces: list[Avatar]) -> None:
    options = LiveOptions(size=(256, 256), engine=EngineOptions("onnxruntime", "fp32"))
    assert len(faces) == 8
    with closing(options.engine.open(faces[0], print)) as engine:
        for face in faces:
            assert face.model_id == MODEL_ID and len(face.mattes) == len(face.descriptors) == 1
            assert face.consent["given"] and face.consent["kind"] == "character"
            rig = open_rig(face, engine, options, LatencyRecorder(STAGES))
            driven = [rig.retargeter.drive(no_face(1 + frame * 33_000_000)) for frame in range(90)]
            pictures = [rig.renderer(256).render(driving).astype(int) for driving in driven[::30]]
            portrait = face.portraits[0].reshape(256, 2, 256, 2, 3).mean((1, 3))
            assert np.abs(pictures[0] - portrait).mean() < 12, face.name  # the person of the portrait
            assert np.ptp(pictures, axis=0).max() > 20, face.name  # breathing, swaying, looking about


def test_they_are_found_by_name_and_an_own_avatar_of_the_name_wins(faces: list[Avatar]) -> None:
    assert find_avatar("mona_lisa") == READY / "mona_lisa.avatar" and avatar_names() == []
    (mona_lisa,) = (face for face in faces if face.name == "mona_lisa")
    save_avatar(replace(mona_lisa, consent={"given": False}), avatar_path("mona_lisa"))
    assert find_avatar("mona_lisa") == avatar_path("mona_lisa")
    assert all_names() == ["mona_lisa", *(name for name in ready_names() if name != "mona_lisa")]
    (card,) = (card for card in Shelf().cards() if card["name"] == "mona_lisa")
    assert not card["ready"] and card["shows"] == "no consent recorded"
    assert delete_avatar("mona_lisa") == [avatar_path("mona_lisa")]
    (card,) = (card for card in Shelf().cards() if card["name"] == "mona_lisa")
    assert card["ready"] and card["title"] == "Mona Lisa"


def test_a_thumbnail_shows_the_whole_head(faces: list[Avatar]) -> None:
    (mona_lisa,) = (face for face in faces if face.name == "mona_lisa")
    hair = mona_lisa.portraits[0][:20, 256].mean()  # at the very edge
    thumbnail = np.asarray(Image.open(io.BytesIO(Shelf().thumbnail("mona_lisa"))), float)
    assert thumbnail.shape == (256, 256, 3) and thumbnail[:20, 128].mean() > 1.5 * hair  # there is sky above it


def test_they_stay_as_they_are() -> None:
    for change in (delete_avatar, delete, lambda name: rename(name, "lisa")):
        with pytest.raises(UsageError, match="Mona Lisa comes with visavis") as refused:
            change("mona_lisa")
        assert "`visavis" not in refused.value.on_page
    assert (READY / "mona_lisa.avatar").is_file()
    with pytest.raises(UsageError, match="Mona Lisa comes with visavis"):
        refuse_ready_face(READY / "../ready/mona_lisa.avatar")


@pytest.mark.parametrize("name", ["Zola", "zola", "woman_1", "Woman-1"])
def test_one_face_is_found_by_name_and_title_and_none_may_hide_it(name: str, faces: list[Avatar]) -> None:
    assert find_avatar(name) == READY / "woman_1.avatar"
    assert shown_title("woman_1", find_avatar(name)) == "Zola" in shown_names()
    assert open_shown(find_avatar(name)).name == report_on_bundle(find_avatar(name)).name == "Zola"
    save_avatar(replace(faces[0], name="anna"), avatar_path("anna"))
    for refused in (lambda: require_free(name), lambda: rename("anna", name)):
        with pytest.raises(UsageError, match=r"Zola comes with visavis.*'My Zola'"):
            refused()  # type: ignore[no-untyped-call]
    require_free("My Zola")
