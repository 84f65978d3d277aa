"""The report as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from avatar.evaluation import frechet
from avatar.evaluation.bootstrap import LEVEL, Interval
from avatar.evaluation.clip import SIZE_PX
from avatar.evaluation.evaluation import Report
from avatar.evaluation.metrics import CROSS_METRICS, FRECHET, METRICS, STEADY_METRICS, Metric
from avatar.evaluation.motion import FLOORS
from avatar.evaluation.scores import CROSS_ASIDE, REAL, Correlations, Scores, TotalScores, best

FORMAT = 2  # 1: one system "visavis", targets that depended on the number of shots


def as_json(report: Report) -> dict[str, Any]:
    """Everything but the pictures and the single frames, as plain types."""
    totals, cross_totals = report.totals(), report.cross_totals()
    return {
        "format": FORMAT,
        "model": report.model,
        "date": report.date,
        "machine": report.machine,
        "engine": report.engine,
        "size_px": SIZE_PX,
        "systems": [*report.systems, REAL],
        "ft_minutes": report.ft_minutes,
        "metrics": [asdict(metric) for metric in METRICS],
        "steady_metrics": [asdict(metric) for metric in STEADY_METRICS],
        "cross_metrics": [asdict(metric) for metric in CROSS_METRICS],
        "frechet": asdict(FRECHET) | {"dimension": frechet.DIMENSION, "features": frechet.FEATURES},
        "interval_level": LEVEL,
        "signal_floors": FLOORS,
        "skipped_metrics": report.skipped,
        "runs": [
            {
                "protocol": "self-reenactment, absolute motion",
                "shots": shots,
                "clips": [
                    {
                        "clip": found.name,
                        "damage": found.damage,
                        "frame_count": found.frame_count,
                        "frames_without_face": found.without_face,
                        "source_frames": found.source_frames,
                        "target_frames": found.target_frames,
                        "crop": asdict(found.crop),
                        "fine_tuning": None if found.tuning is None else asdict(found.tuning),
                        **_scores(found.scores, METRICS),
                    }
                    for found in report.clips[shots]
                ],
                "total": _total(total, METRICS, (REAL,)),
                "by_yaw": [asdict(one) for one in report.by_yaw(shots)],
            }
            for shots, total in totals.items()
        ],
        "cross": [
            {
                "protocol": "cross-reenactment, relative motion",
                "shots": shots,
                "pairs": [
                    {
                        "source": found.source,
                        "driver": found.driver,
                        "target_frames": found.target_frames,
                        **_scores(found.scores, CROSS_METRICS),
                    }
                    for found in report.cross[shots]
                ],
                "total": _total(total, CROSS_METRICS, CROSS_ASIDE),
            }
            for shots, total in cross_totals.items()
        ],
        "steadiness": {
            "values": report.steadiness.values(),
            "stills": [
                {"still": one.name, "scores": {system: asdict(found) for system, found in one.scores.items()}}
                for one in report.steadiness.stills
            ],
            "sweeps": {
                clip: {system: asdict(found) for system, found in by_system.items()}
                for clip, by_system in report.steadiness.sweeps.items()
            },
            "without_neck": report.steadiness.without_neck,
        },
        "failed": report.failed,
    }


def _scores(scores: Scores, metrics: tuple[Metric, ...]) -> dict[str, Any]:
    values = scores.values
    return {
        "values": {system: {m.key: found.get(m.key) for m in metrics} for system, found in values.items()},
        "lost": scores.lost,
        "correlations": _correlations(scores.correlations),
    }


def _total(total: TotalScores, metrics: tuple[Metric, ...], aside: tuple[str, ...]) -> dict[str, Any]:
    return {
        "values": total.values,
        "lost": total.lost,
        "better": {m.key: best({s: v[m.key] for s, v in total.values.items()}, m.better, aside) for m in metrics},
        "correlations": {
            system: {
                signal: {"pooled": asdict(found), "mean_of_clips": total.clip_means[system][signal]}
                for signal, found in by_signal.items()
            }
            for system, by_signal in total.pooled.items()
        },
        "frechet": {"values": total.frechet, "samples": total.samples[0], "real_samples": total.samples[1]},
        "differences": {
            name: {key: _interval(found) for key, found in by_metric.items()}
            for name, by_metric in total.differences.items()
        },
    }


def _interval(found: Interval | None) -> dict[str, Any] | None:
    return None if found is None else asdict(found) | {"sure": found.sure}


def _correlations(found: Correlations) -> dict[str, dict[str, Any]]:
    return {system: {name: asdict(r) for name, r in by_signal.items()} for system, by_signal in found.items()}
