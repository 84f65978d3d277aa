"""The figures of a clip, and of all clips together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from avatar.errors import VisavisError
from avatar.evaluation import identity_similarity, pixels
from avatar.evaluation.feature_distance import FeatureDistance, efficientnet_lite0, vgg16_hed
from avatar.evaluation.identity_similarity import IdentityNetwork
from avatar.evaluation.landmark_distance import landmark_distance
from avatar.evaluation.motion import FLOORS, SIGNALS, Correlation, correlate, correlate_pooled, signals
from avatar.evaluation.self_reenactment import SYSTEMS, ClipRun, Tick
from avatar.tracking.face_landmarker import FaceTracker
from avatar.tracking.face_state import FaceState

SLOW_METRIC_FRAMES = 16  # frames a clip for the networks that take 0.1 s and more a picture
PSNR_CAP_DB = 100.0  # equal pictures have none; this stands for it in means
REAL = "real"  # the real target put through the same re-tracking: what the tracker itself loses


@dataclass(frozen=True, slots=True)
class Metric:
    """One line of the table."""

    key: str
    label: str
    unit: str
    better: Literal["lower", "higher"]
    network: str | None = None
    frames: int | None = None  # at most so many a clip, evenly spread; None for all


METRICS = (
    Metric("l1", "L1", "of 1", "lower"),
    Metric("psnr", "PSNR", "dB", "higher"),
    Metric("ssim", "SSIM", "of 1", "higher"),
    Metric("feature_efficientnet_lite0", "Features EffNet-Lite0", "of 4", "lower", "EfficientNet-Lite0"),
    Metric("feature_vgg16_hed", "Features VGG16-HED", "of 4", "lower", "VGG16-HED", SLOW_METRIC_FRAMES),
    Metric("csim", "CSIM dlib ResNet", "cosine", "higher", identity_similarity.NETWORK, SLOW_METRIC_FRAMES),
    Metric("identity_distance", "Identity dlib ResNet", "L2", "lower", identity_similarity.NETWORK, SLOW_METRIC_FRAMES),
    Metric("akd", "AKD", "px at 256", "lower", "MediaPipe FaceLandmarker"),
)

Values = dict[str, dict[str, float | None]]  # system -> metric -> mean over the frames; None where there is none
Correlations = dict[str, dict[str, Correlation]]  # system -> signal


@dataclass(frozen=True)
class ClipScores:
    """What one clip got. `lost` counts the frames of each system in which no face was found again."""

    clip: str
    values: Values
    lost: dict[str, int]
    correlations: Correlations
    driver_signals: NDArray[np.float64]  # (N, len(SIGNALS))
    output_signals: dict[str, NDArray[np.float64]]  # by system, (N, len(SIGNALS)), NaN where the face was lost


@dataclass(frozen=True)
class TotalScores:
    """All clips: means of the clips' values; correlations over the pooled frames, each clip centred first."""

    values: Values
    lost: dict[str, int]
    pooled: Correlations
    clip_means: dict[str, dict[str, float | None]]  # system -> signal -> mean r of the clips that have one


