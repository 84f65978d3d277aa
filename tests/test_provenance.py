"""Signed metadata of videos and avatars: read back, found changed by a byte, refused in a line where hostile."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("c2pa", reason="needs the c2pa extra")

from c2pa import Builder, C2paSigningAlg, Reader, Signer

from avatar.core.errors import InputError
from avatar.identity.bundle import load_avatar, read_signature
from avatar.live.avatar_file import keep_avatar
from avatar.live.bundle_report import UNSIGNED, report_on_bundle
from avatar.live.mark_report import report_on_file
from avatar.publish.video_writer import VideoWriter
from avatar.sources.video_file import VideoFile
from avatar.trust.mark_message import FIRST_DAY, MarkMessage, bundle_id
from avatar.trust.provenance import MADE_BY_AI, Provenance, consent_digest, read_apart, read_provenance, sign_video
from avatar.trust.signing_key import FILE, FOLDER, own_key, read_key
from tests.clips import astronaut_avatar

MARK = MarkMessage(bundle_id(astronaut_avatar()), FIRST_DAY)  # of pictures whose making began on another day


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VISAVIS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def video(path: Path) -> Path:
    writer = VideoWriter(path, 64, 64, 25)
    for at in range(20):
        writer.write(np.random.default_rng(at).integers(0, 255, (64, 64, 3), np.uint8), at / 25)
    writer.finish()
    return path


def signed(path: Path) -> Path:
    sign_video(video(path), astronaut_avatar(), MARK, own_key())
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".m4v"])
def test_what_is_signed_is_read_back_and_the_video_plays(tmp_path: Path, suffix: str) -> None:
    path = video(tmp_path / f"out{suffix}")
    path.chmod(0o600)
    sign_video(path, astronaut_avatar(), MARK, own_key())
    found = read_provenance(path)
    assert found == Provenance(
        "whole",
        "visavis (a key that visavis made)",
        True,
        True,
        MARK,
        consent_digest(astronaut_avatar()),
    )
    assert sum(1 for _ in VideoFile(path)) == 20
    assert path.stat().st_mode & 0o777 == 0o600
    assert sorted(file.name for file in tmp_path.iterdir()) == ["home", path.name]


def test_a_changed_byte_is_found_wherever_it_is(tmp_path: Path) -> None:
    data = signed(tmp_path / "out.mp4").read_bytes()
    changed = tmp_path / "changed.mp4"
    for mark, offset in ((b"mdat", 200), (b"org.visavis.consent", 60), (b"trainedAlgorithmicMedia", 3)):
        at = data.index(mark) + offset
        changed.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        try:
            found = read_provenance(changed)
        except InputError:
            continue
        assert found is None or found.state == "changed", mark


def test_a_file_without_such_data_has_none(tmp_path: Path) -> None:
    assert read_provenance(video(tmp_path / "plain.mp4")) is None
    assert read_provenance(video(tmp_path / "plain.mkv")) is None


def test_nothing_is_fetched_for_it(tmp_path: Path) -> None:
    path, key = video(tmp_path / "plain.mp4"), own_key()
    created = {"action": "c2pa.created", "digitalSourceType": MADE_BY_AI}
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.5)
        with (
            Builder({"assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [created]}}]}) as builder,
            Signer.from_callback(key.sign, C2paSigningAlg.ES256, key.chain) as signer,
            path.open("rb") as plain,
            (tmp_path / "remote.mp4").open("w+b") as remote,
        ):
            builder.set_remote_url(f"http://127.0.0.1:{server.getsockname()[1]}/manifest.c2pa")
            builder.set_no_embed()
            builder.sign(signer, "video/mp4", plain, remote)
        with suppress(InputError):
            assert read_provenance(tmp_path / "remote.mp4") is None
        with pytest.raises(TimeoutError):
            server.accept()
        # as it would be without our settings
        with ThreadPoolExecutor() as aside:
            asking = aside.submit(lambda: Reader.try_create(str(tmp_path / "remote.mp4")))
            server.settimeout(10)
            server.accept()[0].close()
            assert asking.exception(10) is not None


def test_hostile_data_are_refused_in_one_line(tmp_path: Path) -> None:
    data = signed(tmp_path / "out.mp4").read_bytes()
    start = data.index(b"jumb")
    wrong = tmp_path / "wrong.mp4"
    random = np.random.default_rng(1)
    for _ in range(60):
        broken = bytearray(data)
        for at in random.integers(start, start + 3000, 8):
            broken[at] = random.integers(0, 256)
        wrong.write_bytes(bytes(broken))
        try:
            found = read_provenance(wrong)
        except InputError as error:
            assert "\n" not in str(error) and len(str(error)) < 400
        else:
            assert found is None or found.state == "changed"
    for part in (b"", b"abc", data[: start + 100]):
        wrong.write_bytes(part)
        with pytest.raises(InputError):
            read_provenance(wrong)


def test_the_key_of_this_computer_is_made_once_and_for_its_owner_alone(home: Path) -> None:
    first = own_key()
    path = home / FOLDER / FILE
    assert own_key().chain == first.chain
    assert path.stat().st_mode & 0o777 == 0o600 and path.parent.stat().st_mode & 0o777 == 0o700


def test_what_another_computer_has_signed_is_not_said_to_be_of_this_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, avatar = signed(tmp_path / "out.mp4"), bundle(tmp_path / "ada.avatar")
    monkeypatch.setenv("VISAVIS_HOME", str(tmp_path / "other"))
    for made_a_key in (False, True):
        if made_a_key:
            own_key()
        for found in (read_provenance(path), report_on_bundle(avatar).c2pa):
            assert found is not None and found.state == "whole" and not found.signed_here
            assert found.signed_in_words() == (
                "C2PA: unchanged since it was signed by a key that this computer does not know "
                "(it calls itself “visavis (a key that visavis made)”, which nobody has checked)."
            )
        assert (tmp_path / "other").exists() == made_a_key  # reading makes none


def test_a_key_that_cannot_sign_is_refused(home: Path, tmp_path: Path) -> None:
    own_key()
    whole = (home / FOLDER / FILE).read_text()
    end = whole.index("-----BEGIN CERTIFICATE")
    for text in ("", "no key", whole[:end], whole[end:]):
        (tmp_path / "key.pem").write_text(text)
        with pytest.raises(InputError):
            read_key(tmp_path / "key.pem")
    with pytest.raises(InputError):
        read_key(tmp_path / "missing.pem")


def bundle(path: Path) -> Path:
    keep_avatar(astronaut_avatar(), path)
    return path


def with_members(path: Path, **changed: bytes | None) -> Path:
    """The bundle with other members, by their names' first words; None leaves one out."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            if (now := changed.get(name.partition(".")[0], data)) is not None:
                archive.writestr(name, now)
    return path


