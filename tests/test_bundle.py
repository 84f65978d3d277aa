"""A bundle comes back as it was saved; a hostile or damaged one gives one clear error and touches nothing."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import struct
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load, save

from avatar.core.avatar import Avatar
from avatar.core.avatar_name import avatar_name
from avatar.core.errors import InputError, UsageError, VisavisError
from avatar.core.model_files import MODEL_ID, model_file
from avatar.identity import bundle_members
from avatar.identity.bundle import (
    FORMAT_VERSION,
    OLDEST_VERSION,
    avatar_names,
    avatar_path,
    find_avatar,
    load_avatar,
    save_avatar,
)
from avatar.identity.bundle_members import MANIFEST, PARAMETERS
from avatar.identity.thumbnail import THUMBNAIL
from avatar.render.layered_network import NETWORK, network_name
from avatar.render.own_weights import weight_count
from benchmarks.hostile import Exploit, made_up_avatar

Members = dict[str, bytes]


@pytest.fixture(autouse=True)
def visavis_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VISAVIS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def avatar() -> Avatar:
    return made_up_avatar()


@pytest.fixture
def saved(avatar: Avatar, tmp_path: Path) -> Path:
    path = tmp_path / "anna.avatar"
    save_avatar(avatar, path)
    return path


def unpacked(path: Path) -> Members:
    with zipfile.ZipFile(path) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


def packed(path: Path, members: Members) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def forged(path: Path, **arrays: np.ndarray) -> Path:
    """The bundle with other arrays and a manifest that vouches for them: only the arrays themselves are wrong."""
    members = unpacked(path)
    tensors = {**load(members[PARAMETERS]), **arrays}
    members[PARAMETERS] = save(tensors)
    manifest = json.loads(members[MANIFEST])
    manifest["members"][PARAMETERS] = {
        "bytes": len(members[PARAMETERS]),
        "sha256": hashlib.sha256(members[PARAMETERS]).hexdigest(),
    }
    manifest["arrays"] = {name: {"dtype": str(a.dtype), "shape": list(a.shape)} for name, a in tensors.items()}
    members[MANIFEST] = json.dumps(manifest).encode()
    return packed(path, members)


def with_manifest(path: Path, **changes: Any) -> Path:
    members = unpacked(path)
    members[MANIFEST] = json.dumps({**json.loads(members[MANIFEST]), **changes}).encode()
    return packed(path, members)


def refused(path: Path, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        load_avatar(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_round_trip(avatar: Avatar, saved: Path) -> None:
    back = load_avatar(saved)
    for name in ("portraits", "landmarks", "blendshapes", "embedding"):
        assert np.array_equal(getattr(back, name), getattr(avatar, name))
        assert getattr(back, name).dtype == getattr(avatar, name).dtype
    assert (back.name, back.model_id) == (avatar.name, avatar.model_id)
    assert (back.provenance, back.consent) == (avatar.provenance, avatar.consent)


def test_the_file_is_private_and_complete(saved: Path) -> None:
    assert saved.stat().st_mode & 0o777 == 0o600
    members = unpacked(saved)
    assert list(members) == [MANIFEST, PARAMETERS, THUMBNAIL]
    manifest = json.loads(members[MANIFEST])
    assert manifest["format_version"] == FORMAT_VERSION
    assert manifest["members"][THUMBNAIL]["sha256"] == hashlib.sha256(members[THUMBNAIL]).hexdigest()
    assert Image.open(io.BytesIO(members[THUMBNAIL])).size == (128, 128)


def test_a_computer_whose_clock_is_in_1970_saves_the_same_file(
    avatar: Avatar, saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: 100.0)
    save_avatar(avatar, tmp_path / "then.avatar")
    assert (tmp_path / "then.avatar").read_bytes() == saved.read_bytes()


def test_the_folder_of_the_avatars_is_private(avatar: Avatar) -> None:
    save_avatar(avatar, avatar_path("anna"))
    assert avatar_path("anna").parent.stat().st_mode & 0o777 == 0o700


def test_a_failed_write_leaves_the_old_file_and_no_rest(
    avatar: Avatar, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = saved.read_bytes()

    def disk_full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", disk_full)
    with pytest.raises(VisavisError, match="No space left"):
        save_avatar(replace(avatar, name="other"), saved)
    assert saved.read_bytes() == before
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]


def test_what_would_not_load_is_not_saved(avatar: Avatar, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="embedding"):
        save_avatar(replace(avatar, embedding=np.full(512, np.nan, np.float32)), tmp_path / "x.avatar")
    assert not (tmp_path / "x.avatar").exists()


@pytest.mark.parametrize("share", [0.0, 0.0001, 0.3, 0.9, 0.999, 0.99999])
def test_truncated(saved: Path, share: float) -> None:
    whole = saved.read_bytes()
    saved.write_bytes(whole[: int(len(whole) * share)])
    refused(saved, "damaged or cut off|no .avatar file")


def test_every_flipped_byte_is_refused_or_harmless(avatar: Avatar, saved: Path) -> None:
    whole = saved.read_bytes()
    ends = [*range(120), *range(len(whole) - 320, len(whole))]
    for place in [*ends, *range(120, len(whole) - 320, len(whole) // 60)]:
        saved.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            back = load_avatar(saved)
        except InputError:
            continue
        assert np.array_equal(back.embedding, avatar.embedding)  # a date or an attribute of the zip, which nobody reads
        assert np.array_equal(back.portraits, avatar.portraits)


def test_wrong_hash(saved: Path) -> None:
    members = unpacked(saved)
    members[PARAMETERS] = members[PARAMETERS][:-1] + bytes([members[PARAMETERS][-1] ^ 1])
    refused(packed(saved, members), "sha256")


def test_extra_missing_and_renamed_members(saved: Path) -> None:
    members = unpacked(saved)
    refused(packed(saved, {**members, "extra.bin": b"1"}), "its members are not")
    refused(packed(saved, {MANIFEST: members[MANIFEST], PARAMETERS: members[PARAMETERS]}), "2 members")
    for name in ("../../evil", "/etc/evil", "a/../../evil", "C:\\evil"):
        refused(packed(saved, {MANIFEST: members[MANIFEST], PARAMETERS: b"", name: b"x"}), "its members are not")
    assert not (saved.parent.parent / "evil").exists()


def test_a_member_twice(saved: Path) -> None:
    members = unpacked(saved)
    with zipfile.ZipFile(saved, "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
        for name in (MANIFEST, PARAMETERS, PARAMETERS):
            archive.writestr(name, members[name])
    refused(saved, "its members are not")


def test_a_pickle_is_never_loaded(saved: Path, tmp_path: Path) -> None:
    marker = tmp_path / "was-here"
    members = unpacked(saved)
    members[PARAMETERS] = pickle.dumps(Exploit(marker))
    manifest = json.loads(members[MANIFEST])
    manifest["members"][PARAMETERS] = {
        "bytes": len(members[PARAMETERS]),
        "sha256": hashlib.sha256(members[PARAMETERS]).hexdigest(),
    }
    members[MANIFEST] = json.dumps(manifest).encode()
    refused(packed(saved, members), "parameters.safetensors is not valid")
    saved.write_bytes(pickle.dumps(Exploit(marker)))
    refused(saved, "no .avatar file.*`visavis enroll")
    assert not marker.exists()


def test_a_zip_bomb_is_refused_before_it_is_unpacked(saved: Path) -> None:
    members = unpacked(saved)
    members[MANIFEST] = b" " * (300 << 20)
    bomb = packed(saved, members)
    members.clear()
    tracemalloc.start()
    try:
        refused(bomb, "tampered")
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_a_member_that_lies_about_its_size(saved: Path) -> None:
    """The header says 1 KiB, the data unpack to 8 MiB."""
    members = unpacked(saved)
    packed(saved, {**members, MANIFEST: b" " * (8 << 20)})
    data = saved.read_bytes()
    true, lie = struct.pack("<I", 8 << 20), struct.pack("<I", 1024)
    saved.write_bytes(data.replace(true, lie))
    refused(saved, "damaged")


def test_a_directory_of_thousands_is_not_even_read(saved: Path) -> None:
    packed(saved, {f"{i}": b"" for i in range(5000)})
    refused(saved, "5000 members")


def test_an_oversized_file_is_not_read(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle_members, "MAX_BYTES", {MANIFEST: 1000, PARAMETERS: 1000, THUMBNAIL: 1000})
    refused(saved, "larger than any avatar")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30])
@pytest.mark.parametrize("name", ["landmarks", "blendshapes", "embedding"])
def test_values_that_are_not_finite(saved: Path, name: str, bad: float) -> None:
    array = load(unpacked(saved)[PARAMETERS])[name].copy()
    array.flat[7] = bad
    refused(forged(saved, **{name: array}), name)


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("portraits", np.zeros((0, 512, 512, 3), np.uint8)),
        ("portraits", np.zeros((1, 256, 256, 3), np.uint8)),
        ("portraits", np.zeros((512, 512, 3), np.uint8)),
        ("portraits", np.zeros((1, 512, 512, 3), np.float32)),
        ("portraits", np.zeros((2, 512, 512, 3), np.uint8)),
        ("landmarks", np.zeros((1, 468, 3), np.float32)),
        ("landmarks", np.full((1, 478, 3), 50, np.float32)),
        ("blendshapes", np.full((1, 52), 2, np.float32)),
        ("embedding", np.zeros(511, np.float32)),
        ("embedding", np.zeros(512, np.float64)),
        ("psi", np.zeros(3264, np.float32)),
        ("extra", np.zeros(1, np.float32)),
    ],
)
def test_wrong_shapes_and_types(saved: Path, name: str, array: np.ndarray) -> None:
    refused(forged(saved, **{name: array}), "instead of|no number from|its arrays are not|the network takes")


def turned(face: np.ndarray, *factors: float) -> np.ndarray:
    """(1, 478, 3) about its middle."""
    middle = face.mean(1, keepdims=True)
    return np.asarray((face - middle) * np.array(factors, np.float32) + middle, np.float32)


NO_FACES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "one point": lambda face: np.full_like(face, 0.5),
    "a line": lambda face: (np.linspace(0, 1, 478)[None, :, None] * np.ones((1, 1, 3))).astype(np.float32),
    "a plane": lambda face: turned(face, 1, 1, 0),
    "inside out": lambda face: turned(face, 1, 1, -1),
    "mirrored": lambda face: turned(face, -1, 1, 1),
    "upside down in itself": lambda face: turned(face, 1, -1, 1),
    "squeezed": lambda face: turned(face, 0.2, 1, 1),
    "at random": lambda face: np.random.default_rng(0).random(face.shape, np.float32),
    "in another order": lambda face: face[:, ::-1].copy(),
    "a corner drawn out": lambda face: np.where(np.arange(478)[None, :, None] == 61, 2, face).astype(np.float32),
    "a few pixels": lambda face: turned(face, 0.05, 0.05, 0.05),
    "larger than the picture": lambda face: turned(face, 6, 6, 6),
    "beside the picture": lambda face: face + np.float32(1.5),
}


@pytest.mark.parametrize("what", NO_FACES)
def test_landmarks_that_are_no_face_of_a_portrait(avatar: Avatar, saved: Path, what: str) -> None:
    landmarks = NO_FACES[what](avatar.landmarks)
    refused(forged(saved, landmarks=landmarks), "of portrait 1 .*Enrol the photos again: `visavis enroll")
    with pytest.raises(InputError, match=r"cannot be saved: the (landmarks|face) of portrait 1"):
        save_avatar(replace(avatar, landmarks=landmarks), saved)


@pytest.mark.parametrize("degrees", [0, 90, 180])
def test_a_face_that_is_turned_is_still_one(avatar: Avatar, saved: Path, degrees: int) -> None:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]], np.float32)
    landmarks = (avatar.landmarks - 0.5) @ turn.T + np.float32(0.5)
    assert load_avatar(forged(saved, landmarks=landmarks)).landmarks.shape == (1, 478, 3)


@pytest.mark.parametrize(
    ("name", "array", "said"),
    [
        ("embedding", np.full(512, 1e5, np.float32), "its embedding holds what is no number from -10 to 10"),
        ("weights", np.full(7, 1e5, np.float32), "its weights holds"),
        ("weights", np.zeros(6_000_001, np.float32), "6000001 weights of a fine-tuned network"),
    ],
)
def test_parameters_that_the_network_does_not_take(saved: Path, name: str, array: np.ndarray, said: str) -> None:
    refused(forged(saved, **{name: array}), f"{said}.*Enrol the photos again: `visavis enroll")


def test_an_avatar_of_the_network_before_is_driven_by_this_one(avatar: Avatar, saved: Path) -> None:
    """Its parameters are not: the embedding alone is of the same embedder."""
    older = forged(saved, psi=np.zeros(3264, np.float32), weights=np.ones(2_392_031, np.float32))
    back = load_avatar(with_manifest(older, format_version=3, model_id="fast-2"))
    assert back.model_id == MODEL_ID and np.array_equal(back.embedding, avatar.embedding)
    assert back.psi.size == 0 and not back.fine_tuned


def test_what_was_fine_tuned_for_another_network_is_left_out(avatar: Avatar, saved: Path) -> None:
    tuned = {"weights": np.ones(7, np.float32)}
    assert not load_avatar(forged(saved, **tuned)).fine_tuned  # of an older visavis, which did not name its network
    save_avatar(replace(avatar, weights=np.ones(7, np.float32), network="another"), saved)
    assert load_avatar(saved).weights.size == 0 and load_avatar(saved).network == ""
    own = np.ones(weight_count(model_file(NETWORK)), np.float32)
    save_avatar(replace(avatar, weights=own, network=network_name()), saved)
    assert load_avatar(saved).weights.size == own.size and load_avatar(saved).network == network_name()
    with pytest.raises(InputError, match="holds 7 weights of a fine-tuned network"):
        save_avatar(replace(avatar, weights=own[:7], network=network_name()), saved)


def test_manifest_that_vouches_for_other_shapes(saved: Path) -> None:
    refused(with_manifest(saved, arrays={"embedding": {"dtype": "float32", "shape": [1]}}), "that the manifest lists")


def test_newer_and_nonsensical_versions(saved: Path) -> None:
    refused(with_manifest(saved, format_version=OLDEST_VERSION - 1), "older visavis.*Enrol the photos again")
    refused(with_manifest(saved, format_version=FORMAT_VERSION + 1), "newer visavis.*pip install --upgrade")
    for version in (0, -1, "1", True, None, 1.0):
        refused(with_manifest(saved, format_version=version), "no format version")


def test_another_model(saved: Path) -> None:
    refused(with_manifest(saved, model_id="other-9"), "other-9.*Enrol the photos again")
    assert load_avatar(saved, model_id=None).model_id == "other-9"


@pytest.mark.parametrize(
    "manifest",
    [
        b"", b"[]", b"{}", b"null", b"\xff\xfe", b'{"format": "visavis-avatar"', b"[" * 100_000,
        b'{"a":' * 90 + b"1" + b"}" * 90, b'{"format": NaN}', b'{"format": 1e999}', b'{"format": -1e999}',
        b'{"format_version": ' + b"9" * 400 + b"}", b'{"format_version": ' + b"9" * 9000 + b"}",
    ],
)  # fmt: skip
def test_broken_manifests(saved: Path, manifest: bytes) -> None:
    refused(packed(saved, {**unpacked(saved), MANIFEST: manifest}), "manifest")


@pytest.mark.parametrize(
    "change",
    [
        {"format": "else"}, {"name": "../x"}, {"name": 3}, {"name": "a" * 65}, {"model_id": "a\nb"}, {"members": []},
        {"members": {}}, {"consent": "yes"}, {"provenance": None}, {"provenance": {"a": [[[[[[[[[[[[[1]]]]]]]]]]]]]}},
    ],
)  # fmt: skip
def test_manifests_that_say_something_else(saved: Path, change: dict[str, Any]) -> None:
    refused(with_manifest(saved, **change), "manifest")


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n"])
def test_a_thumbnail_that_is_no_png(saved: Path, content: bytes) -> None:
    members = unpacked(saved)
    manifest = json.loads(members[MANIFEST])
    manifest["members"][THUMBNAIL] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    refused(packed(saved, {**members, THUMBNAIL: content, MANIFEST: json.dumps(manifest).encode()}), "thumbnail")


def test_encrypted_members(saved: Path) -> None:
    data = bytearray(saved.read_bytes())
    for signature, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        place = data.find(signature)
        data[place + offset] |= 1
    saved.write_bytes(bytes(data))
    refused(saved, "packed in a way")


@pytest.mark.parametrize("content", [b"hello", b"", b"\0" * 100, b"PK\5\6" + b"\0" * 18])
def test_no_bundle_at_all(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.avatar"
    path.write_bytes(content)
    refused(path, "no .avatar file|damaged")


def test_missing_file_and_folder(tmp_path: Path) -> None:
    refused(tmp_path / "none.avatar", "no such file.*visavis enroll")
    refused(tmp_path, "no such file")


@pytest.mark.parametrize(
    "name, stem",
    [
        *((plain, plain) for plain in ("a", "Anna-2_x.y", "_x", "0", "a" * 64, "a-")),
        ("Anna Smith", "Anna-Smith"), ("  Anna\n Smith ", "Anna-Smith"), ("Zoe\u0308", "Zo\u00eb"), ("张三", "张三"),
        ("नेहा", "नेहा"), ("علی\u200cرضا", "علی-رضا"), ("Sammy Jr.", "Sammy-Jr"), ("O'Brien & Söhne", "O-Brien-Söhne"),
        ("C:", "C"), ("<b>", "b"), ("nul", "_nul"), ("COM1.x", "_COM1.x"),
        ("張" * 64, "張" * 37 + "-c5b81ad9"), ("🎉 7", "7"),
        ("山" * 39 + "ab x", "山" * 37 + "-f778e820"), ("con." + "a" * 60, "_con." + "a" * 50 + "-e7795743"),
        ("é x.avatar!", "é-x_avatar"), ("❤\ufe0f Ada", "Ada"), ("葛\U000e0100", "葛"),
    ],
)  # fmt: skip
def test_names_as_people_have_them_become_names_of_files(name: str, stem: str, visavis_home: Path) -> None:
    path = avatar_path(name)
    assert path == visavis_home / "avatars" / f"{stem}.avatar"
    assert avatar_path(stem) == path and avatar_name(avatar_name(name)) == avatar_name(name)


def test_names_that_begin_alike_have_files_of_their_own() -> None:
    assert avatar_path("張" * 50 + "一") != avatar_path("張" * 50 + "二")


@pytest.mark.parametrize(
    "name", ["An\u200dna", "An\u200c\u200dna", "\u200dAnna\ufe0f", "Anna \u200d", "An\U000e0101na"]
)
def test_what_is_not_seen_makes_no_second_name(name: str) -> None:
    assert avatar_name(name) == "Anna"
    assert avatar_name("علی\u200c\u200cرضا") == "علی\u200cرضا" and avatar_name("❤\ufe0f A") == "❤\ufe0f A"


@pytest.mark.parametrize("blank", "\u034f\u115f\u1160\u17b4\u2800\u3164\uffa0")
def test_a_name_holds_nothing_that_looks_like_nothing(blank: str) -> None:
    for name in (blank, f"Anna{blank}"):
        with pytest.raises(UsageError, match="cannot be seen"):
            avatar_path(name)


@pytest.mark.parametrize(
    "name",
    ["", " ", ".", "..", ".a", "-a", "a/b", "../a", "a\0", "a\x1b[2J", "a\u202eb", "a" * 65, "x.avatar", "a\\b", "🎉"],
)
def test_bad_names(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be the name"):
        avatar_path(name)


def test_an_avatar_is_listed_as_it_was_named_and_found_either_way(avatar: Avatar, visavis_home: Path) -> None:
    path = avatar_path("Zoë Smith")
    save_avatar(replace(avatar, name="Zoë Smith"), path)
    save_avatar(replace(avatar, name="Anna"), path.with_name("somebody.avatar"))  # copied by hand
    path.with_name("broken.avatar").write_bytes(b"PK")
    assert avatar_names() == ["Zoë Smith", "broken", "somebody"]
    assert find_avatar("Zoë Smith") == find_avatar("Zoe\u0308-Smith") == path
    assert load_avatar(path).name == "Zoë Smith"


def test_find_by_name_and_by_path(avatar: Avatar, saved: Path) -> None:
    assert find_avatar(str(saved)) == saved
    save_avatar(avatar, avatar_path("anna"))
    assert find_avatar("anna") == avatar_path("anna")


def test_an_unknown_name_lists_what_there_is(avatar: Avatar) -> None:
    with pytest.raises(InputError, match=r"None is enrolled yet.*visavis enroll PHOTO.jpg --name bob"):
        find_avatar("bob")
    for name in ("zoe", "anna"):
        save_avatar(avatar, avatar_path(name))
    with pytest.raises(InputError, match=r"no avatar 'bob'\. There are: anna, zoe\. Ready faces: .*Mona Lisa"):
        find_avatar("bob")
    for odd in ("../bob", "no/such.avatar", "", "a\0b", "x" * 5000):
        with pytest.raises(InputError, match="There is no avatar"):
            find_avatar(odd)