class Judge:
    """Scores clips. Loads its networks once; close it, for the tracker's sake. VisavisError without the extra."""

    def __init__(self, tracker_model: Path) -> None:
        self.skipped: dict[str, str] = {}  # metric -> why it cannot be had here
        self._networks: dict[str, FeatureDistance] = {"feature_efficientnet_lite0": efficientnet_lite0()}
        self._add_network("feature_vgg16_hed", vgg16_hed)
        self._identity = IdentityNetwork()
        self._tracker = FaceTracker(tracker_model, mode="image")

    def _add_network(self, metric: str, make: Callable[[], FeatureDistance]) -> None:
        """For a network whose package `visavis[train]` does not bring."""
        try:
            self._networks[metric] = make()
        except VisavisError as error:
            self.skipped[metric] = str(error)

    def close(self) -> None:
        self._tracker.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def score(self, run: ClipRun, tick: Tick = lambda share: None) -> ClipScores:
        """Measure every system's pictures of one clip."""
        pictures = {REAL: run.targets, **run.predictions}
        tracks = {system: self._retrack(shown) for system, shown in pictures.items()}
        tick(0.3)
        values: Values = {system: {} for system in pictures}
        for system, shown in run.predictions.items():
            values[system] |= _pixel_scores(run.targets, shown)
        few = np.unique(np.linspace(0, len(run.targets) - 1, SLOW_METRIC_FRAMES).round().astype(int))
        for metric in METRICS:
            if metric.key in self._networks:
                use = few if metric.frames else np.arange(len(run.targets))
                shown_few = {system: shown[use] for system, shown in run.predictions.items()}
                for system, found in self._networks[metric.key].distances(run.targets[use], shown_few).items():
                    values[system][metric.key] = float(found.mean())
            tick(0.3 + 0.6 * (METRICS.index(metric) + 1) / len(METRICS))
        self._score_identity(run, tracks, few, values)
        driver = np.stack([signals(state) for state in run.driver])
        outputs = {system: np.stack([signals(state) for state in track]) for system, track in tracks.items()}
        for system, track in tracks.items():
            values[system]["akd"] = _mean(
                [landmark_distance(run.driver_landmarks(i), s.landmarks) for i, s in enumerate(track) if s.found]
            )
        tick(1.0)
        return ClipScores(
            clip=run.clip,
            values=values,
            lost={system: sum(not state.found for state in track) for system, track in tracks.items()},
            correlations={
                system: {name: correlate(driver[:, k], output[:, k], FLOORS[name]) for k, name in enumerate(SIGNALS)}
                for system, output in outputs.items()
            },
            driver_signals=driver,
            output_signals=outputs,
        )

    def _retrack(self, pictures: NDArray[np.uint8]) -> list[FaceState]:
        states: list[FaceState] = []
        for i, picture in enumerate(pictures):
            still = i > 0 and np.array_equal(picture, pictures[i - 1])
            states.append(states[-1] if still else self._tracker.track(picture, i))
        return states

    def _score_identity(
        self, run: ClipRun, tracks: dict[str, list[FaceState]], few: NDArray[np.int_], values: Values
    ) -> None:
        similarity: dict[str, list[float]] = {system: [] for system in run.predictions}
        distance: dict[str, list[float]] = {system: [] for system in run.predictions}
        for i in few:
            if not tracks[REAL][i].found:
                continue
            wanted = self._identity.descriptor(run.targets[i], tracks[REAL][i].landmarks)
            for system, shown in run.predictions.items():
                if tracks[system][i].found:
                    got = self._identity.descriptor(shown[i], tracks[system][i].landmarks)
                    similarity[system].append(identity_similarity.cosine(wanted, got))
                    distance[system].append(identity_similarity.distance(wanted, got))
        for system in run.predictions:
            values[system]["csim"] = _mean(similarity[system])
            values[system]["identity_distance"] = _mean(distance[system])


def total(clips: Sequence[ClipScores]) -> TotalScores:
    """Put at least one clip's scores together."""
    systems = tuple(clips[0].values)
    return TotalScores(
        values={
            system: {metric.key: _mean([clip.values[system].get(metric.key) for clip in clips]) for metric in METRICS}
            for system in systems
        },
        lost={system: sum(clip.lost[system] for clip in clips) for system in systems},
        pooled={
            system: {
                name: correlate_pooled(
                    [(clip.driver_signals[:, k], clip.output_signals[system][:, k]) for clip in clips], FLOORS[name]
                )
                for k, name in enumerate(SIGNALS)
            }
            for system in systems
        },
        clip_means={
            system: {name: _mean([clip.correlations[system][name].r for clip in clips]) for name in SIGNALS}
            for system in systems
        },
    )


def best(values: dict[str, float | None], better: Literal["lower", "higher"]) -> str | None:
    """Which of SYSTEMS has the best value; None where no system has one."""
    known = {system: value for system in SYSTEMS if (value := values.get(system)) is not None}
    if not known:
        return None
    return (min if better == "lower" else max)(known, key=lambda system: known[system])


def _pixel_scores(targets: NDArray[np.uint8], shown: NDArray[np.uint8]) -> dict[str, float | None]:
    pairs = list(zip(targets, shown, strict=True))
    return {
        "l1": _mean([pixels.l1(a, b) for a, b in pairs]),
        "psnr": _mean([min(pixels.psnr(a, b), PSNR_CAP_DB) for a, b in pairs]),
        "ssim": _mean([pixels.ssim(a, b) for a, b in pairs]),
    }


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
