"""Shards: WebDataset tars that survive being cut back, and that training opens as a pack."""

from __future__ import annotations

import io
import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from avatar.core.errors import InputError
from avatar.core.whole_file import part_of
from avatar.learning.dataset.built_dataset import DATASET_FILE, FORMAT, check_shards, has_split, write_json
from avatar.learning.dataset.outcome import Track
from avatar.learning.dataset.shard import Shard, ShardWriter, read_tracks, shard_name
from avatar.learning.dataset.split import TRAIN, VAL
from avatar.learning.dataset.unpacking import open_shards
from avatar.learning.pair_choice import PairChoice
from tests.clips import astronaut_avatar


def track(frames: int, is_clip: bool = True) -> Track:
    """The astronaut's crop, its brightness telling which frame it is."""
    avatar = astronaut_avatar()
    portrait = np.asarray(Image.fromarray(avatar.portraits[0]).resize((256, 256)))
    jpegs = []
    for i in range(frames):
        store = io.BytesIO()
        Image.fromarray((portrait * (1 - 0.04 * i)).astype(np.uint8)).save(store, "JPEG", quality=95)
        jpegs.append(store.getvalue())
    landmarks = np.repeat(avatar.landmarks, frames, 0) + 0.001 * np.arange(frames, dtype=np.float32)[:, None, None]
    shapes = np.repeat(avatar.blendshapes, frames, 0)
    return Track(jpegs, landmarks, shapes, [0.08 * i for i in range(frames)], is_clip, {"crop": {"side": 300}})


TRACKS = [("b", track(4)), ("a", track(1, is_clip=False)), ("b", track(3))]


def write_shards(folder: Path) -> None:
    """Two shards of training people and one of a held-out one, with dataset.json."""
    shards = []
    for split, number, tracks in ((TRAIN, 0, TRACKS[:2]), (TRAIN, 1, TRACKS[2:]), (VAL, 0, [("v", track(2))])):
        writer = ShardWriter(folder / shard_name(split, number))
        for i, (identity, one) in enumerate(tracks):
            writer.add(one, i, {"identity": identity, "file": "x.mp4"})
        size, sha256 = writer.close()
        shards.append(Shard(writer.path.name, split, len(tracks), sum(len(t) for _, t in tracks), size, sha256))
    about = {"format": FORMAT, "shards": [asdict(s) for s in shards], "identities": {TRAIN: ["a", "b"], VAL: ["v"]}}
    write_json(folder / DATASET_FILE, about)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "shards").mkdir()
    write_shards(tmp_path / "shards")
    return tmp_path / "shards"


def test_what_is_written_is_read(folder: Path) -> None:
    (said, first), (_, second) = read_tracks(folder / "train-000000.tar")
    assert said["identity"] == "b" and said["crop"] == {"side": 300}
    assert first.jpegs == TRACKS[0][1].jpegs and np.array_equal(first.landmarks, TRACKS[0][1].landmarks)
    assert np.array_equal(second.blendshapes, TRACKS[1][1].blendshapes) and not second.is_clip


