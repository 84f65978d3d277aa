"""The invisible mark: what is put in comes out, whatever was done to the picture, and nothing else does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from functools import lru_cache
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from avatar.core.arrays import Picture
from avatar.core.avatar import Avatar
from avatar.core.model_files import MODEL_ID
from avatar.trust.carrier import BAND, pattern
from avatar.trust.detection import Reading, detect, readings
from avatar.trust.embedding import Marker
from avatar.trust.mark_code import SIGNS, decode, encode
from avatar.trust.mark_message import FIRST_DAY, MarkMessage, bundle_id
from avatar.trust.residue import Residue
from avatar.trust.verification import verify_file
from tests.clips import write_clip
from tests.portraits import astronaut

MESSAGE = MarkMessage("0123456789", date(2026, 11, 30))
Change = Callable[[Picture], Picture]


SIDE = 320  # of the pictures, in pixels: as few as will do


def swaying(index: int) -> Picture:
    """(320, 320, 3)"""
    way = np.array([[0.625, 0, 5 * np.sin(index / 3)], [0, 0.625, 3 * np.cos(index / 4)]])
    return u8(cv2.warpAffine(astronaut(), way, (SIDE, SIDE), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REFLECT))


@lru_cache(maxsize=1)
def marked() -> list[Picture]:
    marker = Marker(MESSAGE, SIDE, SIDE)
    return [marker.mark(swaying(index)) for index in range(12)]


def read(pictures: list[Picture]) -> Reading | None:
    return detect(residue(pictures).mean())


def residue(pictures: list[Picture]) -> Residue:
    seen = Residue()
    for picture in pictures:
        seen.add(picture)
    return seen


def u8(picture: object) -> Picture:
    return np.asarray(picture, np.uint8)


def scaled(width: int, height: int) -> Change:
    return lambda picture: u8(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA))


def jpeg(picture: Picture) -> Picture:
    file = BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=50)
    return u8(Image.open(file))


def in_a_window(picture: Picture) -> Picture:
    screen = np.full((360, 640, 3), 240, np.uint8)
    cv2.putText(screen, "a call of two", (40, 60), cv2.FONT_HERSHEY_SIMPLEX, 1.5, (30, 30, 30), 2)
    screen[83:339, 311:567] = cv2.resize(picture, (256, 256), interpolation=cv2.INTER_AREA)
    return screen


def test_a_message_is_read_as_it_was_written() -> None:
    number = MESSAGE.number()
    assert number >> 56 == 0x5A
    assert number >> 16 & 0xFFFFFFFFFF == 0x0123456789
    assert number & 0xFFFF == (MESSAGE.day - FIRST_DAY).days == 333
    assert MarkMessage.from_number(number) == MESSAGE
    assert MarkMessage.from_number(number ^ 1 << 60) is None  # another product's


def test_signs_survive_noise_as_strong_as_they_are() -> None:
    noise = np.random.default_rng(0).normal(size=SIGNS).astype(np.float32)
    decoded = decode(encode(MESSAGE.number()) + noise)
    assert decoded.agrees
    assert decoded.message == MESSAGE.number()
    assert not decode(noise).agrees


def test_another_day_is_quite_another_pattern() -> None:
    today, tomorrow = encode(MESSAGE.number()), encode(MESSAGE.number() + 1)
    assert 0.4 < np.mean(today != tomorrow) < 0.6


def test_the_code_is_for_all_time() -> None:
    """What was marked must be found by every later version: these values may never change."""
    signs = encode(MESSAGE.number())
    assert "".join("+" if sign > 0 else "-" for sign in signs[:24]) == "------++-+--++-+++--+--+"
    assert list(zip(BAND.rows[:4].tolist(), BAND.columns[:4].tolist(), strict=True)) == [
        (5, 16), (-19, 9), (11, 10), (16, 9)
    ]  # fmt: skip
    assert pattern(signs, 512, 512)[0, :4] == pytest.approx([-0.56, 0.196, 0.393, -0.275], abs=1e-3)


@pytest.mark.parametrize(
    "change",
    [
        lambda picture: picture,
        jpeg,
        scaled(200, 200),
        scaled(431, 431),
        scaled(352, 288),
        lambda picture: np.ascontiguousarray(picture[:, ::-1]),
        lambda picture: np.ascontiguousarray(picture[12:300, 23:311]),
        lambda picture: u8(cv2.copyMakeBorder(picture, 26, 26, 26, 26, cv2.BORDER_CONSTANT)),
        lambda picture: u8(255 * (picture / 255) ** 1.7),
        in_a_window,
    ],
    ids=["nothing", "jpeg", "smaller", "larger", "stretched", "mirrored", "cropped", "rimmed", "darker", "in a window"],
)
def test_the_mark_is_found_whatever_was_done(change: Change) -> None:
    reading = read([change(picture) for picture in marked()])
    assert reading is not None
    assert reading.message == MESSAGE


def test_one_picture_is_enough() -> None:
    reading = read(marked()[:1])
    assert reading is not None
    assert reading.message == MESSAGE
    assert reading.place.height_px == pytest.approx(SIDE / 4, rel=0.01)


def test_nothing_is_found_where_there_is_nothing() -> None:
    assert read([swaying(index) for index in range(12)]) is None


def test_a_mark_with_another_key_is_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    other = replace(BAND, phases=np.conj(BAND.phases[np.roll(np.arange(len(BAND.phases)), 7)]))
    with monkeypatch.context() as patch:
        patch.setattr("avatar.trust.carrier.BAND", other)
        marker = Marker(MESSAGE, SIDE, SIDE)
    assert read([marker.mark(swaying(index)) for index in range(6)]) is None


def test_a_mark_from_the_future_is_not_believed() -> None:
    marker = Marker(replace(MESSAGE, day=date(2199, 1, 1)), SIDE, SIDE)
    first = next(readings(residue([marker.mark(swaying(0))]).mean()))
    assert first.decoded.agrees
    assert first.message is None


def test_the_mark_is_not_seen() -> None:
    before, after = swaying(0).astype(float), Marker(MESSAGE, SIDE, SIDE).mark(swaying(0)).astype(float)
    change = after - before
    assert 10 * np.log10(255**2 / np.mean(change**2)) > 42
    inside = (before > 8).all(-1) & (before < 247).all(-1)
    assert np.ptp(change[inside], axis=-1).max() == 0  # no colour changes


def test_flat_areas_stay_as_they_are() -> None:
    flat = np.full((SIDE, SIDE, 3), 120, np.uint8)
    slope = np.repeat(np.linspace(60, 90, SIDE).astype(np.uint8)[None, :, None], SIDE, 0).repeat(3, 2)
    flat[200:] = swaying(0)[200:]
    for picture, still in ((flat, slice(0, 168)), (slope, slice(0, SIDE))):
        assert np.array_equal(Marker(MESSAGE, SIDE, SIDE).mark(picture)[still], picture[still])


@pytest.mark.parametrize(("width", "height"), [(64, 64), (1280, 720), (66, 4096)])
def test_any_size_can_be_marked(width: int, height: int) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    assert Marker(MESSAGE, width, height).mark(picture).shape == picture.shape


def avatar(shade: int = 0, at: str = "2026-11-30T12:00:00+00:00") -> Avatar:
    portraits = np.full((1, 512, 512, 3), shade, np.uint8)
    nothing = np.zeros(0, np.float32)
    return Avatar("anna", MODEL_ID, portraits, nothing, nothing, nothing, consent={"at": at})


def test_a_bundle_keeps_its_id_and_shares_it_with_no_other() -> None:
    assert bundle_id(avatar()) == bundle_id(replace(avatar(), name="ada", weights=np.ones(3, np.float32)))
    assert len({bundle_id(avatar()), bundle_id(avatar(1)), bundle_id(avatar(at="2026-11-30T12:00:01+00:00"))}) == 3
    assert MarkMessage.of(avatar()).bundle == bundle_id(avatar())


def test_a_file_is_looked_at_until_the_mark_is_found(tmp_path: Path) -> None:
    """Six seconds without a mark, then five with one."""
    marker = Marker(MESSAGE, SIDE, SIDE)
    pictures = [swaying(i) if i < 24 else marker.mark(swaying(i)) for i in range(44)]
    verdict = verify_file(write_clip(tmp_path / "late.mp4", pictures, fps=4))
    assert verdict.mark is not None
    assert (verdict.mark.bundle, verdict.mark.day) == (MESSAGE.bundle, MESSAGE.day)
    assert 5.0 <= verdict.mark.start_s < 6.0
    assert verdict.mark.shown_px == pytest.approx(SIDE, rel=0.01)


def test_a_photo_is_looked_at(tmp_path: Path) -> None:
    Image.fromarray(marked()[0]).save(tmp_path / "still.png")
    verdict = verify_file(tmp_path / "still.png")
    assert verdict.mark is not None
    assert (verdict.mark.bundle, verdict.pictures) == (MESSAGE.bundle, 1)


def verify(*words: str, home: Path) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "avatar.cli.main", "verify", *words]
    environment = {**os.environ, "VISAVIS_HOME": str(home), "COLUMNS": "400"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    return done.returncode, done.stdout, done.stderr


def test_the_command_tells_by_its_exit_code(tmp_path: Path) -> None:
    """0 marked, 3 not, 2 unreadable; and whose, where the avatar is one of this computer's."""
    Image.fromarray(marked()[0]).save(tmp_path / "marked.png")
    Image.fromarray(swaying(0)).save(tmp_path / "real.png")
    code, said, _ = verify(str(tmp_path / "marked.png"), "--json", home=tmp_path)
    told = json.loads(said)
    assert (code, told["marked"], told["mark"]["day"]) == (0, True, "2026-11-30")
    assert (told["mark"]["bundle"], told["mark"]["avatar"]) == (MESSAGE.bundle, None)
    code, said, _ = verify(str(tmp_path / "real.png"), home=tmp_path)
    assert code == 3 and "No mark found: this is not a proof that the picture is real." in said
    for name in ("none.mp4", __file__, str(tmp_path)):
        code, said, complaint = verify(name, home=tmp_path)
        assert (code, said, complaint.count("\n")) == (2, "", 1), complaint
