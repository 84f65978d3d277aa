"""Does the output move as the driver does? Signals of a tracked face, and their correlations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from scipy.stats import pearsonr

from avatar.face.state import FaceState

# A driver's signal whose standard deviation is below this floor is tracker noise, and correlates with nothing.
FLOORS = {
    "jaw_open": 0.02,  # blendshape score
    "blink": 0.04,
    "smile": 0.02,
    "yaw": 0.5,  # degrees
    "pitch": 0.5,
    "mouth_opening": 0.01,  # ratio
    "eye_opening": 0.01,
}
SIGNALS = tuple(FLOORS)
MIN_FRAMES = 8

Signal = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Correlation:
    """Pearson's r, or None and the reason why there is none."""

    r: float | None
    reason: str | None
    driver_std: float
    frames: int


def signals(state: FaceState) -> Signal:
    """(len(SIGNALS),) values of one tracked face, NaN without a face. Yaw and pitch in degrees.

    The two openings are geometric, beside the blendshapes that stand for them: distance of the inner lips over the
    height of the face, and of the lids over the width of the eye (mean of both eyes), in three dimensions.
    """
    if not state.found:
        return np.full(len(SIGNALS), np.nan)
    points = state.landmarks.astype(np.float64)

    def span(a: int, b: int) -> float:
        return float(np.linalg.norm(points[a] - points[b]))

    yaw, pitch, _ = Rotation.from_matrix(_rotation(state)).as_euler("YXZ", degrees=True)
    blink, smile = (
        (state.blendshape(f"{name}Left") + state.blendshape(f"{name}Right")) / 2 for name in ("eyeBlink", "mouthSmile")
    )
    eyes = (span(159, 145) / span(33, 133) + span(386, 374) / span(263, 362)) / 2
    return np.array([state.blendshape("jawOpen"), blink, smile, yaw, pitch, span(13, 14) / span(10, 152), eyes])


def correlate(driver: Signal, output: Signal, floor: float) -> Correlation:
    """Pearson correlation of two (N,) signals over the frames in which both are known (not NaN)."""
    known = np.isfinite(driver) & np.isfinite(output)
    driver, output = driver[known], output[known]
    if len(driver) < MIN_FRAMES:
        return Correlation(None, f"only {len(driver)} frames", 0.0, len(driver))
    std = float(driver.std())
    if std < floor:
        return Correlation(None, f"the driver hardly moves (std {std:.3g} < {floor:g})", std, len(driver))
    if np.ptp(output) <= 1e-9 * max(1.0, float(np.abs(output).max())):
        return Correlation(None, "the output does not move", std, len(driver))
    return Correlation(float(pearsonr(driver, output).statistic), None, std, len(driver))


def correlate_pooled(pairs: Sequence[tuple[Signal, Signal]], floor: float) -> Correlation:
    """One correlation over the frames of all clips, each clip centred first: only movement within clips counts."""
    drivers, outputs = [], []
    for driver, output in pairs:
        known = np.isfinite(driver) & np.isfinite(output)
        if known.any():
            drivers.append(driver[known] - driver[known].mean())
            outputs.append(output[known] - output[known].mean())
    if not drivers:
        return Correlation(None, "no frame has a face", 0.0, 0)
    return correlate(np.concatenate(drivers), np.concatenate(outputs), floor)


def _rotation(state: FaceState) -> NDArray[np.float64]:
    return state.pose[:3, :3].astype(np.float64)
