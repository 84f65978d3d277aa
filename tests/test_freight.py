"""The freight for a GPU machine: which frames go, that they arrive, and what is said of those that do not."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from avatar.core.errors import InputError, UsageError
from avatar.learning.dataset.outcome import Track
from avatar.learning.dataset.shard import read_tracks
from avatar.learning.dataset.split import TRAIN, VAL
from avatar.learning.gpu.freight import (
    FREIGHT_FILE,
    IDENTITY_FILE,
    IMAGENET_FILE,
    Row,
    open_freight,
    packed_landmarks,
    unpacked_landmarks,
)
from avatar.learning.gpu.freight_choice import by_difference, ranked
from avatar.learning.gpu.freight_packing import _cut, pack_freight
from tests.gpu_freight import FRAMES, small_freight
from tests.test_trainer import make_pack


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Shards, and the freight of them in two shards."""
    folder = tmp_path_factory.mktemp("freight")
    return small_freight(folder)


def test_what_is_packed_arrives(packed: tuple[Path, Path]) -> None:
    shards, out = packed
    freight = open_freight(out)
    assert freight.shards == freight.expected == 2
    assert freight.train.identities == ["moving", "still"] and freight.val is not None
    assert freight.val.identities == ["held out"]
    assert len(freight.train) == 2 + FRAMES and freight.mattes.shape == (len(freight.train), 128, 128)
    sent: dict[str, Track] = {said["file"]: track for said, track in read_tracks(shards / "train-000000.tar")}
    came = freight.train
    clip = came.clip >= 0
    assert np.abs(came.landmarks[clip] - sent["clip.mp4"].landmarks).max() <= 0.5 / 8192 + 1e-6
    assert Counter(came.clip.tolist()) == {-1: 2, 0: FRAMES}
    assert freight.mattes[clip].max() == 255 and freight.mattes[clip].min() == 0
    assert came.pictures[clip].std() > 30


def test_rows_of_a_clip_are_in_order(packed: tuple[Path, Path]) -> None:
    came = open_freight(packed[1]).train
    clip = came.landmarks[came.clip >= 0]
    steps = np.diff(clip[:, 0, 0])
    assert (steps > 0).all() or (steps < 0).all()  # the clip's head moves to one side


def test_landmarks_come_back_to_a_fraction_of_a_pixel() -> None:
    landmarks = make_pack().landmarks
    packed = packed_landmarks(landmarks)
    assert packed.nbytes < landmarks.nbytes / 3
    assert np.abs(unpacked_landmarks(packed, len(landmarks)) - landmarks).max() <= 0.5 / 8192 + 1e-6


def test_frames_that_differ_most_come_first() -> None:
    """Of a resting face in many copies and three that differ, these and one copy are chosen."""
    pack = make_pack()
    clip = np.concatenate([np.repeat(pack.landmarks[5:6], 20, 0), pack.landmarks[[1, 9, 12]]])
    assert set(by_difference(clip)[:4]) == {0, 20, 21, 22}
    assert len(by_difference(clip)) == 4  # copies teach nothing


def test_people_take_turns_and_a_frame_alone_is_not_taken() -> None:
    many = [("talker", list(range(10)))] * 16
    order = ranked([*many, ("guest", list(range(10))), ("single", [0])])
    people = ["talker"] * 16 + ["guest", "single"]
    assert [people[number] for number, _ in order[:7]] == ["guest"] * 7  # √16 clips: two of theirs for eight of hers
    assert all(people[number] != "single" for number, _ in order)


def test_little_room_takes_stills_and_the_held_out_first(packed: tuple[Path, Path], tmp_path: Path) -> None:
    shards, out = packed
    networks = sum((out / name).stat().st_size for name in (IMAGENET_FILE, IDENTITY_FILE))
    said = pack_freight(shards, tmp_path / "little", total_mb=networks / 1e6 + 0.06)
    assert said["counts"][TRAIN]["stills"] == 2 and said["counts"][TRAIN]["clip_frames"] < FRAMES
    assert said["left_out_frames"] > 0 and said["bytes"] < networks + 70_000
    with pytest.raises(UsageError, match="Not one picture fits"):
        pack_freight(shards, tmp_path / "less", total_mb=networks / 1e6 + 0.001)


def test_damage_is_named(packed: tuple[Path, Path], tmp_path: Path) -> None:
    for path in packed[1].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    shard = tmp_path / "shard-00.safetensors"
    whole = shard.read_bytes()
    shard.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"shard-00.safetensors is cut off: .* Carry it again"):
        open_freight(tmp_path)
    shard.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(InputError, match="is damaged: its sha256"):
        open_freight(tmp_path)
    shard.unlink()
    assert "1 of 2 shards" in open_freight(tmp_path).lines[0]
    (tmp_path / "shard-01.safetensors").unlink()
    with pytest.raises(InputError, match="none of its 2 shards"):
        open_freight(tmp_path)
    (tmp_path / FREIGHT_FILE).write_text("{")
    with pytest.raises(InputError, match="is damaged"):
        open_freight(tmp_path)
    (tmp_path / FREIGHT_FILE).unlink()
    with pytest.raises(InputError, match="visavis dataset pack"):
        open_freight(tmp_path)


def test_a_folder_with_other_things_is_left_alone(packed: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("ten years")
    with pytest.raises(UsageError, match="other things"):
        pack_freight(packed[0], tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "ten years"


def test_the_held_out_are_marked(packed: tuple[Path, Path]) -> None:
    said = json.loads((packed[1] / FREIGHT_FILE).read_text())
    assert said["counts"][VAL] == {"people": 1, "stills": 0, "clips": 1, "clip_frames": 4}


def test_a_clip_is_in_one_shard_and_every_shard_can_teach() -> None:
    """Shards come one a call, and a call may be the last."""
    empty = np.empty(0)
    rows = [
        Row(b"", empty, empty, empty, person, clip, frame, split)  # type: ignore[arg-type]
        for split, person, clip, frames in (
            (VAL, "vera", "v", 4),
            *((TRAIN, f"p{i}", "", 1) for i in range(10)),
            *((TRAIN, "t", f"c{i}", 6) for i in range(6)),
        )
        for frame in range(frames)
    ]  # fmt: skip
    parts = _cut(rows, [100] * len(rows), 2700)
    assert len(parts) == 2 and abs(len(parts[0]) - len(parts[1])) <= 6
    clips = [{row.clip for row in part if row.split == TRAIN and row.clip} for part in parts]
    assert all(clips) and not clips[0] & clips[1]
    assert {row.split for row in parts[1]} == {TRAIN} and all(any(not row.clip for row in part) for part in parts)
