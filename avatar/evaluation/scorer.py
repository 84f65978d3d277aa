"""Measuring what was drawn of a clip: the output is tracked again, and compared with the real pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avatar.core.arrays import Array
from avatar.core.closing import Closing
from avatar.core.errors import VisavisError
from avatar.evaluation.clip import SIZE_PX, Clip, Pictures, Tick
from avatar.evaluation.cross_reenactment import CrossRun
from avatar.evaluation.differences import l1, landmark_distance, psnr, ssim
from avatar.evaluation.face_crops import eye_crops, mouth_crop
from avatar.evaluation.feature_distance import FeatureDistance, efficientnet_lite0, vgg16_hed
from avatar.evaluation.metrics import PSNR_CAP_DB, SLOW_METRIC_FRAMES
from avatar.evaluation.motion import SIGNALS, signals
from avatar.evaluation.scores import REAL, PerFrame, Scores
from avatar.evaluation.self_reenactment import SelfRun
from avatar.evaluation.structure import Structure
from avatar.face.face_descriptor import cosine, distance
from avatar.face.state import FaceState
from avatar.identity.face_identity import open_face_identity
from avatar.tracking.caged_tracker import CagedTracker


class Scorer(Closing):
    """Scores clips. Loads its networks once; close it, for the tracker's sake. VisavisError without the extra."""

    def __init__(self, tracker_model: Path) -> None:
        self.skipped: dict[str, str] = {}  # metric -> why it is not measured here
        self._lite0 = efficientnet_lite0()
        self._vgg = self._optional("feature_vgg16_hed", vgg16_hed)
        self._identity = open_face_identity()
        self._tracker = CagedTracker(tracker_model, "image", patient=True)
        self._known: dict[Path, tuple[NDArray[np.float64], list[Array]]] = {}  # pooled and descriptors

    def _optional(self, metric: str, make: Callable[[], FeatureDistance]) -> FeatureDistance | None:
        """A network whose package `visavis[train]` does not bring."""
        try:
            return make()
        except VisavisError as error:
            self.skipped |= {f"{part}{metric}": str(error) for part in ("", "face_", "silhouette_", "mouth_", "eyes_")}
            return None

    def close(self) -> None:
        self._tracker.close()
        self._identity.close()

    def score(self, clip: Clip, drawn: Mapping[int, SelfRun], tick: Tick = lambda share: None) -> dict[int, Scores]:
        """Self-reenactment: what every system made (by number of shots) against the clip's targets."""
        sets, alias = _distinct({shots: run.pictures for shots, run in drawn.items()})
        goals = np.stack([clip.landmarks(i) for i in clip.target_frames]) * SIZE_PX
        real = self._retrack(clip.targets)
        tracks = {name: self._retrack(pictures) for name, pictures in sets.items()}
        tick(0.15)
        frames: dict[str, dict[str, PerFrame]] = {
            name: _pixel_scores(clip.targets, pictures, goals) for name, pictures in sets.items()
        }
        tick(0.2)
        structure = Structure(clip, sets)
        for shots, names in alias.items():
            run = drawn[shots]
            for system, name in names.items():
                if "matte_iou" not in frames[name]:
                    frames[name] |= structure.of(name, run.moments[system], run.flows.get(system))
        tick(0.35)
        masks = {"face": structure.ovals, "silhouette": structure.rings}
        pooled, real_pooled = self._score_features(clip.targets, sets, goals, masks, frames, tick)
        wanted = self._descriptors(clip.targets, real)
        self._known[clip.path] = (real_pooled, [d for d in wanted if d is not None])
        for name, pictures in sets.items():
            frames[name] |= _identity_scores(wanted, self._descriptors(pictures, tracks[name]))
            frames[name]["akd"] = _akd(goals, tracks[name])
        driver = np.stack([signals(clip.states[i]) for i in clip.target_frames])
        yaw = SIGNALS.index("yaw")
        reference = signals(clip.states[next(iter(clip.sources.values()))[0]])
        moved = {name: np.stack([signals(state) for state in track]) for name, track in tracks.items()}
        real_moved = np.stack([signals(state) for state in real])
        tick(1.0)
        return {
            shots: Scores(
                name=clip.name,
                frames={s: frames[names[s]] for s in names} | {REAL: {"akd": _akd(goals, real), **structure.real()}},
                lost={s: _lost(tracks[names[s]]) for s in names} | {REAL: _lost(real)},
                driver_signals=driver,
                output_signals={s: moved[names[s]] for s in names} | {REAL: real_moved},
                pooled={s: pooled[names[s]] for s in names},
                real_pooled=real_pooled,
                yaw_change=np.abs(driver[:, yaw] - reference[yaw]),
            )
            for shots, names in alias.items()
        }

    def score_cross(self, run: CrossRun, tick: Tick = lambda share: None) -> Scores:
        """Cross-reenactment. The person's clip was scored before: its real frames are what the outputs must be like."""
        real_pooled, real = self._known[run.person.clip.path]
        sets, alias = _distinct({run.person.shots: run.pictures})
        names = alias[run.person.shots]
        tracks = {name: self._retrack(pictures) for name, pictures in sets.items()}
        tick(0.5)
        source = np.mean(self._described(run.person.portraits, run.person.landmarks * SIZE_PX), axis=0)
        frames = {
            name: _identity_scores([source] * len(pictures), self._descriptors(pictures, tracks[name]))
            | {"akd": _akd(run.goals * SIZE_PX, tracks[name])}
            for name, pictures in sets.items()
        }
        pooled = {name: self._lite0.pool(pictures) for name, pictures in sets.items()}
        moved = {name: np.stack([signals(state) for state in track]) for name, track in tracks.items()}
        tick(1.0)
        return Scores(
            name=run.name,
            frames={s: frames[names[s]] for s in names} | {REAL: _identity_scores([source] * len(real), real)},
            lost={s: _lost(tracks[names[s]]) for s in names},
            driver_signals=np.stack([signals(run.driver.states[i]) for i in run.driver.target_frames]),
            output_signals={s: moved[names[s]] for s in names},
            pooled={s: pooled[names[s]] for s in names},
            real_pooled=real_pooled,
        )

    def _score_features(
        self,
        targets: Pictures,
        sets: Mapping[str, Pictures],
        goals: Array,
        masks: Mapping[str, NDArray[np.bool_]],
        frames: dict[str, dict[str, PerFrame]],
        tick: Tick,
    ) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.float64]]:
        """Fills `frames`; gives the pooled features of the sets and of the targets."""
        mouths = _mouths(targets, goals)
        drawn_mouths = {name: _mouths(pictures, goals) for name, pictures in sets.items()}
        eyes = _eyes(targets, goals)
        drawn_eyes = {name: _eyes(pictures, goals) for name, pictures in sets.items()}
        whole = self._lite0.compare(targets, sets, lambda share: tick(0.35 + 0.2 * share), masks)
        found = {
            "feature_efficientnet_lite0": whole.distances,
            "mouth_feature_efficientnet_lite0": self._lite0.compare(mouths, drawn_mouths).distances,
            "eyes_feature_efficientnet_lite0": _of_both(self._lite0.compare(eyes, drawn_eyes).distances),
            **{f"{part}_feature_efficientnet_lite0": values for part, values in whole.parts.items()},
        }
        if self._vgg is not None:
            few = np.unique(np.linspace(0, len(targets) - 1, SLOW_METRIC_FRAMES).round().astype(int))
            some = {name: pictures[few] for name, pictures in sets.items()}
            masks = {part: mask[few] for part, mask in masks.items()}
            seen = self._vgg.compare(targets[few], some, lambda share: tick(0.55 + 0.25 * share), masks)
            by_part = {"": seen.distances, **{f"{part}_": values for part, values in seen.parts.items()}}
            for part, by_set in by_part.items():
                found[f"{part}feature_vgg16_hed"] = {
                    name: _at(few, values, len(targets)) for name, values in by_set.items()
                }
            found["mouth_feature_vgg16_hed"] = self._vgg.compare(
                mouths, drawn_mouths, lambda share: tick(0.8 + 0.1 * share)
            ).distances
            found["eyes_feature_vgg16_hed"] = _of_both(self._vgg.compare(eyes, drawn_eyes).distances)
        for metric, by_set in found.items():
            for name, values in by_set.items():
                frames[name][metric] = values
        return whole.pooled, whole.target_pooled

    def _retrack(self, pictures: Pictures) -> list[FaceState]:
        seen: dict[bytes, FaceState] = {}  # portraits that do not move come often
        states = []
        for i, picture in enumerate(pictures):
            key = picture.tobytes()
            if key not in seen:
                seen[key] = self._tracker.track(picture, i)
            states.append(seen[key])
        return states

    def _descriptors(self, pictures: Pictures, track: Sequence[FaceState]) -> list[Array | None]:
        return [
            self._identity.descriptor(picture, state.landmarks) if state.found else None
            for picture, state in zip(pictures, track, strict=True)
        ]

    def _described(self, pictures: Pictures, landmarks: Array) -> list[Array]:
        return [self._identity.descriptor(p, points) for p, points in zip(pictures, landmarks, strict=True)]


