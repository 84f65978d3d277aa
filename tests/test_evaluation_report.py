"""Evaluation: what is written down, and whole runs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from avatar.core.errors import UsageError
from avatar.evaluation import markdown_report
from avatar.evaluation.clip import Clip, DriverClip
from avatar.evaluation.contact_sheet import Strip, cross_sheet, self_sheet, worst_frames
from avatar.evaluation.cross_reenactment import CrossRun
from avatar.evaluation.differences import ssim
from avatar.evaluation.evaluation import ClipResult, CrossResult, Report, result_names
from avatar.evaluation.html_report import as_html
from avatar.evaluation.json_report import as_json
from avatar.evaluation.metrics import CROSS_METRICS, METRICS
from avatar.evaluation.motion import SIGNALS
from avatar.evaluation.neck_sweep import Sweep
from avatar.evaluation.paper_table import as_markdown, best_rows, paper_rows
from avatar.evaluation.person import FF, FT, FULL, LAYERS, UNMOVED, Person, Tuning
from avatar.evaluation.saved_run import check_file, check_folder, save_run
from avatar.evaluation.scores import REAL, Scores
from avatar.evaluation.signal_curves import curves
from avatar.evaluation.steadiness import Steadiness, StillResult
from avatar.evaluation.tooth_stills import ToothScores
from avatar.face.crop import Crop
from avatar.face.state import FaceState, no_face
from avatar.sources.video_file import VideoFile
from tests.clips import face_clip, write_clip

RNG = np.random.default_rng(11)
FRAMES = tuple(range(20, 40))
SYSTEMS = (UNMOVED, LAYERS, FF, FT)
Pictures = NDArray[np.uint8]


def some_pictures(count: int = len(FRAMES)) -> Pictures:
    return RNG.integers(0, 256, (count, 256, 256, 3), dtype=np.uint8)


def a_clip(name: str = "talk") -> Clip:
    face = FaceState(
        RNG.uniform(60, 200, (478, 3)).astype(np.float32), np.zeros(52, np.float32), np.eye(4, dtype=np.float32), 1.0, 0
    )
    return Clip(
        name=name,
        path=Path(f"{name}.mp4"),
        damage=None,
        states=(face,) * 40 + (no_face(0),),
        sources={1: (3,), 8: (3, 0, 2, 5, 8, 11, 14, 19)},
        unfit={},
        target_frames=FRAMES,
        crop=Crop(3, 5, 200),
        portraits={},
        small={},
        targets=some_pictures(),
        moments=(30,),
        moment_pictures=some_pictures(3)[None],
    )


def some_scores(name: str, metrics: Any, real: NDArray[np.float64], worse: float = 1.0) -> Scores:
    """Values that grow from system to system."""
    frames = {
        system: {m.key: worse * (k + 1) * 0.1 + RNG.normal(0, 0.01, len(FRAMES)) for m in metrics}
        for k, system in enumerate(SYSTEMS)
    }
    signals = RNG.normal(0, 5, (len(FRAMES), len(SIGNALS)))
    moved = {system: signals + RNG.normal(0, 1, signals.shape) for system in (*SYSTEMS, REAL)}
    moved[FF][4] = np.nan
    return Scores(
        name=name,
        frames=frames | {REAL: dict.fromkeys(("akd", "csim"), np.full(len(FRAMES), 0.5))},
        lost=dict.fromkeys((*SYSTEMS, REAL), 0) | {FF: 1},
        driver_signals=signals,
        output_signals=moved,
        pooled={system: real + k * 0.1 for k, system in enumerate(SYSTEMS)},
        real_pooled=real,
        yaw_change=np.linspace(0, 30, len(FRAMES)),
    )


@pytest.fixture(scope="module")
def report() -> Report:
    """Of one clip whose name is nasty, by one and eight shots, and one cross pair."""
    clip = a_clip("<b>talk</b> & more")
    drawn = {system: some_pictures() for system in SYSTEMS}
    real = RNG.normal(0, 1, (len(FRAMES), 1280))
    found = Report((UNMOVED, LAYERS, FF, FT), {"backend": "none"}, "no engine", 2.0, {"psnr": "left at home"})
    for shots in (8, 1):
        scores = some_scores(clip.name, METRICS, real)
        found.clips[shots] = [
            ClipResult(
                name=clip.name,
                damage=None,
                frame_count=len(clip.states),
                without_face=clip.without_face,
                source_frames=clip.sources[shots],
                target_frames=FRAMES,
                crop=clip.crop,
                tuning=Tuning(shots == 8, "because", 25, 1.0),
                scores=scores,
                sheet=self_sheet(clip, drawn).shown(),
                worst=worst_frames(clip, drawn, scores),
            )
        ]
    person = Person(clip, 1, {}, None, some_pictures(1), np.zeros((1, 478, 3), np.float32))
    driver = DriverClip("driver", Path("driver.mp4"), None, clip.states, FRAMES, clip.crop, some_pictures())
    sheet = cross_sheet(CrossRun(person, driver, np.zeros((1, 478, 3), np.float32), drawn)).shown()
    crossed = some_scores("x", CROSS_METRICS, real)
    found.cross[1] = [CrossResult(clip.name, "driver", FRAMES, crossed, sheet)]
    swept = {FF: Sweep(0.02, 0.05, 0.01, 1, 23), "layers": Sweep(0.3, 1.1, 0.2, 0, 23)}
    mouths = Strip("mouths", some_pictures(1)[0]).shown(160)
    teeth = {FF: ToothScores(0.1, 0.9), "layers": ToothScores(-0.4, None)}
    found.steadiness = Steadiness([StillResult("smile", teeth, mouths)], {clip.name: swept}, ["bust"])
    found.failed.append({"clip": "wall.mp4", "shots": None, "reason": "wall.mp4: no <face>"})
    return found


class Page(HTMLParser):
    """Counts tags, and checks that each is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.links: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.links += [value or "" for name, value in attrs if name in {"src", "href", "srcset", "data"}]
        if tag not in {"meta", "img", "br"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_holds_everything_itself(report: Report) -> None:
    text = as_html(report)
    page = Page()
    page.feed(text)
    assert page.open == []
    assert page.links
    assert all(link.startswith("data:image/jpeg;base64,") for link in page.links)
    assert not {"script", "link", "iframe"} & page.tags.keys()
    assert "url(" not in text
    assert "@import" not in text
    sheets = 3 * 5  # two numbers of shots and a pair: source, driver, warp, FF, FT
    assert page.tags["img"] == sheets + 2 * 2 * 3 + 1  # and three worst frames of FF and FT each; the teeth
    assert page.tags["svg"] == 3 * 5
    assert "<b>talk" not in text
    assert "&lt;b&gt;talk&lt;/b&gt; &amp; more" in text
    assert "no &lt;face&gt;" in text
    for metric in METRICS:
        assert metric.definition.split(",")[0][1:] in unescape(text), metric.key
    assert "prefers-color-scheme:dark" in text
    assert report.machine.split(",")[0] in text


def test_curves_break_where_the_face_was_lost() -> None:
    values = np.array([0.0, 1.0, np.nan, 1.0, 0.0])
    drawn = curves((0, 1, 2, 3, 4), {"driver": np.zeros(5), "ff": values}, "blink", "")
    path = re.search(r'class="line ff" d="([^"]+)"', drawn)
    assert path is not None
    assert (path[1].count("M"), path[1].count("L")) == (2, 2)
    assert "nan" not in drawn
    nothing = curves((7,), {"driver": np.full(1, np.nan)}, "blink", "")
    assert "nan" not in nothing


def test_json_holds_no_nan_and_names_what_was_not_kept(report: Report) -> None:
    found = json.loads(json.dumps(as_json(report), allow_nan=False))
    assert found["format"] == 2
    assert [run["shots"] for run in found["runs"]] == [1, 8]
    run = found["runs"][0]
    assert run["clips"][0]["fine_tuning"]["kept"] is False
    assert run["total"]["better"]["l1"] == UNMOVED
    assert run["total"]["better"]["ssim"] == FT
    difference = run["total"]["differences"]["ff - layers"]["l1"]
    assert difference["sure"]
    assert difference["low"] < difference["mean"] < difference["high"]
    assert difference["mean"] == pytest.approx(0.1, abs=0.02)
    assert run["total"]["frechet"]["samples"] == run["total"]["frechet"]["real_samples"] == len(FRAMES)
    assert run["total"]["frechet"]["values"][UNMOVED] == pytest.approx(0, abs=1e-6)
    assert run["total"]["correlations"][FF]["yaw"]["pooled"]["frames"] == len(FRAMES) - 1
    assert [one["frames"] for one in run["by_yaw"]] == [6, 5, 5, 4, 0]
    assert 0 < run["by_yaw"][3]["values"][FF]["fold"] < run["by_yaw"][3]["values"][FT]["fold"]
    assert run["by_yaw"][4]["high_deg"] is None
    steady = found["steadiness"]["values"]
    assert (steady[FF]["neck_farthest"], steady[FF]["tooth_change"]) == (0.05, 0.1)
    assert (steady["layers"]["tooth_change"], steady["layers"]["tooth_correlation"]) == (0.4, None)
    assert found["cross"][0]["pairs"][0]["driver"] == "driver"
    assert found["cross"][0]["total"]["better"]["akd"] == LAYERS  # the unmoved portrait is no competitor there


def test_the_paper_table(report: Report) -> None:
    rows = paper_rows(report)
    assert [row.cells()[0] for row in rows] == [
        "layers alone (1)", "ours FF (1)", "ours FT (1)", "layers alone (8)", "ours FF (8)", "ours FT (8)",
    ]  # fmt: skip
    assert best_rows(rows) == {(0, 1), (2, 2), (2, 3), (3, 1), (5, 2), (5, 3)}
    text = as_markdown(report)
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len(table) == 8
    assert {line.count("|") for line in table} == {5}
    assert "USER" in text
    assert "T = 1: fine-tuning was not better" in text
    assert "T = 8: fine-tuning was not better" not in text


def test_markdown_has_what_decides(report: Report) -> None:
    text = markdown_report.as_markdown(report)
    assert text.startswith(as_markdown(report))
    for line in (
        "| Matte IoU (of 1) ↑ |",
        "| Flicker (of real) →1 |",
        "| Neck's length, farthest (of 1) ↓ | **0.0500** | 1.1000 |",
    ):
        assert line in text
    assert "## By yaw between source and target, T = 8" in text
    assert "layers alone" in text


def test_the_nearest_portrait_is_taken() -> None:
    landmarks = RNG.uniform(0, 1, (4, 478, 3)).astype(np.float32)
    person = Person(a_clip(), 4, {}, None, some_pictures(4), landmarks)
    assert person.nearest(landmarks[2] + np.array([0.01, 0, 5], np.float32)) == 2  # depth does not count


def test_worst_frames_are_the_worst(report: Report) -> None:
    result = report.clips[1][0]
    values = result.scores.frames[FF]["feature_efficientnet_lite0"]
    worst = result.worst[FF]
    assert worst[0].frame == FRAMES[int(values.argmax())]
    assert worst[0].value == values.max()
    assert min(abs(a.frame - b.frame) for a in worst for b in worst if a is not b) >= 3


# Saved pictures


def test_saved_run_can_be_recomputed(tmp_path: Path) -> None:
    clip = a_clip()
    drawn = {1: {system: some_pictures() for system in (UNMOVED, LAYERS, FF)}}
    sheets = {1: self_sheet(clip, drawn[1])}
    folder = save_run(tmp_path / "out", clip, drawn, sheets)
    assert save_run(tmp_path / "out", clip, drawn, sheets) == folder  # a second run replaces the first
    about = json.loads((folder / "frames.json").read_text())
    assert about["source_frames"] == {"1": [3]}
    assert tuple(about["target_frames"]) == FRAMES
    assert about["crop"] == {"x": 3, "y": 5, "side": 200}
    shown = np.asarray(Image.open(folder / "shots_1" / "ff" / "frame_00021.png"))
    assert np.array_equal(shown, drawn[1][FF][1])
    assert Image.open(folder / "shots_1" / "sheet.png").size == (8 * 256, 4 * 256)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["talk"]  # nothing half-written is left


def test_what_cannot_be_saved_is_said_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "talk").mkdir()
    (tmp_path / "talk" / "diary.txt").write_text("mine")
    with pytest.raises(UsageError, match="not an earlier evaluation"):
        check_folder(tmp_path, result_names([Path("talk.mp4")], []))
    with pytest.raises(UsageError, match="is a file"):
        check_folder(tmp_path / "talk" / "diary.txt", [])
    with pytest.raises(UsageError, match="cannot be made"):
        check_folder(tmp_path / "talk" / "diary.txt" / "below", [])
    with pytest.raises(UsageError, match="--html"):
        check_file(tmp_path / "talk", "--html")
    assert (tmp_path / "talk" / "diary.txt").read_text() == "mine"
    (tmp_path / "talk" / "frames.json").write_text("{}")  # an earlier evaluation, but not alone in it
    with pytest.raises(UsageError, match=r"holds diary\.txt"):
        check_folder(tmp_path, ["talk"])
    (tmp_path / "link").symlink_to(tmp_path / "talk")
    with pytest.raises(UsageError, match="is a link"):
        check_folder(tmp_path, ["link"])
    check_folder(tmp_path / "new", result_names([Path("a.mp4")], [Path("b.mp4")]))
    check_file(tmp_path / "new" / "report.html", "--html")
    assert result_names([Path("a.mp4")], [Path("b.mp4")]) == ["a", "a_driven_by_b"]


