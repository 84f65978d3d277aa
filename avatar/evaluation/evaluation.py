"""The whole evaluation: every clip by every number of shots, then every driver; what came out as one Report."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from avatar.core.errors import VisavisError
from avatar.core.model_files import MODEL_ID, model_file
from avatar.evaluation.clip import Clip, DriverClip, read_clip, read_driver_clip
from avatar.evaluation.contact_sheet import (
    Sheet,
    Shown,
    WorstFrame,
    cross_sheet,
    self_sheet,
    worst_frames,
)
from avatar.evaluation.cross_reenactment import CrossRun, cross_reenact
from avatar.evaluation.metrics import CROSS_METRICS, METRICS
from avatar.evaluation.person import Lineup, Person, Tuning, enrol
from avatar.evaluation.photo_group import APART_NS, read_group
from avatar.evaluation.saved_run import save_cross, save_run
from avatar.evaluation.scorer import Scorer
from avatar.evaluation.scores import Scores, TotalScores, total
from avatar.evaluation.self_reenactment import SelfRun, reenact
from avatar.evaluation.steadiness import Steadiness
from avatar.evaluation.yaw_bins import YawBin, by_yaw
from avatar.face.crop import Crop
from avatar.render.embedding import open_embedder
from avatar.render.layered_network import NETWORK
from avatar.sources.photo import PhotoReader
from avatar.tracking.caged_tracker import CagedTracker
from engines import explain, open_engine
from engines.engine import Engine

Progress = Callable[[str, float], None]  # what is done now, share of everything in [0, 1]
CROSS_EFFORT = 0.5  # of a clip's, for one person and one driver


@dataclass(frozen=True)
class ClipResult:
    """One clip by one number of shots."""

    name: str
    damage: str | None
    frame_count: int
    without_face: int
    source_frames: tuple[int, ...]
    target_frames: tuple[int, ...]
    crop: Crop
    tuning: Tuning | None
    scores: Scores
    sheet: tuple[Shown, ...]
    worst: dict[str, list[WorstFrame]]


@dataclass(frozen=True)
class CrossResult:
    """One person by one number of shots, driven by another clip."""

    source: str
    driver: str
    target_frames: tuple[int, ...]  # of the driver's clip
    scores: Scores
    sheet: tuple[Shown, ...]


@dataclass
class Report:
    """All that came out."""

    systems: tuple[str, ...]
    engine: dict[str, Any]
    engine_line: str
    ft_minutes: float | None
    skipped: dict[str, str] = field(default_factory=dict)  # metric -> why it is not measured here
    clips: dict[int, list[ClipResult]] = field(default_factory=dict)  # by number of shots
    steadiness: Steadiness = field(default_factory=Steadiness)
    turned: list[Scores] = field(default_factory=list)  # of groups of photos, from one of each
    cross: dict[int, list[CrossResult]] = field(default_factory=dict)
    failed: list[dict[str, Any]] = field(default_factory=list)
    model: str = MODEL_ID
    machine: str = field(default_factory=lambda: machine())
    date: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    def totals(self) -> dict[int, TotalScores]:
        return {n: total([r.scores for r in found], METRICS) for n, found in sorted(self.clips.items()) if found}

    def cross_totals(self) -> dict[int, TotalScores]:
        return {n: total([r.scores for r in found], CROSS_METRICS) for n, found in sorted(self.cross.items()) if found}

    def by_yaw(self, shots: int) -> list[YawBin]:
        """Of the clips, and from one photo of the groups too."""
        return by_yaw([found.scores for found in self.clips[shots]] + (self.turned if shots == 1 else []))

    def not_kept(self, shots: int) -> list[str]:
        """The clips on which fine-tuning was not better, so that FF's pictures stand for FT's."""
        return [r.name for r in self.clips.get(shots, []) if r.tuning is not None and not r.tuning.kept]


@dataclass(frozen=True)
class Evaluation:
    """What to do. `ft_minutes` is what `lineup.tune` takes at most.

    `note` is told what the user should know at once.
    """

    tracker_model: Path
    shots: Sequence[int]
    max_targets: int
    lineup: Lineup = field(default_factory=Lineup)
    ft_minutes: float | None = None
    save: Path | None = None
    progress: Progress = lambda line, share: None
    note: Callable[[str], None] = lambda line: None

    def run(
        self,
        paths: Sequence[Path],
        drivers: Sequence[Path] = (),
        stills: Sequence[Path] = (),
        groups: Sequence[Sequence[Path]] = (),
    ) -> Report:
        """Clips that cannot be used are noted and listed in `Report.failed`. `stills`: photos, of which some smile.
        `groups`: photos of one person each, turned."""
        report = self._report()
        self.note(report.engine_line)
        pairs = sum(driver.stem != path.stem for path in paths for driver in drivers)
        whole = len(paths) + CROSS_EFFORT * pairs * len(self.shots)
        people: list[Person] = []
        with open_embedder() as embedder, Scorer(self.tracker_model) as scorer:
            report.skipped = scorer.skipped
            for metric, reason in scorer.skipped.items():
                self.note(f"Without {metric}: {reason}")
            for number, path in enumerate(paths):
                found = self._clip(path, embedder, scorer, report, _part(self.progress, number / whole, 1 / whole))
                people += found if drivers else []
            done = len(paths)
            self._groups(groups, embedder, scorer, report, _still(self.progress, done / whole))
            if stills:
                with CagedTracker(self.tracker_model, "image", patient=True) as tracker:
                    report.steadiness.open_jaws(stills, tracker, embedder, _still(self.progress, done / whole))
                if not report.steadiness.stills:
                    self.note(f"None of the {len(stills)} stills shows teeth.")
            if drivers:
                self._cross(people, drivers, scorer, report, _part(self.progress, done / whole, 1 - done / whole))
        return report

    def _clip(self, path: Path, embedder: Engine, scorer: Scorer, report: Report, progress: Progress) -> list[Person]:
        name = path.name
        try:
            clip = read_clip(
                path, self.shots, self.max_targets, self.tracker_model, lambda s: progress(f"{name}: tracking", 0.1 * s)
            )
        except VisavisError as error:
            self._failed(report, str(error), {"clip": str(path), "shots": None})
            return []
        if clip.damage:
            self.note(clip.damage)
        for count, reason in clip.unfit.items():
            self._failed(report, reason, {"clip": str(path), "shots": count})
        people: list[Person] = []
        drawn: dict[int, SelfRun] = {}
        step = 0.4 / max(1, len(clip.sources))
        for k, shots in enumerate(clip.sources):
            stage = _part(progress, 0.1 + k * step, step)
            try:
                line = _tuning_line(stage, f"{name}, {shots}-shot: FT")
                person = enrol(clip, shots, embedder, report.model, self.lineup, line)
            except VisavisError as error:
                self._failed(report, f"{path}, {shots}-shot: {error}", {"clip": str(path), "shots": shots})
                continue
            people.append(person)
            if len(people) == 1:
                stage(f"{name}: moving and coming near", 0.7)
                report.steadiness.sweep_neck(person)
            drawn[shots] = reenact(person, _line(stage, f"{name}, {shots}-shot: drawing", 0.7, 0.3))
        if not drawn:
            return []
        try:
            scores = scorer.score(clip, drawn, _line(progress, f"{name}: measuring", 0.5, 0.5))
        except VisavisError as error:
            self._failed(report, f"{path}: {error}", {"clip": str(path), "shots": None})
            return []
        sheets = {shots: self_sheet(clip, run.pictures) for shots, run in drawn.items()}
        if self.save is not None:
            save_run(self.save, clip, {shots: run.pictures for shots, run in drawn.items()}, sheets)
        for person in people:
            shots = person.shots
            report.clips.setdefault(shots, []).append(
                _clip_result(clip, person, scores[shots], sheets[shots], drawn[shots])
            )
        return people

    def _groups(
        self,
        groups: Sequence[Sequence[Path]],
        embedder: Engine,
        scorer: Scorer,
        report: Report,
        tell: Callable[[str], None],
    ) -> None:
        """From one photo of each the others, feed-forward."""
        lineup, first_ns = replace(self.lineup, tune=None, full=None), 0
        with PhotoReader() as reader, CagedTracker(self.tracker_model, "image", patient=True) as tracker:
            for number, paths in enumerate(groups):
                tell(f"photos {number + 1} of {len(groups)}: {paths[0].stem}")
                try:
                    clip = read_group(paths, reader, tracker, first_ns)
                    first_ns += len(paths) * APART_NS
                    if clip is None:
                        continue
                    person = enrol(clip, 1, embedder, report.model, lineup, lambda share, line: None)
                    report.turned.append(scorer.score(clip, {1: reenact(person)})[1])
                except VisavisError as error:
                    self._failed(report, str(error), {"clip": str(paths[0]), "shots": 1})

    def _cross(
        self, people: Sequence[Person], paths: Sequence[Path], scorer: Scorer, report: Report, progress: Progress
    ) -> None:
        by_clip: dict[str, list[Person]] = {}
        for person in people:
            by_clip.setdefault(person.clip.name, []).append(person)
        for number, path in enumerate(paths):
            stage = _part(progress, number / len(paths), 1 / len(paths))
            others = {name: found for name, found in by_clip.items() if name != path.stem}
            if not others:
                continue
            try:
                driver = read_driver_clip(
                    path, self.max_targets, self.tracker_model, _line(stage, f"driver {path.name}: tracking", 0, 0.2)
                )
            except VisavisError as error:
                self._failed(report, str(error), {"driver": str(path), "shots": None})
                continue
            for k, found in enumerate(others.values()):
                self._drive(found, driver, scorer, report, _part(stage, 0.2 + 0.8 * k / len(others), 0.8 / len(others)))

    def _drive(
        self, people: Sequence[Person], driver: DriverClip, scorer: Scorer, report: Report, progress: Progress
    ) -> None:
        runs: dict[int, CrossRun] = {}
        sheets: dict[int, Sheet] = {}
        for k, person in enumerate(people):
            name, shots = person.clip.name, person.shots
            line = _line(progress, f"{driver.name} drives {name}, {shots}-shot", k / len(people), 1 / len(people))
            run = cross_reenact(person, driver)
            line(0.5)
            scores = scorer.score_cross(run)
            line(1.0)
            runs[shots], sheets[shots] = run, cross_sheet(run)
            report.cross.setdefault(shots, []).append(
                CrossResult(name, driver.name, driver.target_frames, scores, sheets[shots].shown())
            )
        if self.save is not None:
            save_cross(self.save, runs, sheets)

    def _report(self) -> Report:
        generator = open_engine(model_file(NETWORK))
        try:
            return Report(
                self.lineup.systems,
                asdict(generator.describe()),
                explain(generator),
                self.ft_minutes,
            )
        finally:
            generator.close()

    def _failed(self, report: Report, reason: str, about: dict[str, Any]) -> None:
        report.failed.append(about | {"reason": reason})
        self.note(reason)


def result_names(paths: Sequence[Path], drivers: Sequence[Path]) -> list[str]:
    """The folders that `save` will hold."""
    crossed = [f"{path.stem}_driven_by_{driver.stem}" for path in paths for driver in drivers]
    return [*(path.stem for path in paths), *crossed]


def machine() -> str:
    """The processor, the number of its cores that may be used, system and Python, in one line."""
    name = platform.processor() or platform.machine()
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as lines:
            name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), name)
    except OSError:  # not Linux
        pass
    return (
        f"{name}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    )


def _clip_result(clip: Clip, person: Person, scores: Scores, sheet: Sheet, run: SelfRun) -> ClipResult:
    return ClipResult(
        name=clip.name,
        damage=clip.damage,
        frame_count=len(clip.states),
        without_face=clip.without_face,
        source_frames=clip.sources[person.shots],
        target_frames=clip.target_frames,
        crop=clip.crop,
        tuning=person.tuning,
        scores=scores,
        sheet=sheet.shown(),
        worst=worst_frames(clip, run.pictures, scores),
    )


def _still(progress: Progress, share: float) -> Callable[[str], None]:
    return lambda line: progress(line, share)


def _part(progress: Progress, start: float, size: float) -> Progress:
    return lambda line, share: progress(line, start + size * share)


def _line(progress: Progress, line: str, start: float, size: float) -> Callable[[float], None]:
    return lambda share: progress(line, start + size * share)


def _tuning_line(progress: Progress, prefix: str) -> Callable[[float, str], None]:
    return lambda share, line: progress(f"{prefix}: {line}", 0.7 * share)