def _distinct(drawn: Mapping[int, Mapping[str, Pictures]]) -> tuple[dict[str, Pictures], dict[int, dict[str, str]]]:
    """(pictures by the name of the set, names by shots and system); what is the same array is scored once."""
    names: dict[int, str] = {}
    sets: dict[str, Pictures] = {}
    alias: dict[int, dict[str, str]] = {}
    for shots, by_system in drawn.items():
        alias[shots] = {}
        for system, pictures in by_system.items():
            name = names.setdefault(id(pictures), f"{shots}/{system}")
            sets[name] = pictures
            alias[shots][system] = name
    return sets, alias


def _pixel_scores(targets: Pictures, drawn: Pictures, goals: Array) -> dict[str, PerFrame]:
    pairs = list(zip(targets, drawn, strict=True))
    mouths = list(zip(_mouths(targets, goals), _mouths(drawn, goals), strict=True))
    eyes = [(eye_crops(a, points), eye_crops(b, points)) for (a, b), points in zip(pairs, goals, strict=True)]
    return {
        "l1": np.array([l1(a, b) for a, b in pairs]),
        "psnr": np.array([min(psnr(a, b), PSNR_CAP_DB) for a, b in pairs]),
        "ssim": np.array([ssim(a, b) for a, b in pairs]),
        "mouth_l1": np.array([l1(a, b) for a, b in mouths]),
        "mouth_ssim": np.array([ssim(a, b) for a, b in mouths]),
        "eyes_l1": np.array([l1(a, b) for a, b in eyes]),
    }