def test_webdataset_reads_them(folder: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    samples = list(webdataset.WebDataset(str(folder / "train-000000.tar"), shardshuffle=False))
    assert [sample["__key__"] for sample in samples] == ["000000000", "000000001"]
    assert json.loads(samples[0]["json"])["identity"] == "b" and samples[0]["0003.jpg"] == TRACKS[0][1].jpegs[3]


@pytest.mark.parametrize("finished", [False, True])
def test_going_on_after_a_cut_gives_the_same_bytes(tmp_path: Path, finished: bool) -> None:
    whole, cut = ShardWriter(tmp_path / "whole.tar"), ShardWriter(tmp_path / "cut.tar")
    for writer in (whole, cut):
        writer.add(TRACKS[0][1], 0, {})
    kept = cut.bytes
    cut.add(TRACKS[1][1], 7, {"of": "which nothing may stay"})
    if finished:
        cut.close()
    else:
        cut.leave()
    cut = ShardWriter(tmp_path / "cut.tar", kept)
    for writer in (whole, cut):
        writer.add(TRACKS[2][1], 1, {})
    assert whole.close() == cut.close()
    assert (tmp_path / "whole.tar").read_bytes() == (tmp_path / "cut.tar").read_bytes()
    assert not part_of(tmp_path / "cut.tar").exists()


def test_check_names_what_is_cut_off_changed_or_missing(folder: Path) -> None:
    read: list[int] = []
    assert check_shards(folder, read.append) == []
    assert sum(read) == sum(tar.stat().st_size for tar in folder.glob("*.tar"))
    first, second, third = sorted(folder.glob("*.tar"))
    first.write_bytes(first.read_bytes()[:-1024])
    second.write_bytes(second.read_bytes().replace(b"\xff\xd8", b"\xff\xd9", 1))
    third.unlink()
    faults = check_shards(folder)
    assert len(faults) == 3
    assert "train-000000.tar is cut off" in faults[0] and "train-000001.tar is damaged" in faults[1]
    assert "val-000000.tar cannot be read: No such file" in faults[2]


def test_training_opens_them_as_a_pack(folder: Path, tmp_path: Path) -> None:
    pack = open_shards(folder, tmp_path / "cache", TRAIN)
    assert pack.identities == ["a", "b"] and pack.identity.tolist() == [1, 1, 1, 1, 0, 1, 1, 1]
    assert pack.clip.tolist() == [0, 0, 0, 0, -1, 1, 1, 1]
    assert pack.pictures.shape == (8, 256, 256, 3) and pack.pictures.dtype == np.uint8
    assert pack.landmarks.shape == (8, 478, 3) and pack.blendshapes.shape == (8, 52)
    assert np.array_equal(pack.landmarks[5:], TRACKS[2][1].landmarks)
    decoded = np.asarray(Image.open(io.BytesIO(TRACKS[0][1].jpegs[2])))
    assert np.abs(pack.pictures[2].astype(int) - decoded).max() <= 2  # red is red: two decoders may round differently
    assert len(PairChoice(pack).clips) == 2
    assert has_split(folder, VAL) and open_shards(folder, tmp_path / "cache", VAL).identities == ["v"]


def test_shards_are_unpacked_once_and_again_when_they_change(folder: Path, tmp_path: Path) -> None:
    open_shards(folder, tmp_path / "cache")
    raw = tmp_path / "cache" / TRAIN / "pictures.raw"
    before = raw.stat().st_ino, raw.stat().st_mtime_ns
    open_shards(folder, tmp_path / "cache")
    assert (raw.stat().st_ino, raw.stat().st_mtime_ns) == before
    about = json.loads((folder / DATASET_FILE).read_text())
    about["shards"] = [shard for shard in about["shards"] if shard["name"] != "train-000001.tar"]
    write_json(folder / DATASET_FILE, about)
    assert len(open_shards(folder, tmp_path / "cache")) == 5


@pytest.mark.parametrize(
    "change",
    [{"name": "../../secret.tar"}, {"name": "val-000000.tar"}, {"split": "else"}, {"bytes": "many"}, {"frames": -1},
     {"tracks": True}, {"frames": 10**400}, {"sha256": None}],
)  # fmt: skip
def test_a_data_set_that_describes_what_is_no_shard_is_refused(folder: Path, change: dict[str, object]) -> None:
    about = json.loads((folder / DATASET_FILE).read_text())
    about["shards"][0] |= change
    write_json(folder / DATASET_FILE, about)
    with pytest.raises(InputError, match=r"dataset\.json is damaged \(.*Delete it"):
        check_shards(folder)


@pytest.mark.parametrize("what", ["another shape", "no number", "no times", "no picture"])
def test_a_track_that_means_nothing_is_refused(tmp_path: Path, what: str) -> None:
    whole = track(2)
    if what == "another shape":
        whole = replace(whole, landmarks=whole.landmarks[:, :7])
    elif what == "no number":
        whole = replace(whole, landmarks=np.full_like(whole.landmarks, np.nan))
    elif what == "no times":
        whole = replace(whole, times_s=whole.times_s[:1])
    else:
        whole = replace(whole, jpegs=whole.jpegs[:1])
    writer = ShardWriter(tmp_path / "train-000000.tar")
    writer.add(whole, 0, {})
    writer.close()
    with pytest.raises(InputError, match=r"train-000000\.tar is damaged \(.*dataset check"):
        list(read_tracks(tmp_path / "train-000000.tar"))


def test_what_cannot_be_opened_says_why(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no complete data set"):
        open_shards(tmp_path, tmp_path / "cache")
    with pytest.raises(InputError, match="no split 'test'"):
        open_shards(folder, tmp_path / "cache", "test")
    tar = folder / "train-000001.tar"
    tar.write_bytes(tar.read_bytes()[:-600])
    with pytest.raises(InputError, match=r"train-000001\.tar is cut off.*visavis dataset check"):
        open_shards(folder, tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("*.raw*"))
    (folder / DATASET_FILE).write_text("{")
    with pytest.raises(InputError, match="is damaged"):
        check_shards(folder)
