"""Pictures for people to look at: rows of frames, and the worst ones."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from avatar.core.arrays import Picture
from avatar.evaluation.clip import Clip, Pictures
from avatar.evaluation.cross_reenactment import CrossRun
from avatar.evaluation.person import BASELINES, FF, FT, FULL, LAYERS, UNMOVED
from avatar.evaluation.scores import Scores

COLUMNS = 8
SHEET_FRAME_PX, WORST_FRAME_PX = 160, 224  # in reports
WORST = 3
WORST_BY = "feature_efficientnet_lite0"
TITLES = {
    UNMOVED: "source, the nearest portrait",
    LAYERS: "layers alone",
    FF: "visavis FF",
    FT: "visavis FT",
    FULL: "visavis full",
}


@dataclass(frozen=True)
class Shown:
    """A strip as it goes into a report."""

    label: str
    jpeg: bytes
    width: int
    height: int


@dataclass(frozen=True)
class Strip:
    """Frames side by side. `picture` is (S, n · S, 3)."""

    label: str
    picture: Picture

    def shown(self, frame_px: int) -> Shown:
        """With frames of `frame_px`."""
        width = self.picture.shape[1] // self.picture.shape[0] * frame_px
        data = io.BytesIO()
        image = Image.fromarray(self.picture).resize((width, frame_px), Image.Resampling.LANCZOS)
        image.save(data, "JPEG", quality=85)
        return Shown(self.label, data.getvalue(), width, frame_px)


@dataclass(frozen=True)
class Sheet:
    """Strips of the same frames, one below the other."""

    frames: tuple[int, ...]
    strips: tuple[Strip, ...]

    @property
    def picture(self) -> Picture:
        return np.concatenate([strip.picture for strip in self.strips], axis=0)

    def shown(self) -> tuple[Shown, ...]:
        return tuple(strip.shown(SHEET_FRAME_PX) for strip in self.strips)


@dataclass(frozen=True)
class WorstFrame:
    """One frame of a system that is far from the real one."""

    frame: int
    value: float  # of WORST_BY
    shown: Shown  # source, real, layers alone, this system


def self_sheet(clip: Clip, drawn: Mapping[str, Pictures]) -> Sheet:
    """Rows from the top: source, driver (the real picture), layers alone, and ours."""
    columns = _columns(len(clip.targets))
    rows = [(TITLES[UNMOVED], drawn[UNMOVED]), ("driver, the real picture", clip.targets)]
    rows += [(TITLES[system], drawn[system]) for system in drawn if system != UNMOVED]
    return _sheet(columns, clip.target_frames, rows)


def cross_sheet(run: CrossRun) -> Sheet:
    """Rows from the top: source, driver, layers alone, and ours."""
    columns = _columns(len(run.driver.pictures))
    rows = [(TITLES[UNMOVED], run.pictures[UNMOVED]), ("driver", run.driver.pictures)]
    rows += [(TITLES[system], run.pictures[system]) for system in run.pictures if system != UNMOVED]
    return _sheet(columns, run.driver.target_frames, rows)


def worst_frames(clip: Clip, drawn: Mapping[str, Pictures], scores: Scores) -> dict[str, list[WorstFrame]]:
    """By system of ours, the frames of largest feature distance, at least three targets apart from each other."""
    found: dict[str, list[WorstFrame]] = {}
    seen: list[Pictures] = []
    for system, pictures in drawn.items():
        if system in BASELINES or any(pictures is other for other in seen):  # a tuning that was not kept
            continue
        seen.append(pictures)
        values = scores.frames[system][WORST_BY]
        chosen: list[int] = []
        for i in np.argsort(-values):
            if len(chosen) < WORST and all(abs(int(i) - j) >= 3 for j in chosen):
                chosen.append(int(i))
        found[system] = [
            WorstFrame(
                clip.target_frames[i],
                float(values[i]),
                Strip(
                    f"source, real, layers alone, {TITLES[system]}",
                    np.concatenate([drawn[UNMOVED][i], clip.targets[i], drawn[LAYERS][i], drawn[system][i]], axis=1),
                ).shown(WORST_FRAME_PX),
            )
            for i in chosen
        ]
    return found


def _columns(count: int) -> NDArray[np.int_]:
    return np.unique(np.linspace(0, count - 1, COLUMNS).round().astype(int))


def _sheet(columns: NDArray[np.int_], frames: Sequence[int], rows: Sequence[tuple[str, Pictures]]) -> Sheet:
    strips = tuple(Strip(label, np.concatenate(list(pictures[columns]), axis=1)) for label, pictures in rows)
    return Sheet(tuple(frames[i] for i in columns), strips)