def _identity_scores(wanted: Sequence[Array | None], got: Sequence[Array | None]) -> dict[str, PerFrame]:
    pairs = list(zip(wanted, got, strict=True))
    return {
        "csim": np.array([np.nan if a is None or b is None else cosine(a, b) for a, b in pairs]),
        "identity_distance": np.array([np.nan if a is None or b is None else distance(a, b) for a, b in pairs]),
    }


def _akd(goals: Array, track: Sequence[FaceState]) -> PerFrame:
    return np.array(
        [landmark_distance(goal, s.landmarks) if s.found else np.nan for goal, s in zip(goals, track, strict=True)]
    )


def _mouths(pictures: Pictures, landmarks: Array) -> Pictures:
    return np.stack([mouth_crop(picture, points) for picture, points in zip(pictures, landmarks, strict=True)])


def _eyes(pictures: Pictures, landmarks: Array) -> Pictures:
    """(2 N, 64, 96, 3)"""
    pairs = zip(pictures, landmarks, strict=True)
    return np.concatenate([eye_crops(picture, points, enlarged=2) for picture, points in pairs])


def _of_both(distances: Mapping[str, PerFrame]) -> dict[str, PerFrame]:
    return {name: values.reshape(-1, 2).mean(1) for name, values in distances.items()}


def _at(places: NDArray[np.int_], values: PerFrame, count: int) -> PerFrame:
    spread = np.full(count, np.nan)
    spread[places] = values
    return spread


def _lost(track: Sequence[FaceState]) -> int:
    return sum(not state.found for state in track)