def test_an_avatar_is_signed_and_what_was_changed_in_it_is_found(tmp_path: Path) -> None:
    path = bundle(tmp_path / "ada.avatar")
    report = report_on_bundle(path)
    assert report.confirmed and report.c2pa is not None and report.c2pa.made_by_ai
    assert report.c2pa.consent_sha256 == consent_digest(load_avatar(path))
    assert report.in_words()[0].startswith("C2PA: unchanged since it was signed by visavis on this computer.")
    manifest, _ = read_signature(path)
    renamed = report_on_bundle(with_members(path, manifest=manifest.replace(b'"astronaut"', b'"astronaus"')))
    assert renamed.c2pa is not None and renamed.c2pa.state == "changed" and not renamed.confirmed
    assert renamed.in_words()[0].startswith("C2PA: the file is not as")

    plain = report_on_bundle(with_members(path, signature=None))
    assert plain.in_words()[0] == UNSIGNED and not plain.confirmed and not plain.notes

    data = bundle(path).read_bytes()
    for member in (b"parameters.safetensors", b"thumbnail.png"):
        at = data.index(member) + 200
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        with pytest.raises(InputError):
            report_on_bundle(path)


def test_a_hostile_signature_of_an_avatar_is_refused_in_one_line(tmp_path: Path) -> None:
    path = bundle(tmp_path / "ada.avatar")
    manifest, signature = read_signature(path)
    random = np.random.default_rng(1)
    forged = [bytes(random.integers(0, 256, 4000, np.uint8)), b"x", signature[:700]]
    for _ in range(40):
        broken = bytearray(signature)
        for at in random.integers(0, 3000, 8):  # what follows is padding
            broken[at] = random.integers(0, 256)
        forged.append(bytes(broken))
    for signed in forged:
        try:
            assert read_apart(path, manifest, signed).state == "changed"
        except InputError as error:
            assert "\n" not in str(error) and len(str(error)) < 400
    report = report_on_bundle(with_members(path, signature=forged[0]))
    assert not report.confirmed and "cannot be read" in report.notes[0] and len(report.in_words()) == 3
    with pytest.raises(InputError, match="too many"):
        report_on_bundle(with_members(path, signature=bytes(1 << 20)))


def test_without_the_extra_it_says_what_was_not_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [signed(tmp_path / "out.mp4"), bundle(tmp_path / "ada.avatar")]
    plain = tmp_path / "plain.mkv"
    video(plain)
    monkeypatch.setitem(sys.modules, "c2pa", None)
    for path in files:
        report = report_on_file(path)
        assert report.c2pa is None
        assert report.notes == (report.as_json()["c2pa_problem"],) and "pip install 'visavis[c2pa]'" in report.notes[0]
    assert not report_on_file(plain).notes  # has no place for such data


def test_verify_tells_it_beside_the_mark(tmp_path: Path, home: Path) -> None:
    """In a process of its own, which gives up its network."""
    own = signed(tmp_path / "out.mp4")
    data = own.read_bytes()
    (tmp_path / "changed.mp4").write_bytes(data.replace(b"that visavis", b"that visavus"))
    bundle(tmp_path / "ada.avatar")
    for name, words, code in (
        (
            "out.mp4",
            "C2PA: unchanged since it was signed by visavis on this computer; made by AI",
            3,
        ),  # noise carries no mark
        ("changed.mp4", "C2PA: the file is not as", 3),
        ("ada.avatar", "C2PA: unchanged since it was signed by visavis on this computer.", 0),
    ):
        command = [sys.executable, "-m", "avatar.cli.main", "verify", str(tmp_path / name)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
        assert done.returncode == code and "Traceback" not in done.stderr, done.stderr
        assert words in " ".join((done.stdout + done.stderr).split())