# Whole runs


def evaluate(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "avatar.cli.main", "evaluate", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.e2e
def test_evaluate_end_to_end(tmp_path: Path) -> None:
    """Figures for each system and number of shots, and pictures that give them again; another clip drives."""
    pytest.importorskip("torch")
    small = pytest.importorskip("tests.small_full")
    full = Path(small.small_full().name) / "onnx"  # the paper's network, random weights
    face_clip(tmp_path / "sway.mp4", frames=40)
    face_clip(tmp_path / "mirror.mp4", frames=16, change=lambda p: np.ascontiguousarray(p[:, ::-1]))
    outputs = [
        "--save",
        str(tmp_path / "out"),
        "--html",
        str(tmp_path / "r.html"),
        "--markdown",
        str(tmp_path / "r.md"),
    ]
    drivers = ["--drivers", str(tmp_path / "mirror.mp4"), "--systems", "ff,full", "--weights", str(full)]
    done = evaluate(
        "--clips", str(tmp_path / "sway.mp4"), "--frames", "6", "--json", "--shots", "1,4,32", *drivers, *outputs
    )
    assert done.returncode == 1, done.stderr  # half of 40 frames are too few for 32 shots
    assert "20 frames of its first half show a face, but 32 shots" in " ".join(done.stderr.split())
    report = json.loads(done.stdout)
    assert [run["shots"] for run in report["runs"]] == [1, 4]
    one, four = (run["clips"][0] for run in report["runs"])
    assert one["target_frames"] == four["target_frames"]
    assert one["crop"] == four["crop"]
    assert len(four["source_frames"]) == 4
    assert one["source_frames"] == four["source_frames"][:1]
    assert max(four["source_frames"]) < 20 <= min(one["target_frames"])
    metrics = {metric["key"] for metric in report["metrics"]} - report["skipped_metrics"].keys()
    for system in (UNMOVED, LAYERS, FF):
        assert {key for key, value in one["values"][system].items() if value is not None} == metrics, system
    # nothing folds, and a portrait that stands still has a background that does
    assert one["values"][UNMOVED]["fold"] == one["values"][UNMOVED]["stretch"] == one["values"][UNMOVED]["plate"] == 0
    assert sum(yaw["frames"] for yaw in report["runs"][0]["by_yaw"]) == 6
    swept = report["steadiness"]["sweeps"]["sway"][FF]
    assert swept["lost"] < swept["frames"]
    assert swept["neck_farthest"] < 0.1
    # the plain warp follows the driver, the unmoved source does not
    assert one["values"][LAYERS]["akd"] < 3 < one["values"][UNMOVED]["akd"]
    assert one["values"][LAYERS]["ssim"] > one["values"][UNMOVED]["ssim"]
    # of more portraits one is nearer
    assert four["values"][UNMOVED]["akd"] < one["values"][UNMOVED]["akd"]
    cross = report["cross"][0]["pairs"][0]
    assert (cross["source"], cross["driver"]) == ("sway", "mirror")
    assert cross["values"][FF]["csim"] > 0.9
    assert report["systems"] == [UNMOVED, LAYERS, FF, FULL, "real"]
    assert 0 < four["values"][FULL]["ssim"] < four["values"][FF]["ssim"]
    assert FULL in cross["values"]

    about = json.loads((tmp_path / "out" / "sway" / "frames.json").read_text())
    crop = Crop(**about["crop"])
    real = [frame.rgb for frame in VideoFile(tmp_path / "sway.mp4")]
    pictures = tmp_path / "out" / "sway" / "shots_4" / "ff"
    again = [
        ssim(crop.cut(real[i], 256), np.asarray(Image.open(pictures / f"frame_{i:05d}.png")))
        for i in about["target_frames"]
    ]
    assert np.mean(again) == pytest.approx(four["values"][FF]["ssim"], abs=1e-6)
    assert (tmp_path / "out" / "sway_driven_by_mirror" / "shots_1" / "sheet.png").is_file()
    assert (tmp_path / "r.html").read_text().count("<svg") == 4 * 5
    assert all(row in (tmp_path / "r.md").read_text() for row in ("ours FF (4)", "full FF (4)"))


@pytest.mark.e2e
def test_a_clip_without_a_face_fails_by_name(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    write_clip(tmp_path / "wall.mp4", [np.full((128, 128, 3), 90, np.uint8)] * 5)
    done = evaluate("--clips", str(tmp_path / "wall.mp4"))
    assert done.returncode == 1
    assert "wall.mp4" in done.stdout + done.stderr
    assert "no face" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
