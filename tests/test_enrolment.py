"""Photos in, avatar out: which photos were used and why not the others, and a bundle that loads again."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from PIL import Image
from skimage.data import camera
from typer.testing import CliRunner, Result

from avatar.cli.command_app import CommandApp
from avatar.cli.enroll import enroll as enroll_command
from avatar.cli.statement import _asked
from avatar.cli.terminal import Terminal
from avatar.core.arrays import Picture
from avatar.core.errors import InputError, UsageError, VisavisError
from avatar.identity.bundle import avatar_path, load_avatar, save_avatar
from avatar.identity.consent import CONSENT_NOTICE, Statement, consent_record, consent_words
from avatar.identity.enrolment import EnrolmentReport, StrangersError, enroll
from avatar.identity.enrolment_steps import EnrolmentOptions
from avatar.tracking.model_asset import tracker_model
from tests.portraits import (
    astronaut,
    blurred,
    darkened,
    enlarged,
    head,
    in_dark_glasses,
    masked,
    resized,
    save,
    somebody_else,
)


@pytest.fixture(autouse=True)
def visavis_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VISAVIS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def good(tmp_path: Path) -> Path:
    return save(enlarged(2.0), tmp_path / "good.png")


def make(photos: list[Path], consent: Statement | None = None, same_person: bool = False) -> EnrolmentReport:
    return enroll(photos, "anna", tracker_model(), EnrolmentOptions(consent, same_person))


def test_one_photo_makes_an_avatar_that_loads_again(good: Path, tmp_path: Path) -> None:
    avatar = make([good]).avatar
    assert avatar.portraits.shape == (1, 512, 512, 3)
    assert avatar.landmarks.shape == (1, 478, 3)
    assert avatar.blendshapes.shape == (1, 52)
    assert avatar.embedding.shape == (512,)
    points = avatar.landmarks[0, :, :2]
    assert points.min() > 0.15
    assert points.max() < 0.85
    assert np.ptp(points, axis=0).max() == pytest.approx(0.5, abs=0.01)  # half of the crop is face
    path = tmp_path / "anna.avatar"
    save_avatar(avatar, path)
    back = load_avatar(path)
    assert np.array_equal(back.embedding, avatar.embedding)
    assert back.provenance == avatar.provenance


def test_the_best_photo_becomes_the_portrait_and_all_shape_the_embedding(good: Path, tmp_path: Path) -> None:
    small = save(astronaut(), tmp_path / "small.png")
    dim = save(darkened(enlarged(2.0), 0.2), tmp_path / "dim.png")
    report = make([small, dim, good])
    assert report.used[0].path == good
    assert report.rejected == ()
    alone = [make([path]).avatar for path in (small, dim, good)]
    assert len(report.avatar.portraits) == 3  # each kept, the best one first
    assert np.array_equal(report.avatar.portraits[:1], alone[2].portraits)
    mean = np.mean([avatar.embedding for avatar in alone], axis=0)
    np.testing.assert_allclose(report.avatar.embedding, mean, atol=1e-5)


@pytest.mark.parametrize("kind", ["exif", "grey", "rgba", "sixteen", "sideways"])
def test_photos_of_every_kind_give_the_same_person(good: Path, tmp_path: Path, kind: str) -> None:
    image, path = Image.fromarray(enlarged(2.0)), tmp_path / f"{kind}.png"
    if kind == "exif":
        exif = Image.Exif()
        exif[0x0112] = 6
        image.transpose(Image.Transpose.ROTATE_90).save(path, exif=exif)
    elif kind == "sideways":
        image.transpose(Image.Transpose.ROTATE_90).save(path)
    elif kind == "sixteen":
        Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257).save(path)
    else:
        image.convert({"grey": "L", "rgba": "RGBA"}[kind]).save(path)
    avatar, plain = make([path]).avatar, make([good]).avatar
    np.testing.assert_allclose(avatar.landmarks[..., :2], plain.landmarks[..., :2], atol=0.02)


def test_the_unfit_are_left_out_each_with_its_reason(good: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.jpg"
    text.write_text("not a photo")
    photos = [
        save(blurred(enlarged(2.0), 6), tmp_path / "blurred.png"),
        save(resized(astronaut(), 0.3), tmp_path / "tiny.png"),
        save(np.concatenate([head(), head()], axis=1), tmp_path / "two.png"),
        save(astronaut()[300:], tmp_path / "none.png"),
        text,
        tmp_path / "missing.jpg",
        good,
        save(enlarged(2.0), tmp_path / "again.png"),
    ]
    lines: list[str] = []
    report = enroll(
        photos,
        "anna",
        tracker_model(),
        progress=lines.append,
    )
    assert [photo.path for photo in report.used] == [good]
    reasons = {photo.file_name: photo.reason or "" for photo in report.rejected}
    for name, said in {
        "blurred.png": "blurred", "tiny.png": "at least 48", "two.png": "two faces", "none.png": "no human face",
        "text.jpg": "text file", "missing.jpg": "does not exist", "again.png": "the same picture as good.png",
    }.items():  # fmt: skip
        assert said in reasons[name]
    assert lines[0] == "photo 1 of 8: blurred.png"
    assert len(lines) == len(photos) + 1


def test_provenance_names_files_hashes_and_reasons_but_no_folders(good: Path, tmp_path: Path) -> None:
    report = make([good, tmp_path / "missing.jpg"])
    provenance = report.avatar.provenance
    assert provenance["photos"] == [{"file": "good.png", "sha256": hashlib.sha256(good.read_bytes()).hexdigest()}]
    assert provenance["photos_used"] == 1
    assert provenance["left_out"][0]["file"] == "missing.jpg"
    assert "does not exist" in provenance["left_out"][0]["reason"]
    assert provenance["made_by"].startswith("visavis ")
    assert str(tmp_path) not in json.dumps(provenance)


def test_consent_is_recorded_as_it_was_stated(good: Path) -> None:
    given = make([good], consent=Statement.of("agreed", " By e-mail. ", "Anna", "2026-11-29")).avatar.consent
    assert (given["kind"], given["statement"], given["given"]) == ("agreed", "By e-mail.", True)
    assert (given["person"], given["agreed_on"]) == ("Anna", "2026-11-29")
    assert given["at"].endswith("+00:00")
    assert consent_words(given) == "agreed: Anna, 2026-11-29"
    silent = make([good]).avatar.consent
    assert (silent["statement"], silent["given"]) == (CONSENT_NOTICE, False)
    assert consent_words(silent) == "no consent recorded"


def test_a_statement_says_of_which_kind_it_is() -> None:
    for kind, words in (
        ("oneself", "oneself"), ("character", "a painting or a character"), ("historical", "a historical person"),
    ):  # fmt: skip
        record = consent_record(Statement.of(kind))
        assert (record["kind"], consent_words(record), record["statement"]) == (kind, words, f"{words.capitalize()}.")
        assert "person" not in record and "agreed_on" not in record
    agreed = consent_record(Statement.of("agreed", person="Anna"))
    assert agreed["agreed_on"] == datetime.now().astimezone().date().isoformat()


@pytest.mark.parametrize(
    ("kind", "text", "person", "day", "said"),
    [
        ("robot", "", "", "", "Say whom"), (["oneself"], "", "", "", "Say whom"),
        (None, "", "", "", "Say whom"), ("agreed", " ", " ", "", "Say who agreed"),
        ("agreed", "", "Anna", "yesterday", "not a day"), ("agreed", "", "Anna", "2999-01-01", "not come yet"),
        ("agreed", "", "An\nna", "", "one line"), ("agreed", "", "A" * 101, "", "at most 100"),
        ("agreed", "", 7, "", "is text"), ("oneself", "", "Anna", "", "not of oneself"),
        ("historical", "x" * 2001, "", "", "at most 2000"),
    ],
)  # fmt: skip
def test_a_statement_that_says_nothing_is_refused(
    kind: object, text: object, person: object, day: object, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        Statement.of(kind, text, person, day)


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ({}, "no consent recorded"), ({"given": True, "statement": "yes"}, "consent given"),
        ({"kind": ["agreed"], "given": "yes"}, "no consent recorded"), ({"kind": "agreed"}, "agreed: somebody"),
        ({"kind": "agreed", "person": "A\x1b[2J\nB", "agreed_on": 7 * [7]}, "agreed: A[2J B, [7, 7, 7,"),
    ],
)  # fmt: skip
def test_what_any_bundle_says_of_consent_is_one_line(record: dict[str, Any], words: str) -> None:
    assert consent_words(record) == words


def test_none_usable_lists_every_reason_and_what_to_do(tmp_path: Path) -> None:
    photos = [save(astronaut()[300:], tmp_path / "landscape.png"), tmp_path / "missing.jpg"]
    with pytest.raises(InputError) as caught:
        make(photos)
    for said in ("landscape.png: no human face", "missing.jpg: does not exist", "visavis enroll PHOTO.jpg --name anna"):
        assert said in str(caught.value)
    assert str(caught.value).endswith("\nTry again with other photos: `visavis enroll PHOTO.jpg --name anna`.")
    assert caught.value.on_page.endswith("\nTry again with other photos.")


def test_too_few_too_many_and_bad_words(good: Path) -> None:
    for photos in ([], [good] * 33):
        with pytest.raises(UsageError, match="1 to 32"):
            make(photos)


def test_another_person_is_named(good: Path, tmp_path: Path) -> None:
    other = save(somebody_else(enlarged(2.0)), tmp_path / "other.png")
    with pytest.raises(StrangersError) as caught:
        make([good, other])
    assert caught.value.photos in ((0,), (1,))
    said = r"(other|good)\.png seems to show somebody else than (other|good)\.png\. "
    said += "(Leave out|Remove) what is not the same person, or "
    assert re.fullmatch(said + "add --same-person if it is.", str(caught.value))
    assert re.fullmatch(said + "tick “It is one person”.", caught.value.on_page)
    assert len(make([good, other], same_person=True).used) == 2


def test_among_three_the_odd_one_is_named(good: Path, tmp_path: Path) -> None:
    other = save(somebody_else(enlarged(2.0)), tmp_path / "other.png")
    with pytest.raises(StrangersError, match=r"^other\.png seems .* than the other photos") as caught:
        make([good, other, save(astronaut(), tmp_path / "small.png")])
    assert caught.value.photos == (1,)
    used = make([good, save(astronaut(), tmp_path / "small.png")]).used
    assert len(used) == 2


@pytest.mark.parametrize(("spoil", "said"), [(in_dark_glasses, "dark glasses"), (masked, "a mask or a hand")])
def test_hidden_eyes_or_mouth_in_the_only_photo_are_refused_beside_others_not(
    spoil: Callable[[Picture], Picture], said: str, good: Path, tmp_path: Path
) -> None:
    hidden = save(spoil(enlarged(2.0)), tmp_path / "hidden.png")
    with pytest.raises(InputError, match=f"hidden.png: {said}.*hide the") as caught:
        make([hidden])
    assert "visavis enroll PHOTO.jpg --name anna" in str(caught.value)
    used = make([hidden, good], same_person=True).used
    assert [photo.file_name for photo in used] == ["good.png", "hidden.png"]


def test_a_profile_alone_makes_no_avatar(tmp_path: Path) -> None:
    profile = save(np.repeat(camera()[..., None], 3, axis=2), tmp_path / "profile.png")
    with pytest.raises(InputError, match=r"profile\.png: the head is turned \d\d° to the side"):
        make([profile])


def command(*arguments: object) -> Result:
    app = CommandApp()
    app.command()(enroll_command)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_command_writes_the_avatar_and_says_what_comes_next(good: Path) -> None:
    result = command(good, "--name", "anna")
    assert result.exit_code == 0, result.output
    assert load_avatar(avatar_path("anna")).name == "anna"
    assert "portrait" in result.stdout
    assert "good.png" in result.stdout
    assert "visavis live anna" in result.stdout
    assert CONSENT_NOTICE in result.stderr


def test_command_reports_as_json_on_stdout_alone(good: Path, tmp_path: Path) -> None:
    result = command(good, tmp_path / "missing.jpg", "--name", "anna", "--json", "--shows", "oneself")
    report = json.loads(result.stdout)
    assert report["portrait"] == "good.png"
    assert [photo["used"] for photo in report["photos"]] == [True, False]
    assert report["photos"][0]["check"]["face_px"] > 200
    assert (report["consent"]["given"], report["consent"]["kind"]) == (True, "oneself")


def test_command_takes_the_pictures_of_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "notes.txt").write_text("no picture")
    save(enlarged(2.0), folder / "b.png")
    save(astronaut(), folder / "a.JPG")
    result = command(folder, "--name", "anna", "--json")
    assert [photo["photo"] for photo in json.loads(result.stdout)["photos"]] == ["b.png", "a.JPG"]
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "no picture in the folder" in str(command(empty, "--name", "bob").exception)


def test_command_keeps_an_existing_avatar_unless_forced(good: Path) -> None:
    assert command(good, "--name", "anna").exit_code == 0
    before = avatar_path("anna").read_bytes()
    refused = command(good, "--name", "anna")
    assert isinstance(refused.exception, UsageError)
    assert "--force" in str(refused.exception)
    assert avatar_path("anna").read_bytes() == before
    assert command(good, "--name", "anna", "--force", "--i-have-consent", "yes, I").exit_code == 0
    consent = load_avatar(avatar_path("anna")).consent
    assert (consent["kind"], consent["statement"]) == ("agreed", "yes, I")


def test_a_failed_command_leaves_nothing_behind(tmp_path: Path, visavis_home: Path) -> None:
    for name, photo in (("anna", tmp_path / "missing.jpg"), ("../anna", tmp_path / "missing.jpg")):
        assert isinstance(command(photo, "--name", name).exception, VisavisError)
    assert not list(visavis_home.rglob("*.avatar*"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Say what to make the avatar of"),
        (["a.png", "--video", "b.mp4"], "one of them only"),
        (["--camera", "0", "--video", "b.mp4"], "one of them only"),
        (["a.png", "--seconds", "3"], "--seconds belongs to"),
        (["a.png", "--minutes", "3"], "--minutes is how long to fine-tune"),
        (["a.png", "--finetune", "--json"], "visavis finetune NAME --json"),
    ],
)
def test_options_that_do_not_go_together(arguments: list[str], said: str) -> None:
    error = command(*arguments, "--name", "anna").exception
    assert isinstance(error, UsageError)
    assert said in str(error)


def test_finetune_without_torch_stops_before_anything_is_done(
    good: Path, visavis_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("avatar.cli.enroll_options.find_spec", lambda name: None)
    error = command(good, "--name", "anna", "--finetune").exception
    assert isinstance(error, VisavisError)
    assert "pip install 'visavis[train]'" in str(error)
    assert not visavis_home.exists()


def asked(answers: str) -> tuple[str, str]:
    """Whom it shows and what was said, where a person answers at a terminal; and what went wrong instead."""
    app = typer.Typer()

    @app.command()
    def ask() -> None:
        print(_asked(Terminal(stderr=True)).kind)

    result = CliRunner().invoke(app, [], input=answers)
    return result.stdout.strip().rpartition("\n")[2], str(result.exception or "") + result.stderr


def test_a_slip_at_the_consent_question_is_asked_again() -> None:
    kind, said = asked("9\nme\n1\n")
    assert kind == "oneself"
    assert "9 is none of them" in said and "me is none of them" in said
    assert "none of them either" in asked("9\n0\n5\n")[1]


def test_what_is_said_of_consent_comes_only_with_an_avatar(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("no picture")
    result = command(tmp_path / "text.jpg", "--name", "anna")
    assert result.exit_code != 0 and CONSENT_NOTICE not in result.stderr
