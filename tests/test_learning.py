"""Training data and pseudo-pairs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from avatar.core.errors import InputError, UsageError, VisavisError
from avatar.face.face_model import face_model
from avatar.face.head_pose import head_pose
from avatar.learning.dataset.pack import Pack, open_pack
from avatar.learning.dataset.pack_building import build_pack
from avatar.learning.dataset.source_layouts import manifest_sources
from avatar.learning.dataset.split import TRAIN, is_held_out
from avatar.learning.pair_choice import mirror
from avatar.learning.parallel import Parallel
from avatar.learning.pseudo_pairs import moved_still
from avatar.learning.training_packs import training_packs
from avatar.tracking.model_asset import tracker_model
from tests.clips import astronaut_avatar, face_clip
from tests.portraits import astronaut, save


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small networks: more threads only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    data = tmp_path_factory.mktemp("data")
    save(astronaut(), data / "still.png")
    save(astronaut()[::1, ::-1].copy(), data / "kept-back.png")
    face_clip(data / "clip.mp4", 24)
    (data / "empty.png").write_bytes((data / "still.png").read_bytes())
    save(np.full((64, 64, 3), 90, np.uint8), data / "empty.png")
    rows = ["file,identity", "still.png,a", "clip.mp4,b", "empty.png,c", "kept-back.png,val_1"]
    (data / "manifest.csv").write_text("\n".join(rows))
    sources = manifest_sources(data)
    left_out = build_pack(sources, sources.by_split(["val_*"])[TRAIN], data / "pack", tracker_model(), workers=1)
    assert left_out == ["empty.png: no face found"]
    return open_pack(data / "pack")


def test_held_out_people_are_not_in_the_pack(pack: Pack) -> None:
    assert pack.identities == ["a", "b", "c"]
    assert is_held_out("val_2", ["val_*"]) and not is_held_out("val_2", ["val"])


def test_a_pack_keeps_every_second_frame_and_every_still(pack: Pack) -> None:
    assert (pack.clip < 0).sum() == 1
    assert 10 <= (pack.clip == 0).sum() <= 12
    assert pack.landmarks[..., :2].min() > -0.05 and pack.landmarks[..., :2].max() < 1.05


def test_a_folder_without_manifest_says_what_to_write(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"columns file,identity"):
        manifest_sources(tmp_path)
    with pytest.raises(InputError, match="no complete training pack"):
        open_pack(tmp_path)


@pytest.mark.parametrize(
    ("manifest", "says"),
    [
        ("name,who\nx.png,a", "lacks the columns file,identity"),
        ("file,identity", "names no file"),
        ("file,identity\ngone.png,a", r"1 files that are missing, the first is .*gone\.png"),
        ("file,identity\ntext.jpg,a\ntext.mp4,b", r"no usable face in 2 files.*text\.jpg: unreadable"),
    ],
)
def test_bad_training_data_is_named(tmp_path: Path, manifest: str, says: str) -> None:
    for name in ("text.jpg", "text.mp4"):
        (tmp_path / name).write_text("not a picture")
    (tmp_path / "manifest.csv").write_text(manifest)
    with pytest.raises(VisavisError, match=says):
        sources = manifest_sources(tmp_path)
        build_pack(sources, sources.files, tmp_path / "pack", tracker_model(), workers=1)
    assert not list(tmp_path.glob("pack/*.part"))


def test_nobody_whom_the_manifest_holds_out_is_trained_on(tmp_path: Path) -> None:
    data, run, said = tmp_path / "data", tmp_path / "run", list[str]()
    data.mkdir()
    for name in ("a.png", "v1.png", "v2.png"):
        save(astronaut(), data / name)
    (data / "manifest.csv").write_text("file,identity,split\na.png,a,train\nv1.png,v,\nv2.png,v,val\na.png,a,\n")
    training, validation = training_packs(data, run, [], Parallel(), said.append)
    assert training.identities == ["a"] and len(training) == 1
    assert validation is not None and validation.identities == ["v"] and len(validation) == 2
    assert "left out: a.png: listed twice" in said
    (data / "manifest.csv").write_text("file,identity,split\na.png,a,val\nv1.png,v,\n")
    with pytest.raises(UsageError, match=r"was made to train on a, who is held out now\. Delete it"):
        training_packs(data, run, [], Parallel(), said.append)


def test_a_pseudo_source_is_another_pose_of_the_same_person(pack: Pack) -> None:
    rng = np.random.default_rng(1)
    row = int(np.flatnonzero(pack.clip < 0)[0])
    picture, landmarks = np.asarray(pack.pictures[row]), pack.landmarks[row]
    frames = pack.landmarks[pack.clip == 0]
    source, moved = moved_still(picture, landmarks, (frames[0], frames[-1]), rng)
    assert source.shape == picture.shape and np.abs(moved - landmarks).max() > 0.01
    turn = head_pose(moved, face_model().mean_shape).rotation @ head_pose(landmarks, face_model().mean_shape).rotation.T
    assert 0.5 < np.degrees(np.arccos((np.trace(turn) - 1) / 2)) < 40


def test_mirroring_twice_is_nothing() -> None:
    landmarks = astronaut_avatar().landmarks[0]
    assert np.allclose(mirror(mirror(landmarks)), landmarks, atol=1e-6)
