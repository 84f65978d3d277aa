"""A selfie clip becomes an avatar: what it shows is found, what is missing is named, and unfit clips are refused."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from avatar.cli.command_app import CommandApp
from avatar.cli.enroll import enroll as enroll_command
from avatar.cli.enroll_report import GROUPS, SEEN
from avatar.core.arrays import Picture
from avatar.core.errors import InputError
from avatar.identity.bundle import avatar_path, load_avatar
from avatar.identity.clip_enrolment import ClipReport, SelfieClip, enroll_clip
from avatar.identity.selfie import EVERY_NS, MAX_CANDIDATES, SelfieReader
from avatar.identity.selfie_signs import WANTED
from avatar.sources.video_file import VideoFile
from avatar.tracking.caged_tracker import CagedTracker
from avatar.tracking.model_asset import tracker_model
from tests.clips import acted_face, write_clip
from tests.portraits import blurred, childs_drawing, darkened, planet

FPS = 10  # each frame is looked at


@pytest.fixture(autouse=True)
def visavis_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VISAVIS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def acted() -> list[Picture]:
    """Ahead (the first one blurred), to both sides, up, down, mouth open: three frames of each, ahead more."""
    ahead = acted_face(smile=-0.6)  # the calmest of them
    turns = [acted_face(yaw_deg=18), acted_face(yaw_deg=-18), acted_face(pitch_deg=14), acted_face(pitch_deg=-14)]
    moves = [picture for picture in (*turns, acted_face(mouth=0.5)) for _ in range(3)]
    return [blurred(ahead, 3), *[ahead] * 12, *moves]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip") / "selfie.mp4", acted(), fps=FPS)


def make(path: Path) -> ClipReport:
    return enroll_clip(SelfieClip(VideoFile(path), str(path)), "anna", tracker_model())


@pytest.fixture(scope="module")
def report(clip: Path) -> ClipReport:
    return make(clip)


def test_every_turn_and_the_open_mouth_are_found_and_kept(report: ClipReport) -> None:
    shown = set().union(*(frame.shows for frame in report.frames))
    assert {"left", "right", "up", "down", "open", "teeth", "smile"} <= shown
    assert report.coverage.yaw_deg[0] < -10 and report.coverage.yaw_deg[1] > 10
    assert report.avatar.portraits.shape == (len(report.frames), 512, 512, 3)
    assert 6 <= len(report.frames) <= 12  # repeated frames tell nothing new


def test_what_is_missing_is_named_by_what_to_do(report: ClipReport) -> None:
    shown = set().union(*(frame.shows for frame in report.frames))
    assert set(report.coverage.missing) == {advice for what, advice in WANTED.items() if what not in shown}
    assert WANTED["shut"] in report.coverage.missing
    assert report.avatar.provenance["missing"] == list(report.coverage.missing)


def test_the_reference_is_sharp_and_frontal_though_the_first_frame_is_blurred(report: ClipReport) -> None:
    first = report.frames[0]
    assert abs(first.check.yaw_deg) < 8
    assert abs(first.check.pitch_deg) < 10
    assert not {"left", "right", "down", "open"} & first.shows
    assert report.at_s(first) > 0
    assert 0.0 not in {report.at_s(frame) for frame in report.frames}  # the blurred one is not among them
    assert first.check.sharpness > 0.6 * np.median([frame.check.sharpness for frame in report.frames])


def test_landmarks_lie_on_the_portraits(report: ClipReport) -> None:
    avatar = report.avatar
    with CagedTracker(tracker_model(), "image", patient=True) as tracker:
        for portrait, points in zip(avatar.portraits, avatar.landmarks, strict=True):
            again = tracker.track(portrait, 0).landmarks / 512
            assert np.abs(again - points)[:, :2].mean() < 0.01


def test_a_phone_clip_on_its_side_by_metadata_is_turned_and_one_without_refused(tmp_path: Path) -> None:
    sideways = [np.ascontiguousarray(np.rot90(acted_face(), -1))] * 8
    turned = make(write_clip(tmp_path / "phone.mp4", sideways, fps=FPS, rotation=90))
    assert abs(turned.frames[0].check.roll_deg) < 10
    with pytest.raises(InputError, match="on its side: 8"):
        make(write_clip(tmp_path / "lying.mp4", sideways, fps=FPS))


def test_a_varying_frame_rate_is_read_by_its_times(tmp_path: Path) -> None:
    pts = [0, 10, 20, 30, 400, 800, 810, 1200, 1600, 2000]  # milliseconds: three of these are too near to others
    path = write_clip(tmp_path / "vfr.mp4", [acted_face()] * 10, pts=pts, time_base=Fraction(1, 1000))
    assert make(path).coverage.frames == 6


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("dark", "dark: 8"),
        ("faceless", "without a face: 8"),
        ("short", "3 of its frames"),
        ("two", "equally large"),
        ("planet", "no human face"),
    ],
)
def test_unfit_clips_are_refused_with_the_reason(name: str, said: str, tmp_path: Path) -> None:
    face = acted_face()
    pictures = {
        "dark": [darkened(face, 0.08)] * 8,
        "faceless": [childs_drawing()] * 8,
        "short": [face] * 3,
        "planet": [planet(11)] * 8,
        "two": [np.concatenate([face, face], axis=1)] * 8,
    }[name]
    with pytest.raises(InputError, match=said) as caught:
        make(write_clip(tmp_path / f"{name}.mp4", pictures, fps=FPS))
    assert f"{name}.mp4" in str(caught.value)


def test_memory_stays_bounded_and_the_only_frame_of_its_kind_survives() -> None:
    """Far more frames than are kept, one of them with an open mouth."""
    reader = SelfieReader(None)
    with CagedTracker(tracker_model(), "image", patient=True) as tracker:
        faces = {mouth: (acted_face(mouth=mouth), tracker.track(acted_face(mouth=mouth), 0)) for mouth in (0.0, 0.5)}
    for number in range(3 * MAX_CANDIDATES):
        picture, face = faces[0.5 if number == 20 else 0.0]
        reader.take(picture, replace(face, capture_ns=number * EVERY_NS))
        assert len(reader._main().candidates) <= MAX_CANDIDATES
    assert "open" in set().union(*(frame.shows for frame in reader.choose()))
    assert reader.coverage().frames == 3 * MAX_CANDIDATES


def command(*arguments: object) -> Result:
    app = CommandApp()
    app.command()(enroll_command)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_the_command_says_what_was_found_what_is_missing_and_how_to_add_it(clip: Path) -> None:
    done = command("--video", clip, "--name", "anna")
    assert done.exit_code == 0, done.output
    assert load_avatar(avatar_path("anna")).provenance["clip"] == "selfie.mp4"
    for said in ("28 frames looked at", "kept", "To add it, film again", WANTED["shut"], "visavis live anna"):
        assert said in done.stdout


def test_the_command_reports_a_clip_as_json(clip: Path) -> None:
    report = json.loads(command("--video", clip, "--name", "anna", "--json").stdout)
    assert report["coverage"]["frames"] == 28
    assert report["portrait_at_s"] == report["frames"][0]["at_s"]
    assert set(report["frames"][0]["shows"]) <= set(WANTED)


@pytest.mark.realtime
def test_a_camera_is_directed_by_hints(tmp_path: Path) -> None:
    """A video plays the camera, in real time."""
    pictures = [acted_face()] * 10 + [acted_face(yaw_deg=18)] * 6 + [acted_face(mouth=0.5)] * 6
    done = command("--camera", write_clip(tmp_path / "live.mp4", pictures, fps=FPS), "--name", "anna")
    assert done.exit_code == 0, done.output
    said = done.stderr
    assert f"Now: {WANTED['neutral']}" in said
    assert said.index(f"seen: {SEEN['left']}") < said.index(f"seen: {SEEN['open']}")
    assert load_avatar(avatar_path("anna")).provenance["clip"] == "live.mp4"


def test_a_camera_stops_when_nothing_is_missing(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("avatar.identity.selfie.WANTED", {"open": WANTED["open"], "left": WANTED["left"]})
    seen_s: list[float] = []
    # with stamps as of a camera's clock, and without times of a file
    frames = (replace(f, capture_ns=7_000_000_000 + round(f.media_s * 1e9), media_s=0.0) for f in VideoFile(clip))
    filmed = SelfieClip(frames, "camera", live=True)
    enroll_clip(filmed, "anna", tracker_model(), progress=lambda s, _: seen_s.append(s))
    assert 2.4 < seen_s[-1] < 2.7  # of 2.8 s: the mouth opens at 2.5 s


def test_every_wanted_thing_has_a_name_and_a_place_in_the_table() -> None:
    assert set(SEEN) == set(WANTED)
    assert sorted(name for names in GROUPS.values() for name in names) == sorted(WANTED)
